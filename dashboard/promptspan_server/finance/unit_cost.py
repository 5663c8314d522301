"""What a call, a thousand calls, a user and a success cost."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from promptspan_server.finance.ledger import dollars, nanos
from promptspan_server.finance.table_files import Part, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from promptspan_server.finance.ledger import LedgerRow
    from promptspan_server.finance.outcomes import OutcomeRow, UsersRow


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What one of something cost.

    Attributes:
        unit: `call`, `1000 calls`, `user` or `success`.
        evaluation: Whose successes, else empty.
        usd: What was spent on all of them; None if no cost is known.
        number: How many there were: calls with a known cost, users, successes.
        of: Of how many: calls of the month, calls that name a user, traces that were judged.
        each_usd: `usd` by `number`, to nine places; None if one of them is not known or there was none.
    """

    unit: str
    evaluation: str
    usd: Decimal | None
    number: int
    of: int
    each_usd: Decimal | None


def unit_costs(whole: LedgerRow, users: UsersRow, outcomes: Sequence[OutcomeRow]) -> tuple[UnitCost, ...]:
    """Say what units of a month cost.

    Args:
        whole: The ledger's sums.
        users: The same calls by user.
        outcomes: The same calls by evaluation.
    """
    spent, priced = whole.cost_usd, whole.costed
    return (
        UnitCost("call", "", spent, priced, whole.calls, each(spent, priced)),
        UnitCost("1000 calls", "", spent, priced, whole.calls, each(spent, priced, 1000)),
        UnitCost("user", "", users.usd, users.users, users.calls, each(users.usd, users.users)),
        *(
            UnitCost("success", row.name, row.usd, row.good, row.judged, each(row.usd, row.good))
            for row in outcomes
        ),
    )


def each(usd: Decimal | None, number: int, units: int = 1) -> Decimal | None:
    """Divide money among a number of things: what so many of them cost, to nine places; None if unknown."""
    return dollars(round(Fraction(nanos(usd) * units, number))) if usd is not None and number else None


def unit_cost_part(found: Sequence[UnitCost]) -> Part:
    """Return it as a table, a row a unit."""
    columns = {
        "unit": "text",
        "evaluation": "text",
        "cost_usd": "quantity",
        "number": "count",
        "of": "count",
        "each_usd": "quantity",
    }
    rows = [(row.unit, row.evaluation or None, row.usd, row.number, row.of, row.each_usd) for row in found]
    return Part(Table("Unit cost", columns), rows)
