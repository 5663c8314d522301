"""The provider's bill beside the ledger: where they differ, and by how much for which reason.

For a day and a model (and a key), with everything valued at the price of the ledger's own calls:

- missing calls: the share of the bill's tokens that belongs to calls which the ledger does not have;
- tokens: what is left of the difference in tokens;
- price: what the bill's tokens cost by the bill, and by the ledger's price;
- rounding: of a price difference, what rounding of the bill's lines and of the ledger's calls can make;
- other charges: lines of the bill that are not for tokens (searches, sessions, storage);
- unexplained: what cannot be told, because a side has no tokens or no price.

All of it is counted in fractions; the parts of a row add up to its difference exactly.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timezone
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from promptspan_server.finance.adjustments import round_half_even
from promptspan_server.finance.bills import BUCKETS, model_name
from promptspan_server.finance.ledger import Ledger, dollars, nanos, stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from promptspan_server.finance.bills import BillLine
    from promptspan_server.finance.focus import RateRecord
    from promptspan_server.finance.ledger import Asks, LedgerRow
    from promptspan_server.queries.scope import TimeRange

MISSING: Final[str] = "missing calls"
TOKENS: Final[str] = "tokens"
PRICE: Final[str] = "price"
ROUNDING: Final[str] = "rounding"
OTHER: Final[str] = "other charges"
UNEXPLAINED: Final[str] = "unexplained"
PARTS: Final = (MISSING, TOKENS, PRICE, ROUNDING, OTHER, UNEXPLAINED)

KEYS: Final = ("service", "tenant", "feature", "environment")
"""Dimensions of the ledger that a bill's keys can stand for."""

_NANO: Final = 10**9
_MILLION: Final = 10**6


@dataclass(frozen=True, slots=True)
class Compared:
    """One day, model and key by both.

    Attributes:
        day: UTC.
        model: As it is compared; empty for what is not about a model.
        key: Empty unless keys are compared.
        requests: By the bill, None where it does not count them.
        calls: By the ledger.
        billed_usd: By the bill, nine places.
        ledger_usd: By the ledger.
        parts: Of the difference, by name of `PARTS`; those that are zero are left out.
    """

    day: date
    model: str
    key: str
    requests: int | None
    calls: int
    billed_usd: Decimal
    ledger_usd: Decimal
    parts: Mapping[str, Decimal] = field(hash=False)

    @property
    def difference_usd(self) -> Decimal:
        """Bill less ledger: the sum of the parts."""
        return dollars(nanos(self.billed_usd) - nanos(self.ledger_usd))


@dataclass(slots=True)
class _Side:
    """What one side says of a day, model and key."""

    calls: int = 0
    counted: bool = False
    cost: Fraction = Fraction(0)
    lines: int = 0
    precision: Fraction = Fraction(0)
    tokens: dict[str, int] | None = None
    worth: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    priced: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    prices: dict[str, Fraction] = field(default_factory=dict[str, Fraction])

    def count(self, tokens: Mapping[str, int]) -> None:
        self.tokens = self.tokens or dict.fromkeys(BUCKETS, 0)
        for bucket, number in tokens.items():
            self.tokens[bucket] += number

    def price(self, bucket: str) -> Fraction | None:
        """USD for a token, on average over the calls that have a price."""
        if self.priced[bucket]:
            return self.worth[bucket] / self.priced[bucket]
        return self.prices.get(bucket)


def read_ledger(
    store: Asks,
    month: TimeRange,
    provider: str,
    key_is: str | None,
    closes: tuple[str, ...],
) -> list[LedgerRow]:
    """Read a provider's part of a month, as `compare` takes it."""
    by = ("day", "model", "price_status", "rate_id", *([key_is] if key_is else []))
    return list(stream(store, Ledger(month, by, (("provider", provider),), closes=closes)))


def compare(
    bill: Iterable[BillLine],
    ledger: Iterable[LedgerRow],
    rates: Mapping[str, RateRecord],
    key_is: str | None = None,
) -> list[Compared]:
    """Put a bill beside the ledger.

    Args:
        bill: Its lines, usage and costs.
        ledger: Groups by day, model, price status, rate and (if keys are compared) `key_is`.
        rates: The prices of the groups, by `rate_id`.
        key_is: Which dimension of the ledger the bill's keys are; None compares keys together.

    Returns:
        Every day, model and key that one of them has, in this order.
    """
    billed: dict[tuple[date, str, str], _Side] = defaultdict(_Side)
    others: dict[tuple[date, str, str], Fraction] = defaultdict(Fraction)
    for line in bill:
        where = (line.day, line.model, line.key if key_is else "")
        if line.what or not line.model:
            others[line.day, line.what, where[2]] += Fraction(line.usd or 0)
            continue
        side = billed[where]
        if line.requests is not None:
            side.calls += line.requests
            side.counted = True
        if line.tokens is not None:
            side.count(line.tokens)
        if line.usd is not None:
            side.cost += Fraction(line.usd)
            side.lines += 1
            side.precision += _half_unit(line.usd)
    ours: dict[tuple[date, str, str], _Side] = defaultdict(_Side)
    for row in ledger:
        assert row.at is not None
        key = row.keys[key_is] if key_is else ""
        _book(ours[row.at.astimezone(timezone.utc).date(), model_name(row.keys["model"]), key], row, rates)
    found = [
        _compared(where, billed.get(where), ours.get(where)) for where in sorted(billed.keys() | ours.keys())
    ]
    for (day, what, key), amount in sorted(others.items()):
        usd = dollars(_nano(amount))
        part = OTHER if what else UNEXPLAINED
        found.append(
            Compared(day, what or "no model given", key, None, 0, usd, Decimal(0), {part: usd} if usd else {})
        )
    return found


def _book(side: _Side, row: LedgerRow, rates: Mapping[str, RateRecord]) -> None:
    if row.keys["price_status"] == "priced" and not row.keys["rate_id"]:
        return  # answered by a cache of the application: no provider saw it
    side.calls += row.calls
    side.counted = True
    if row.cost_usd is not None:
        side.cost += Fraction(row.cost_usd)
        side.precision += Fraction(row.calls, 2 * _NANO)
    tokens = {name: getattr(row, name) for name in BUCKETS if name != "output"}
    side.count(tokens | {"output": row.output + row.reasoning})
    rate = rates.get(row.keys["rate_id"])
    if rate is None:
        return
    for index, name in enumerate(_METERS):
        bucket = "output" if name == "reasoning" else name
        price = rate.usd_per_mtok[index]
        if price is not None:
            number: int = getattr(row, name)
            each = Fraction(price) / _MILLION
            side.worth[bucket] += number * each
            side.priced[bucket] += number
            side.prices.setdefault(bucket, each)


_METERS: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "output",
    "reasoning",
    "audio_output",
)


def _compared(where: tuple[date, str, str], bill: _Side | None, ledger: _Side | None) -> Compared:
    theirs, ours = bill or _Side(), ledger or _Side()
    difference = theirs.cost - ours.cost
    parts = _parts(theirs, ours, difference)
    billed, booked = dollars(_nano(theirs.cost)), dollars(_nano(ours.cost))
    rounded = {name: _nano(part) for name, part in parts.items()}
    # What rounding to nine places left over is rounding too.
    rest = nanos(billed) - nanos(booked) - sum(rounded.values())
    rounded[ROUNDING] = rounded.get(ROUNDING, 0) + rest
    return Compared(
        *where,
        theirs.calls if theirs.counted else None,
        ours.calls,
        billed,
        booked,
        {name: dollars(rounded[name]) for name in PARTS if rounded.get(name)},
    )


def _parts(theirs: _Side, ours: _Side, difference: Fraction) -> dict[str, Fraction]:
    if not theirs.lines and not theirs.counted and theirs.tokens is None:
        # The bill has no such calls: the ledger's are too many.
        return {MISSING: difference}
    if not ours.calls:
        return {MISSING: difference}
    if theirs.tokens is None:
        near = abs(difference) <= theirs.precision + ours.precision
        return {ROUNDING if near else UNEXPLAINED: difference}
    if not theirs.lines:
        return {UNEXPLAINED: difference}
    their_worth, our_worth = _worth(theirs.tokens, ours), _worth(ours.tokens or {}, ours)
    if their_worth is None or our_worth is None:
        return {UNEXPLAINED: difference}
    missing = Fraction(0)
    if theirs.counted and theirs.calls > ours.calls:
        missing = their_worth * (theirs.calls - ours.calls) / theirs.calls
    elif theirs.counted and theirs.calls < ours.calls:
        missing = -our_worth * (ours.calls - theirs.calls) / ours.calls
    price = (theirs.cost - their_worth) + (our_worth - ours.cost)
    near = abs(price) <= theirs.precision + ours.precision
    return {
        MISSING: missing,
        TOKENS: their_worth - our_worth - missing,
        ROUNDING if near else PRICE: price,
    }


def _worth(tokens: Mapping[str, int], ours: _Side) -> Fraction | None:
    """What tokens cost at the ledger's price, None if some have none."""
    total = Fraction(0)
    for bucket, number in tokens.items():
        price = ours.price(bucket)
        if number and price is None:
            return None
        total += number * (price or 0)
    return total


def _half_unit(usd: Decimal) -> Fraction:
    exponent = usd.as_tuple().exponent
    return Fraction(1, 2 * 10 ** max(-exponent, 0)) if isinstance(exponent, int) else Fraction(0)


def _nano(amount: Fraction) -> int:
    scaled = amount * _NANO
    return round_half_even(scaled.numerator, scaled.denominator)


def sums(rows: Iterable[Compared]) -> dict[str, Decimal]:
    """The parts of all rows, by name of `PARTS`."""
    found: dict[str, int] = dict.fromkeys(PARTS, 0)
    for row in rows:
        for name, part in row.parts.items():
            found[name] += nanos(part)
    return {name: dollars(amount) for name, amount in found.items()}


def unexplained(rows: Iterable[Compared]) -> Decimal:
    """How much is not explained, whatever its sign: too much here does not make up for too little there."""
    return dollars(sum(abs(nanos(row.parts.get(UNEXPLAINED, Decimal(0)))) for row in rows))
