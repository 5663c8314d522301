"""What charges are made of: groups of the ledger or of a closed month, and the prices of their costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.allocation import allocate, direct_weights
from promptspan_server.finance.focus import GROUPING, RateRecord
from promptspan_server.finance.ledger import Ledger, read, stream
from promptspan_server.pricing.meters import METER_NAMES
from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.allocation import Allocation
    from promptspan_server.finance.ledger import Asks, LedgerRow
    from promptspan_server.queries.scope import TimeRange

MAX_RATES: Final = 100_000


@dataclass(frozen=True, slots=True)
class RatesUsed(Query[RateRecord]):
    """Which prices made costs between two moments? An id means the same price in every book, for ever.

    Attributes:
        range: Whole hours, UTC.
        closes: As in `Ledger`.
        limit: At most this many.
    """

    range: TimeRange
    closes: tuple[str, ...] = ()
    limit: int = MAX_RATES

    def sql(self) -> str:
        """See `Query.sql`."""
        source, more = "llm_hourly", ""
        if self.closes:
            source, more = "closed_hourly", " AND close_id IN {closes:Array(String)}"
        prices = ", ".join(
            f"any(if(bitTest(meters, {bit}), {name}_usd_per_mtok, NULL))"
            for bit, name in enumerate(METER_NAMES)
        )
        return f"""
            SELECT
                rate_id, any(price_id), any(tier), any(input_from), any(day_from_s), {prices},
                any(list_usd_per_mtok), any(request_usd), any(contract)
            FROM price_rates
            WHERE rate_id IN
            (
                SELECT rate_id FROM {source} WHERE {self.range.where("hour")}{more} AND rate_id != ''
            )
            GROUP BY rate_id
            ORDER BY rate_id
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        closes = {"closes": list(self.closes)} if self.closes else {}
        return {**self.range.parameters(), **closes, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> RateRecord:
        """See `Query.row`."""
        rate_id, price_id, tier, input_from, day_from_s, *rest = values
        count = len(METER_NAMES)
        listed: Sequence[Decimal | None] = rest[count]
        return RateRecord(
            str(rate_id),
            price_id,
            tier,
            input_from,
            day_from_s,
            tuple(rest[:count]),
            (*listed, *[None] * (count - len(listed))),
            rest[count + 1],
            rest[count + 2],
        )


def rates_used(store: Asks, time_range: TimeRange, closes: tuple[str, ...] = ()) -> dict[str, RateRecord]:
    """Read the prices that made the costs of a range, by `rate_id`."""
    return {rate.rate_id: rate for rate in store.ask(RatesUsed(time_range, closes)).rows}


def groups(
    store: Asks,
    time_range: TimeRange,
    allocation: Allocation | None = None,
    closes: tuple[str, ...] = (),
) -> Iterator[LedgerRow]:
    """Read the groups that charges are made of, day by day, with who pays for them as keys.

    Args:
        store: The store.
        time_range: Of the month.
        allocation: The rules; None for none.
        closes: As in `Ledger`.
    """
    query = Ledger(time_range, GROUPING, closes=closes)
    if allocation is None or not allocation.rules:
        yield from stream(store, query)
        return
    weights = direct_weights(
        allocation, read(store, replace(query, by=tuple(name for name in GROUPING if name != "day")))
    )
    for part in allocate(allocation, stream(store, query), weights):
        target = part.target
        keys = {"team": target.team, "cost_centre": target.cost_centre, "product": target.product}
        yield replace(part.row, keys={**part.row.keys, **keys})
