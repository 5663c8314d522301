"""The prices in force, as people look them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

# A bucket without a price of its own has its parent's; the root buckets have none if their bit is not set.
_COLUMNS = """
    price_id,
    tier,
    tenant,
    toUnixTimestamp(valid_from) * 1000000,
    toUnixTimestamp(valid_to) * 1000000,
    input_from,
    if(bitTest(meters, 0), input_usd_per_mtok, NULL),
    if(bitTest(meters, 1), cache_read_usd_per_mtok, NULL),
    if(bitTest(meters, 2), cache_write_5m_usd_per_mtok, NULL),
    if(bitTest(meters, 5), output_usd_per_mtok, NULL),
    if(contract = '', toString(source), contract)
"""
_BOOK = "book = (SELECT argMax(book, applied_at) FROM price_books)"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What a model costs in a time and a range of input sizes.

    Attributes:
        price_id: `provider/model`.
        tier: Service tier, empty for the standard one.
        tenant: Whose contract it is, empty for everybody's price.
        valid_from: Inclusive, UTC; 1970 where no earlier price is known.
        valid_to: Exclusive, UTC.
        input_from: Tokens of input from which it applies.
        input_usd: USD per million uncached input tokens, None if unknown; so the next three.
        cache_read_usd: Of input read from the provider's cache.
        cache_write_usd: Of input written to it for five minutes.
        output_usd: Of output.
        source: The price list, or the contract that changed it.
    """

    price_id: str
    tier: str
    tenant: str
    valid_from: datetime
    valid_to: datetime
    input_from: int
    input_usd: Decimal | None
    cache_read_usd: Decimal | None
    cache_write_usd: Decimal | None
    output_usd: Decimal | None
    source: str


def _row(values: Sequence[Any]) -> PriceRow:
    price_id, tier, tenant, valid_from, valid_to, *rest = values
    return PriceRow(price_id, tier, tenant, from_micros(valid_from), from_micros(valid_to), *rest)


@dataclass(frozen=True, slots=True)
class PricesNow(Query[PriceRow]):
    """What does each model cost today, in the standard tier, without a contract?

    Attributes:
        text: Only models whose `provider/model` contains this, in lower case.
        limit: At most this many rows.
    """

    text: str = ""
    limit: int = 5_000

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT {_COLUMNS}
            FROM price_rates FINAL
            WHERE {_BOOK}
              AND position(lower(price_id), {{text:String}}) > 0
              AND tier = '' AND tenant = '' AND input_from = 0
              AND now('UTC') >= valid_from AND now('UTC') < valid_to
              AND day_from_s = 0
            ORDER BY price_id
            LIMIT {{limit:UInt32}}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"text": self.text.lower(), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> PriceRow:
        """See `Query.row`."""
        return _row(values)


@dataclass(frozen=True, slots=True)
class PriceHistory(Query[PriceRow]):
    """What has a model cost, in every tier and contract, since when?

    Attributes:
        model: `provider/model`, or the model's name alone; in any case of letters.
        limit: At most this many rows.
    """

    model: str
    limit: int = 5_000

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT {_COLUMNS}
            FROM price_rates FINAL
            WHERE {_BOOK}
              AND endsWith(concat('/', lower(price_id)), concat('/', {{model:String}}))
            ORDER BY price_id, tenant, tier, valid_from, input_from, day_from_s
            LIMIT {{limit:UInt32}}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"model": self.model.lower(), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> PriceRow:
        """See `Query.row`."""
        return _row(values)
