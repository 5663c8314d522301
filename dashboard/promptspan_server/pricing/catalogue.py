"""What the book in force says: the questions behind `promptspan prices list` and `promptspan prices show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.pricing.meters import METER_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.store.executor import Executor

_COLUMNS = (
    "price_id, tier, tenant, valid_from, valid_to, day_from_s, day_to_s, input_from, input_to, source, "
    "contract, request_usd, meters, " + ", ".join(f"{name}_usd_per_mtok" for name in METER_NAMES)
)
_FIXED = 13
_IN_FORCE = "price_rates FINAL WHERE book = (SELECT argMax(book, applied_at) FROM price_books)"


@dataclass(frozen=True)
class BookInForce:
    """Which book prices calls, and since when."""

    version: str
    hash: str
    applied_at: datetime
    models: int
    rows: int


@dataclass(frozen=True)
class PriceLine:
    """One price row.

    Attributes:
        price_id: Provider and model.
        tier: Service tier, empty for the standard one.
        tenant: Whose contract it is, empty for everybody else.
        valid_from: UTC, inclusive; 1970-01-01 where no earlier price is known.
        valid_to: UTC, exclusive; 2106-01-01 where no end is known.
        day_from_s: Second of the UTC day from which it holds, inclusive.
        day_to_s: Second of the UTC day until which it holds, exclusive.
        input_from: Inclusive input in tokens from which it holds, inclusive.
        input_to: Inclusive input in tokens until which it holds, exclusive.
        source: `genai-prices` or `prices.yaml`.
        contract: The rule of `prices.yaml` behind it.
        request_usd: USD for a call besides its tokens.
        usd_per_mtok: USD per million tokens by bucket; None where the bucket has no price.
    """

    price_id: str
    tier: str
    tenant: str
    valid_from: datetime
    valid_to: datetime
    day_from_s: int
    day_to_s: int
    input_from: int
    input_to: int
    source: str
    contract: str
    request_usd: Decimal
    usd_per_mtok: Mapping[str, Decimal | None]


def book_in_force(executor: Executor) -> BookInForce | None:
    """The book that prices calls now; None before the first synchronisation."""
    rows = executor.rows(
        "SELECT version, book, applied_at, models, price_rows FROM price_books"
        " ORDER BY applied_at DESC LIMIT 1"
    )
    return BookInForce(*rows[0]) if rows else None


def list_prices(executor: Executor, *, search: str = "", at: datetime, limit: int = 100) -> list[PriceLine]:
    """Prices in force at a moment.

    Args:
        executor: The store.
        search: Part of a price id, in any case; empty for all.
        at: The moment, UTC.
        limit: Rows at most.
    """
    return _lines(
        executor,
        "positionCaseInsensitive(price_id, {search:String}) > 0"
        " AND valid_from <= toDateTime({at:UInt32}, 'UTC') AND toDateTime({at:UInt32}, 'UTC') < valid_to",
        {"search": search, "at": str(int(at.timestamp()))},
        limit,
    )


def show_price(executor: Executor, price_id: str, *, limit: int = 1000) -> list[PriceLine]:
    """Every row of one price, oldest first: all its dates, tiers, context thresholds and contracts."""
    return _lines(executor, "price_id = {price_id:String}", {"price_id": price_id}, limit)


def _lines(executor: Executor, condition: str, params: Mapping[str, str], limit: int) -> list[PriceLine]:
    rows = executor.rows(
        f"SELECT {_COLUMNS} FROM {_IN_FORCE} AND {condition}"  # noqa: S608 - constants of this module
        " ORDER BY price_id, tier, tenant, valid_from, day_from_s, input_from LIMIT {limit:UInt32}",
        {**params, "limit": str(limit)},
    )
    return [_line(row) for row in rows]


def _line(row: tuple[Any, ...]) -> PriceLine:
    fixed, meters, prices = row[: _FIXED - 1], int(row[_FIXED - 1]), row[_FIXED:]
    by_meter = {
        name: price if meters >> bit & 1 else None
        for bit, (name, price) in enumerate(zip(METER_NAMES, prices, strict=True))
    }
    return PriceLine(*fixed, usd_per_mtok=by_meter)
