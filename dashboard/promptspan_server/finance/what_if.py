"""What the same tokens would have cost on another model, at today's price."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from promptspan_server.finance.ledger import TOKENS, dollars, nanos
from promptspan_server.finance.table_files import Part, Table
from promptspan_server.pricing.meters import METER_NAMES
from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.ledger import LedgerRow


@dataclass(frozen=True, slots=True)
class PriceNow:
    """A model's price.

    Attributes:
        price_id: `provider/model`.
        usd_per_mtok: By meter, None where none is known.
        request_usd: Of a call besides its tokens.
    """

    price_id: str
    usd_per_mtok: tuple[Decimal | None, ...]
    request_usd: Decimal


@dataclass(frozen=True, slots=True)
class PricesOf(Query[PriceNow]):
    """What does a model cost now, in the standard tier, for short inputs and without a contract of a tenant?

    Attributes:
        price_id: `provider/model`, in any case of letters.
    """

    price_id: str

    def sql(self) -> str:
        """See `Query.sql`."""
        prices = ", ".join(
            f"if(bitTest(meters, {bit}), {name}_usd_per_mtok, NULL)" for bit, name in enumerate(METER_NAMES)
        )
        return f"""
            SELECT price_id, {prices}, request_usd
            FROM price_rates FINAL
            WHERE book = (SELECT argMax(book, applied_at) FROM price_books)
              AND lower(price_id) = {{price_id:String}} AND tier = '' AND tenant = '' AND input_from = 0
              AND now('UTC') >= valid_from AND now('UTC') < valid_to
              AND toUInt32(toUnixTimestamp(now('UTC')) % 86400) >= day_from_s
              AND toUInt32(toUnixTimestamp(now('UTC')) % 86400) < day_to_s
            LIMIT 1
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"price_id": self.price_id.lower()}

    def row(self, values: Sequence[Any]) -> PriceNow:
        """See `Query.row`."""
        price_id, *prices, request = values
        return PriceNow(price_id, tuple(prices), request)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Two prices of the same calls.

    Attributes:
        calls: Calls with a known cost: only they can be compared.
        usd: What they cost.
        other_usd: Their tokens at the other price; None if it has no price for a bucket they used.
        missing: Buckets without a price.
    """

    calls: int
    usd: Decimal
    other_usd: Decimal | None
    missing: tuple[str, ...]


def what_if(rows: Iterable[LedgerRow], price: PriceNow) -> WhatIf:
    """Price the tokens of rows again, exactly, rounded once to nine places.

    Args:
        rows: A ledger by price status: rows without a cost are left out.
        price: The other price.
    """
    calls = nano = 0
    tokens = [0] * len(TOKENS)
    for row in rows:
        if row.cost_usd is None:
            continue
        calls += row.costed
        nano += nanos(row.cost_usd)
        for meter, name in enumerate(TOKENS):
            tokens[meter] += getattr(row, name)
    missing = tuple(
        name
        for name, number, usd in zip(TOKENS, tokens, price.usd_per_mtok, strict=True)
        if number and usd is None
    )
    other = calls * Fraction(price.request_usd) * 10**9
    for number, usd in zip(tokens, price.usd_per_mtok, strict=True):
        other += number * Fraction(usd or 0) * 1000
    return WhatIf(calls, dollars(nano), None if missing else dollars(round(other)), missing)


def what_if_part(found: Sequence[tuple[str, int, Decimal, Decimal]]) -> Part:
    """Return comparisons as a table: on or by what, priced calls, USD as it was and then, the difference."""
    columns = {
        "instead": "text",
        "calls": "count",
        "cost_usd": "quantity",
        "other_usd": "quantity",
        "difference_usd": "quantity",
    }
    rows = [(name, calls, usd, other, other - usd) for name, calls, usd, other in found]
    return Part(Table("What if", columns), rows)
