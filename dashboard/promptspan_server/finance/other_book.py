"""What the same tokens would have cost by another price file: the ledger priced again, exactly.

Only prices change: what a call's model is called stays as it is. The ledger adds calls up by day and by the
price that made their cost, so another price is taken where it is one for all calls of such a row. Where it is
not (a context tier that begins elsewhere, a price that changes during a day) the row is left out, and said.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.ledger import TOKENS, Ledger, dollars, nanos, stream
from promptspan_server.pricing.meters import METER_NAMES
from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.finance.ledger import Asks, LedgerRow
    from promptspan_server.pricing.book import Book
    from promptspan_server.pricing.rates import Rate
    from promptspan_server.queries.scope import TimeRange

_BY: Final = ("day", "tenant", "provider", "model", "tier", "price_status", "price_id", "rate_id")


@dataclass(frozen=True, slots=True)
class Span:
    """A price that made costs, and which calls it is for.

    Attributes:
        rate_id: `price_rates.rate_id`: it means the same in every book.
        input_from: Inclusive input tokens from which it applies.
        input_to: Below which it applies.
        day_from_s: Second of the UTC day from which it applies.
        day_to_s: Before which it applies.
        request_usd: Of a call besides its tokens.
        usd_per_mtok: By meter, None where none is known.
    """

    rate_id: str
    input_from: int
    input_to: int
    day_from_s: int
    day_to_s: int
    request_usd: Decimal
    usd_per_mtok: tuple[Decimal | None, ...]


@dataclass(frozen=True, slots=True)
class SpansUsed(Query[Span]):
    """Which prices made the costs of a range, and for which calls are they?

    Attributes:
        range: Whole hours, UTC.
        limit: At most this many.
    """

    range: TimeRange
    limit: int = 100_000

    def sql(self) -> str:
        """See `Query.sql`."""
        prices = ", ".join(
            f"any(if(bitTest(meters, {bit}), {name}_usd_per_mtok, NULL))"
            for bit, name in enumerate(METER_NAMES)
        )
        return f"""
            SELECT
                rate_id, any(input_from), any(input_to), any(day_from_s), any(day_to_s), any(request_usd),
                {prices}
            FROM price_rates
            WHERE rate_id IN
            (
                SELECT rate_id FROM llm_hourly WHERE {self.range.where("hour")} AND rate_id != ''
            )
            GROUP BY rate_id
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.range.parameters(), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> Span:
        """See `Query.row`."""
        return Span(*values[:6], usd_per_mtok=tuple(values[6:]))


@dataclass(frozen=True, slots=True)
class OtherBook:
    """A month by the book in force and by another one.

    Attributes:
        version: Of the other book.
        calls: Calls with a cost by both: what a provider returned, and what a cache answered, stays as it is.
        usd: What they cost.
        other_usd: What they would have cost, rounded once to nine places.
        left_out: Calls with a cost that the other book has none for, by reason.
        gained: Calls without a price that the other book has one for.
        gained_usd: What they would have cost.
        unknown: Calls without a cost by either.
    """

    version: str
    calls: int
    usd: Decimal
    other_usd: Decimal
    left_out: Mapping[str, int]
    gained: int
    gained_usd: Decimal
    unknown: int


def read_other_book(
    store: Asks,
    time_range: TimeRange,
    book: Book,
    where: Sequence[tuple[str, str]] = (),
) -> OtherBook:
    """Read the ledger by days and price it by another book.

    Args:
        store: Who answers.
        time_range: Whole hours, UTC.
        book: The other book.
        where: Pairs of dimension and value.
    """
    used = {span.rate_id: span for span in store.ask(SpansUsed(time_range)).rows}
    return other_book(stream(store, Ledger(time_range, _BY, tuple(where))), book, used)


def other_book(rows: Iterable[LedgerRow], book: Book, used: Mapping[str, Span]) -> OtherBook:
    """Price a ledger again.

    Args:
        rows: By day, tenant, provider, model, tier, price status, price and rate.
        book: The other book.
        used: The prices that made the costs, by `rate_id`.
    """
    rates: dict[tuple[str, str, str], list[Rate]] = defaultdict(list)
    for rate in book.rates:
        rates[rate.price_id, rate.tier, rate.tenant].append(rate)
    calls = nano = gained = unknown = 0
    other, gained_nano = Fraction(0), Fraction(0)
    left_out: dict[str, int] = defaultdict(int)
    for row in rows:
        old = used.get(row.keys["rate_id"])
        if row.cost_usd is not None and old is None:
            # Returned by the provider, or answered by a cache of the application: no book changes it.
            calls += row.costed
            nano += nanos(row.cost_usd)
            other += nanos(row.cost_usd)
            continue
        if row.no_usage:
            unknown += row.calls
            continue
        found = _priced(row, old, rates)
        if row.cost_usd is None:
            gained += 0 if isinstance(found, str) else row.calls
            gained_nano += 0 if isinstance(found, str) else found
            unknown += row.calls if isinstance(found, str) else 0
        elif isinstance(found, str):
            left_out[found] += row.calls
        else:
            calls += row.costed
            nano += nanos(row.cost_usd)
            other += found
    return OtherBook(
        book.version,
        calls,
        dollars(nano),
        dollars(round(other)),
        dict(left_out),
        gained,
        dollars(round(gained_nano)),
        unknown,
    )


def _priced(
    row: LedgerRow, old: Span | None, rates: Mapping[tuple[str, str, str], Sequence[Rate]]
) -> Fraction | str:
    """Return billionths of a dollar, or why there is no price."""
    assert row.at is not None
    keys = row.keys
    price_id = keys["price_id"] or f"{keys['provider']}/{keys['model']}".lower()
    fitting = [
        rate
        for rate in _of_the_model(price_id, keys["tier"].lower(), keys["tenant"], rates)
        if _overlaps(rate, old, row.at)
    ]
    if not fitting:
        return f"no price for {price_id or 'calls without a model'}"
    if len({(rate.usd_per_mtok, rate.request_usd) for rate in fitting}) > 1:
        return f"several prices of {price_id} in what the ledger adds up"
    rate = fitting[0]
    if row.cost_usd is not None and old is not None and _same(rate, old):
        # What rounding each call took is the same too.
        return Fraction(nanos(row.cost_usd))
    used = [(name, getattr(row, name), usd) for name, usd in zip(TOKENS, rate.usd_per_mtok, strict=True)]
    missing = [name for name, number, usd in used if number and usd is None]
    if missing:
        return f"no price of {price_id} for {', '.join(missing)} tokens"
    by_tokens = sum(number * Fraction(usd or 0) * 1000 for _, number, usd in used)
    return row.calls * Fraction(rate.request_usd) * 10**9 + by_tokens


def _same(rate: Rate, old: Span) -> bool:
    return (rate.usd_per_mtok, rate.request_usd) == (old.usd_per_mtok, old.request_usd)


def _of_the_model(
    price_id: str, tier: str, tenant: str, rates: Mapping[tuple[str, str, str], Sequence[Rate]]
) -> Sequence[Rate]:
    # As calls are priced: a tier without prices of its own is the standard one, a tenant without a contract
    # pays what everybody does.
    tier = tier if (price_id, tier, "") in rates or (price_id, tier, tenant) in rates else ""
    return rates.get((price_id, tier, tenant)) or rates.get((price_id, tier, "")) or ()


def _overlaps(rate: Rate, old: Span | None, day: datetime) -> bool:
    if rate.valid_to <= day or rate.valid_from >= day + timedelta(days=1):
        return False
    return old is None or (
        rate.input_from < old.input_to
        and old.input_from < rate.input_to
        and rate.day_from_s < old.day_to_s
        and old.day_from_s < rate.day_to_s
    )
