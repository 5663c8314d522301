"""Spend as a table, for files and the command line: a row a group, whose columns sum to the ledger."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.ledger import TOKENS, dollars, nanos
from promptspan_server.finance.table_files import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from promptspan_server.finance.spend import Group, Spend

_COLUMNS: Final = {
    "calls": "count",
    "priced_calls": "count",
    "unpriced_calls": "count",
    "no_usage_calls": "count",
    "cost_usd": "quantity",
    "cost_per_call_usd": "quantity",
    "before_usd": "quantity",
    "change_usd": "quantity",
    "volume_usd": "quantity",
    "mix_usd": "quantity",
    "tokens_usd": "quantity",
    "price_usd": "quantity",
    **{f"{name}_tokens": "count" for name in TOKENS},
}


def spend_table(spend: Spend) -> Table:
    """Return the columns: the grouping's name, then counts and amounts in USD with nine places.

    With exchange rates, cost and name of the reporting currency too.
    """
    columns = {spend.by: "text", **_COLUMNS}
    if spend.reporting is not None:
        columns |= {"reporting_cost": "money", "reporting_currency": "text"}
    return Table("Spend", columns)


def spend_rows(spend: Spend) -> Iterator[tuple[Any, ...]]:
    """Return a row a group, the dearest first. A cost that is not known is None, never 0."""
    return ((*_row(group), *_reporting(spend, group)) for group in spend.groups)


def _row(group: Group) -> tuple[Any, ...]:
    now, found = group.now, group.drivers
    return (
        group.name,
        now.calls,
        now.costed,
        now.unpriced,
        now.no_usage,
        now.cost_usd,
        per_call(group),
        group.before.cost_usd,
        found.change,
        found.volume,
        found.mix,
        found.tokens,
        found.price,
        *(getattr(now, name) for name in TOKENS),
    )


def _reporting(spend: Spend, group: Group) -> tuple[Any, ...]:
    if spend.reporting is None:
        return ()
    return spend.reporting.by_group[group.name], spend.reporting.currency


def per_call(group: Group) -> Decimal | None:
    """Mean cost of a call with a known cost in USD, to nine places; None if no cost is known."""
    if group.now.cost_usd is None or not group.now.costed:
        return None
    return dollars(round(Fraction(nanos(group.now.cost_usd), group.now.costed)))
