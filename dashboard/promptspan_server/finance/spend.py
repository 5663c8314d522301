"""A month of spend: by group, against the month before, and what of it was wasted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from promptspan_server.finance.allocation import TARGET_DIMENSIONS, allocate
from promptspan_server.finance.charge_source import rates_used
from promptspan_server.finance.drivers import Drivers, cells, drivers
from promptspan_server.finance.ledger import DIMENSIONS, Ledger, nanos, read, stream, total
from promptspan_server.finance.reporting import reporting
from promptspan_server.finance.waste import of_the_ledger
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.allocation import Allocated, Allocation
    from promptspan_server.finance.currency import ExchangeRates
    from promptspan_server.finance.focus import RateRecord
    from promptspan_server.finance.ledger import Asks, LedgerRow
    from promptspan_server.finance.reporting import Reporting
    from promptspan_server.finance.waste import Waste

GROUPINGS: Final = (
    "feature",
    "team",
    "cost_centre",
    "product",
    "tenant",
    "prompt",
    "version",
    "model",
    "service",
    "environment",
    "tags",
)
"""What spend is shown by: dimensions of the ledger, and what allocation rules say."""

# Beside what is asked for: the cells of drivers, and what is known of each cost.
_ALWAYS: Final = ("model", "status", "price_status", "price_id", "rate_id")


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a month's spend.

    Attributes:
        name: Its value; empty for calls without one, or nobody's.
        now: Sums of the month so far.
        before: Sums of the same stretch of the month before.
        drivers: Why it changed.
    """

    name: str
    now: LedgerRow
    before: LedgerRow
    drivers: Drivers


@dataclass(frozen=True, slots=True)
class Spend:
    """A month of spend by one grouping.

    Attributes:
        by: The grouping.
        range: The part of the month that has begun, whole hours, UTC: it ends with the hour that runs.
        before_range: The stretch of the month before that it is compared with.
        total: Everything; its sums are those of the groups, exactly.
        groups: The dearest first.
        waste: Failed, cancelled, cut short, retried.
        rows: The ledger of the month in cells, for what-if; by days if there is a reporting currency.
        reporting: The month in the reporting currency; None without exchange rates.
    """

    by: str
    range: TimeRange
    before_range: TimeRange
    total: Group
    groups: tuple[Group, ...]
    waste: tuple[Waste, ...]
    rows: tuple[LedgerRow, ...]
    reporting: Reporting | None = None


def so_far(month_range: TimeRange, now: datetime) -> tuple[TimeRange, TimeRange]:
    """Return the part of a month that has begun, and as much of the month before.

    A month that is over is compared with the whole month before, however long each is.

    Raises:
        ValueError: The month has not begun.
    """
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if month_range.start >= hour:
        raise ValueError(f"{month_range.start:%Y-%m} has not begun")
    first = (month_range.start - timedelta(days=1)).replace(day=1)
    if hour >= month_range.end:
        return month_range, TimeRange(first, month_range.start)
    length = hour - month_range.start
    return TimeRange(month_range.start, hour), TimeRange(first, min(first + length, month_range.start))


def ledger_of(
    time_range: TimeRange, by: str, allocation: Allocation, where: Sequence[tuple[str, str]] = ()
) -> Ledger:
    """Return the question that `spend` needs the answer of."""
    if by not in GROUPINGS:
        raise ValueError(f"spend is shown by {', '.join(GROUPINGS)}, not by {by!r}")
    used = {*_ALWAYS, by, *allocation.dimensions}
    return Ledger(time_range, tuple(name for name in DIMENSIONS if name in used), tuple(where))


def read_spend(
    store: Asks,
    month_range: TimeRange,
    now: datetime,
    by: str,
    allocation: Allocation,
    *,
    where: Sequence[tuple[str, str]] = (),
    exchange: ExchangeRates | None = None,
) -> Spend:
    """Read a month of spend.

    Args:
        store: Who answers.
        month_range: A whole month.
        now: When this is, UTC.
        by: One of `GROUPINGS`.
        allocation: Who pays. With `where`, costs are split in proportion to what is left by it.
        where: Pairs of dimension and value that narrow the ledger down.
        exchange: Rates of the reporting currency, None for US dollars alone.

    Raises:
        ValueError: The month has not begun, or there is no such grouping.
        RatesError: There is no rate for a day with a cost.
        LedgerTooLarge: The rules and the grouping make too many groups.
    """
    current, past = so_far(month_range, now)
    question = ledger_of(current, by, allocation, where)
    if exchange is None:
        rows = read(store, question)
    else:
        rows = tuple(stream(store, replace(question, by=("day", *question.by))))
    before = read(store, ledger_of(past, by, allocation, where))
    rates = {**rates_used(store, past), **rates_used(store, current)}
    return spend(rows, before, rates, allocation, by=by, ranges=(current, past), exchange=exchange)


def spend(
    rows: Sequence[LedgerRow],
    before: Sequence[LedgerRow],
    rates: Mapping[str, RateRecord],
    allocation: Allocation,
    *,
    by: str,
    ranges: tuple[TimeRange, TimeRange],
    exchange: ExchangeRates | None = None,
) -> Spend:
    """Make a month of spend of the ledgers of two stretches of time; the first by days with `exchange`."""
    now_by, before_by = _grouped(allocate(allocation, rows), by), _grouped(allocate(allocation, before), by)
    whole = _group(
        "",
        [r for part in now_by.values() for r in part],
        [r for part in before_by.values() for r in part],
        rates,
    )
    names = {*now_by, *before_by}
    groups = [_group(name, now_by.get(name, []), before_by.get(name, []), rates) for name in names]
    groups.sort(key=lambda group: (-_nanos(group.now.cost_usd), -_nanos(group.before.cost_usd), group.name))
    other = None
    if exchange is not None:
        parts = ((group.name, (row for _, row in now_by.get(group.name, []))) for group in groups)
        other = reporting(parts, exchange)
    return Spend(by, *ranges, whole, tuple(groups), of_the_ledger(rows), tuple(rows), other)


def group_of(allocated: Allocated, by: str) -> str:
    """Return the value of a grouping that a row belongs to."""
    return getattr(allocated.target, by) if by in TARGET_DIMENSIONS else allocated.row.keys[by]


def _grouped(parts: Iterable[Allocated], by: str) -> dict[str, list[tuple[Hashable, LedgerRow]]]:
    found: dict[str, list[tuple[Hashable, LedgerRow]]] = defaultdict(list)
    for part in parts:
        name = group_of(part, by)
        found[name].append(((name, part.row.keys["model"]), part.row))
    return found


def _group(
    name: str,
    now: Sequence[tuple[Hashable, LedgerRow]],
    before: Sequence[tuple[Hashable, LedgerRow]],
    rates: Mapping[str, RateRecord],
) -> Group:
    return Group(
        name,
        total(row for _, row in now),
        total(row for _, row in before),
        drivers(cells(before, rates), cells(now, rates)),
    )


def _nanos(usd: Decimal | None) -> int:
    return 0 if usd is None else nanos(usd)
