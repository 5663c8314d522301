"""Spend in a reporting currency, beside US dollars: each amount by the rate of its day."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from promptspan_server.finance.currency import EXACT, rounded
from promptspan_server.finance.ledger import dollars, nanos

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from promptspan_server.finance.currency import ExchangeRates
    from promptspan_server.finance.ledger import LedgerRow

_PLACES = 12


@dataclass(frozen=True, slots=True)
class Reporting:
    """What groups cost in another currency.

    Attributes:
        currency: ISO 4217.
        total: The exact sum, rounded once to twelve places; None if no cost is known.
        by_group: By name of the group: they sum to `total`, exactly. None where no cost is known.
    """

    currency: str
    total: Decimal | None
    by_group: Mapping[str, Decimal | None]


def reporting(groups: Iterable[tuple[str, Iterable[LedgerRow]]], rates: ExchangeRates) -> Reporting:
    """Convert the cost of groups, of a ledger by days.

    What rounding takes from one group is given to the next, so that each is within one unit of the twelfth
    place of its own exact amount, and the sum is rounded once.

    Raises:
        RatesError: There is no rate for a day with a cost.
    """
    exact, given = Decimal(0), Decimal(0)
    found: dict[str, Decimal | None] = {}
    for name, rows in groups:
        days = _by_day(rows)
        if not days:
            found[name] = None
            continue
        for day, nano_usd in days.items():
            exact = EXACT.add(exact, EXACT.multiply(dollars(nano_usd), rates.on(day)))
        until = rounded(exact, _PLACES)
        found[name] = EXACT.subtract(until, given)
        given = until
    known = any(amount is not None for amount in found.values())
    return Reporting(rates.currency, given if known else None, found)


def _by_day(rows: Iterable[LedgerRow]) -> dict[date, int]:
    days: dict[date, int] = defaultdict(int)
    for row in rows:
        if row.cost_usd is not None:
            if row.at is None:
                raise ValueError("amounts are converted by days")
            days[row.at.date()] += nanos(row.cost_usd)
    return days
