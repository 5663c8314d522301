"""Spend in a reporting currency, beside US dollars: each amount by the rate of its day."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptspan_server.finance.currency import Conversion, exact_sum
from promptspan_server.finance.ledger import dollars, nanos

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date
    from decimal import Decimal

    from promptspan_server.finance.currency import ExchangeRates
    from promptspan_server.finance.ledger import LedgerRow


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

    Each is within one unit of the twelfth place of its own exact amount, and the sum is rounded once.

    Raises:
        RatesError: There is no rate for a day with a cost.
    """
    convert = Conversion(rates)
    found: dict[str, Decimal | None] = {}
    for name, rows in groups:
        days = _by_day(rows)
        amounts = [convert(dollars(nano_usd), day)[1] for day, nano_usd in days.items()]
        found[name] = exact_sum(amounts) if amounts else None
    known = [amount for amount in found.values() if amount is not None]
    return Reporting(rates.currency, exact_sum(known) if known else None, found)


def _by_day(rows: Iterable[LedgerRow]) -> dict[date, int]:
    days: dict[date, int] = defaultdict(int)
    for row in rows:
        if row.cost_usd is not None:
            if row.at is None:
                raise ValueError("amounts are converted by days")
            days[row.at.date()] += nanos(row.cost_usd)
    return days
