"""Where a running month will end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from promptspan_server.finance.forecast import MAX_HOURS, TooLittle, forecast_hours, money
from promptspan_server.finance.ledger import Ledger, add, dollars, nanos, read
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.finance.ledger import Asks, LedgerRow

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """Spend by the end of a month, in USD.

    Attributes:
        low: Not below this with 95 %.
        mean: Expected.
        high: Not above this with 95 %: low to high holds with 90 %.
        basis: What the forecast knows: hour of the week, hour of the day.
    """

    low: Decimal
    mean: Decimal
    high: Decimal
    basis: str


def read_month_end(
    store: Asks, month_range: TimeRange, now: datetime, where: Sequence[tuple[str, str]] = ()
) -> MonthEnd | TooLittle:
    """Read the hourly ledger and foretell the end of the month that runs.

    Args:
        store: Who answers.
        month_range: The month that holds `now`.
        now: When this is, UTC.
        where: Pairs of dimension and value.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    start = min(month_range.start, hour - MAX_HOURS * _HOUR)
    rows = read(store, Ledger(TimeRange(start, hour + _HOUR), ("hour",), tuple(where)))
    return month_end(rows, month_range, start, hour)


def month_end(
    rows: Iterable[LedgerRow], month_range: TimeRange, start: datetime, hour: datetime
) -> MonthEnd | TooLittle:
    """Foretell the end of a month.

    Args:
        rows: The ledger by hour.
        month_range: The month.
        start: First hour of the history.
        hour: The hour that runs: its rest is foretold with the hours to come.
    """
    spent = [0] * ((hour - start) // _HOUR + 1)
    for row in rows:
        if row.at is not None and row.cost_usd is not None:
            spent[(row.at - start) // _HOUR] += nanos(row.cost_usd)
    found = forecast_hours([nano / 1e9 for nano in spent[:-1]], (month_range.end - hour) // _HOUR)
    if isinstance(found, TooLittle):
        return found
    first = max(0, (month_range.start - start) // _HOUR)
    settled, so_far = dollars(sum(spent[first:-1])), dollars(sum(spent[first:]))
    low, high = found.interval()
    low_usd, mean_usd, high_usd = (max(so_far, add(settled, money(each))) for each in (low, found.mean, high))
    return MonthEnd(low_usd, mean_usd, high_usd, found.basis)
