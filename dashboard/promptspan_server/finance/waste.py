"""What calls cost that brought nothing, or need not have been made so."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from promptspan_server.finance.ledger import total
from promptspan_server.finance.table_files import Part, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from promptspan_server.finance.ledger import LedgerRow
    from promptspan_server.finance.outcomes import AvoidableRow

_FAILURES: Final = {"error": "Failed", "cancelled": "Cancelled or abandoned", "incomplete": "Cut short"}


@dataclass(frozen=True, slots=True)
class Waste:
    """Money for nothing, of one kind.

    Attributes:
        kind: What went wrong.
        calls: How many; None where it cannot be told.
        usd: What they cost, or what could have been saved; None if no cost is known.
        means: How it is counted, where the kind does not say it.
    """

    kind: str
    calls: int | None
    usd: Decimal | None
    means: str = ""


def of_the_ledger(rows: Iterable[LedgerRow]) -> tuple[Waste, ...]:
    """Return what the ledger knows: failed, cancelled, cut short, retried. A call is in one of them only.

    Args:
        rows: A ledger by status.
    """
    by_status: dict[str, list[LedgerRow]] = defaultdict(list)
    for row in rows:
        by_status[row.keys["status"]].append(row)
    found: list[Waste] = []
    for status, kind in _FAILURES.items():
        whole = total(by_status[status])
        if whole.calls:
            found.append(Waste(kind, whole.calls, whole.cost_usd))
    retried = total(by_status["ok"])
    if retried.retries:
        found.append(
            Waste("Second and later tries that succeeded", retried.retries, retried.retries_cost_usd)
        )
    return tuple(found)


def of_the_calls(row: AvoidableRow) -> tuple[Waste, ...]:
    """Return what only the calls themselves tell; one call can be in several of these."""
    texts = f"of the {row.with_text:,} calls whose text was captured"
    return (
        Waste("Ended at their limit of tokens", row.truncated, row.truncated_usd, "first tries alone"),
        Waste(
            "Could have read the provider's cache",
            row.misses,
            row.misses_usd,
            "what reading would have saved: as many tokens as half of the calls of the same prompt version "
            "and model read at least, within five minutes of another call",
        ),
        Waste(
            "Asked again what had been asked",
            row.repeated if row.with_text else None,
            row.repeated_usd if row.with_text else None,
            f"same prompt version, model and text; {texts}" if row.with_text else "no call has its text",
        ),
    )


def waste_part(found: Sequence[Waste]) -> Part:
    """Return it as a table: kind, calls, USD, and how it is counted."""
    columns = {"kind": "text", "calls": "count", "usd": "quantity", "means": "text"}
    return Part(Table("Waste", columns), [(each.kind, each.calls, each.usd, each.means) for each in found])
