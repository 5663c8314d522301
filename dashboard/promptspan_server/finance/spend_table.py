"""Spend as a table, for files and the command line: a row a group, whose columns sum to the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.ledger import TOKENS, total
from promptspan_server.finance.table_files import Part, Table
from promptspan_server.finance.unit_cost import each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from promptspan_server.finance.ledger import LedgerRow
    from promptspan_server.finance.spend import Group, Spend

_COLUMNS: Final = {
    "calls": "count",
    "priced_calls": "count",
    "unpriced_calls": "count",
    "no_usage_calls": "count",
    "cost_usd": "quantity",
    "cost_per_call_usd": "quantity",
    "cost_per_1000_calls_usd": "quantity",
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
        per_thousand(group),
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
    return each(group.now.cost_usd, group.now.costed)


def per_thousand(group: Group) -> Decimal | None:
    """Mean cost of a thousand calls with a known cost in USD, to nine places; None if no cost is known."""
    return each(group.now.cost_usd, group.now.costed, 1000)


def groups_part(spend: Spend) -> Part:
    """Return the groups as a table."""
    return Part(spend_table(spend), list(spend_rows(spend)))


def unknown(spend: Spend) -> list[tuple[str, str, LedgerRow]]:
    """Return the calls without a known cost: model, `unpriced` or `no_usage`, and sums; most calls first."""
    by_model: dict[tuple[str, str], list[LedgerRow]] = {}
    for row in spend.rows:
        if row.unpriced or row.no_usage:
            by_model.setdefault((row.keys["model"], row.keys["price_status"]), []).append(row)
    found = [(model, why, total(rows)) for (model, why), rows in by_model.items()]
    return sorted(found, key=lambda each: (-each[2].calls, each[:2]))


def unknown_part(spend: Spend) -> Part:
    """Return them as a table: model, why, calls, known tokens."""
    columns = {"model": "text", "why": "text", "calls": "count", "tokens": "count"}
    rows = [(model, why, row.calls, row.tokens or None) for model, why, row in unknown(spend)]
    return Part(Table("Not known", columns), rows)
