"""Why a revision of a closed month differs from an earlier one: causes whose amounts add up to that.

Calls of one hour that are alike but for their price are compared before and after:

- more calls than before came late; fewer were found to be there twice, or not billable;
- as many, with other tokens, were corrected by the record of a second instrumentation;
- as many, with the same tokens, have another price (or have one now, or no longer);
- a cost that moved from one team to another was allocated by other rules: over all teams that is nothing.

Where calls were added and their price changed in one hour, what the calls that stayed cost now is their share
of what all cost now, rounded to a billionth of a dollar; the rest is what came late.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from promptspan_server.finance.allocation import TARGET_DIMENSIONS, allocate, direct_weights
from promptspan_server.finance.ledger import (
    DIMENSIONS,
    TOKENS,
    Ledger,
    LedgerRow,
    dollars,
    nanos,
    read,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.allocation import Allocation, Target
    from promptspan_server.finance.ledger import Asks
    from promptspan_server.queries.scope import TimeRange

LATE: Final = "late calls"
GONE: Final = "calls counted no longer"
USAGE: Final = "corrected usage"
PRICE: Final = "price change"
ALLOCATION: Final = "allocation rules"
CAUSES: Final = (LATE, GONE, USAGE, PRICE, ALLOCATION)

BY: Final = (
    "feature",
    "service",
    "model",
    "provider",
    "prompt",
    "version",
    "tenant",
    "environment",
    *TARGET_DIMENSIONS,
)
"""What a difference can be shown by."""

_PRICES: Final = frozenset({"price_status", "price_id", "rate_id"})
# Calls that are alike but for their price. Status stays: a call that turned out otherwise is another call.
_ALIKE: Final = ("hour", *(name for name in DIMENSIONS if name not in _PRICES))


@dataclass(frozen=True, slots=True)
class Difference:
    """What one cause did to one value of a dimension.

    Attributes:
        value: Of the dimension; empty for calls without one.
        cause: One of `CAUSES`.
        calls: Calls more, or fewer.
        usd: Difference in USD.
    """

    value: str
    cause: str
    calls: int
    usd: Decimal


def differences(
    store: Asks,
    month: TimeRange,
    *,
    before: Sequence[str],
    after: Sequence[str],
    by: Sequence[str],
    rules: tuple[Allocation, Allocation],
) -> dict[str, tuple[Difference, ...]]:
    """Explain what changed between two revisions.

    Args:
        store: The store.
        month: The month.
        before: `close_id` of the revisions up to the earlier one.
        after: Those after it, up to the later one.
        by: Of `BY`.
        rules: Allocation rules of the earlier and of the later one.

    Returns:
        For each of `by` the parts, in the order of the value, then of the cause. Their sum is the difference,
        exactly.

    Raises:
        ValueError: One is none of `BY`.
        LedgerTooLarge: A day has too many groups.
    """
    if set(by) - set(BY):
        raise ValueError(f"a difference is shown by {', '.join(BY)}")
    targets = [name for name in by if name in TARGET_DIMENSIONS]
    weights = None
    if targets:
        dimensions = tuple(name for name in DIMENSIONS if name not in _PRICES)
        weights = direct_weights(rules[1], read(store, Ledger(month, dimensions, closes=(*before, *after))))
    sums = _Sums()
    for keys, (cause, calls, amount) in _causes(store, month, after):
        for name in by:
            if name not in TARGET_DIMENSIONS:
                sums.add(name, keys[name], cause, calls, amount)
        if targets:
            row = LedgerRow(keys, calls=calls, cost_usd=dollars(amount))
            for part in allocate(rules[1], [row], weights):
                for name in targets:
                    sums.add(name, getattr(part.target, name), cause, part.row.calls, _nanos(part.row))
    if targets and rules[0] != rules[1]:
        for target, amount in _moved(store, month, before, rules).items():
            for name in targets:
                sums.add(name, getattr(target, name), ALLOCATION, 0, amount)
    return {name: sums.parts(name) for name in by}


class _Sums:
    """Calls and billionths of a dollar by dimension, value and cause."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[tuple[str, str], list[int]]] = defaultdict(dict)

    def add(self, by: str, value: str, cause: str, calls: int, amount: int) -> None:
        found = self._sums[by].setdefault((value, cause), [0, 0])
        found[0] += calls
        found[1] += amount

    def parts(self, by: str) -> tuple[Difference, ...]:
        ordered = sorted(self._sums[by].items(), key=lambda item: (item[0][0], CAUSES.index(item[0][1])))
        return tuple(
            Difference(value, cause, calls, dollars(amount))
            for (value, cause), (calls, amount) in ordered
            if calls or amount
        )


def _causes(
    store: Asks, month: TimeRange, closes: Sequence[str]
) -> Iterator[tuple[Mapping[str, str], tuple[str, int, int]]]:
    """What happened to the calls of each hour: their keys, and cause, calls and billionths of a dollar."""
    rows = stream(store, Ledger(month, (*_ALIKE, *sorted(_PRICES)), closes=tuple(closes)))
    for _, hour in groupby(rows, key=lambda row: row.at):
        alike: dict[tuple[str, ...], list[LedgerRow]] = {}
        for row in hour:
            alike.setdefault(tuple(row.keys[name] for name in _ALIKE[1:]), []).append(row)
        for group in alike.values():
            for part in explained(group):
                yield group[0].keys, part


def explained(rows: Sequence[LedgerRow]) -> list[tuple[str, int, int]]:
    """Split what became of alike calls into causes.

    Args:
        rows: Differences of calls that are alike but for their price: negative counts where some went.

    Returns:
        Cause, calls and billionths of a dollar. They add up to the rows.
    """
    calls = sum(row.calls for row in rows)
    amount = sum(_nanos(row) for row in rows)
    gone = -sum(row.calls for row in rows if row.calls < 0)
    came = sum(row.calls for row in rows if row.calls > 0)
    paid = -sum(_nanos(row) for row in rows if row.calls < 0)
    pays = sum(_nanos(row) for row in rows if row.calls > 0)
    if calls > 0:
        kept = _share(pays, gone, came)
        found = [(LATE, calls, pays - kept), (PRICE, 0, kept - paid)]
    elif calls < 0:
        kept = _share(paid, came, gone)
        found = [(GONE, calls, kept - paid), (PRICE, 0, pays - kept)]
    else:
        same = all(sum(getattr(row, name) for row in rows) == 0 for name in TOKENS)
        found = [(PRICE if same else USAGE, 0, pays - paid)]
    # Amounts that moved without a call: a reported cost that was corrected.
    rest = amount - sum(part for _, _, part in found)
    return [(cause, count, part) for cause, count, part in (*found, (USAGE, 0, rest)) if count or part]


def _moved(
    store: Asks, month: TimeRange, before: Sequence[str], rules: tuple[Allocation, Allocation]
) -> dict[Target, int]:
    """What was there before, booked by the later rules instead of the earlier ones."""
    names = {name for one in rules for name in one.dimensions}
    rows = read(
        store, Ledger(month, tuple(name for name in DIMENSIONS if name in names), closes=tuple(before))
    )
    moved: dict[Target, int] = defaultdict(int)
    for sign, one in ((-1, rules[0]), (1, rules[1])):
        for part in allocate(one, rows):
            moved[part.target] += sign * _nanos(part.row)
    return moved


def total_of(parts: Iterable[Difference]) -> Decimal:
    """The sum of differences, exactly."""
    return dollars(sum(nanos(part.usd) for part in parts))


def by_cause(parts: Iterable[Difference]) -> Mapping[str, tuple[int, Decimal]]:
    """Calls and USD by cause, in the order of `CAUSES`."""
    sums: dict[str, list[int]] = {}
    for part in parts:
        found = sums.setdefault(part.cause, [0, 0])
        found[0] += part.calls
        found[1] += nanos(part.usd)
    return {cause: (sums[cause][0], dollars(sums[cause][1])) for cause in CAUSES if cause in sums}


def _nanos(row: LedgerRow) -> int:
    return 0 if row.cost_usd is None else nanos(row.cost_usd)


def _share(amount: int, part: int, whole: int) -> int:
    return round_half_even(amount * part, whole) if whole else 0


def round_half_even(numerator: int, denominator: int) -> int:
    """Divide whole numbers, rounding half to even. The denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))
