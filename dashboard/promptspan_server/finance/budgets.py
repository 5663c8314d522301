"""Budgets: what may be spent, by whom to be watched, and how far each is.

version: 1
budgets:
  - name: inbox
    match: {feature: "inbox-*"}        # as in allocation rules, and team, cost_centre, product
    amount: 1200
    currency: USD                      # optional
    period: month                      # month, quarter or week (from Monday); UTC
    owner: inbox-team@example.com
    warn_at: [50, 80]                  # percent of the amount
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from promptspan_server.finance.allocation import (
    TARGET_DIMENSIONS,
    Match,
    Name,
    Patterns,
    Strict,
    allocate_months,
    glob,
    matches,
)
from promptspan_server.finance.forecast import (
    MAX_HOURS,
    Forecast,
    TooLittle,
    forecast_hours,
    money,
)
from promptspan_server.finance.ledger import DIMENSIONS, Ledger, dollars, nanos, read
from promptspan_server.pricing.yaml_file import parse_yaml
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from promptspan_server.finance.allocation import Allocated, Allocation
    from promptspan_server.finance.ledger import Asks, LedgerRow

HOUR: Final = timedelta(hours=1)
LIKELY_OVER: Final = 0.8
"""Probability of ending over the budget from which it is called likely."""

State = Literal["ok", "warning", "likely over", "over", "no rate"]
_CURRENCY = re.compile(r"[A-Z]{3}")


class BudgetError(ValueError):
    """Budgets that cannot be taken; the message names file, line and field."""


class BudgetMatch(Match):
    """Which spend a budget is about."""

    team: Patterns | None = None
    cost_centre: Patterns | None = None
    product: Patterns | None = None

    @cached_property
    def target_tests(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """Dimension and pattern of each condition on who pays."""
        given = [(name, getattr(self, name)) for name in TARGET_DIMENSIONS]
        return tuple((name, glob(*values)) for name, values in given if values is not None)

    def covers(self, allocated: Allocated) -> bool:
        """Whether the budget is about a row, or part of one."""
        return self.holds(allocated.row.keys) and all(
            matches(name, pattern, getattr(allocated.target, name)) for name, pattern in self.target_tests
        )


class Budget(Strict):
    """One budget."""

    name: Name
    match: BudgetMatch = BudgetMatch()
    amount: Annotated[Decimal, Field(gt=0, le=10**12, allow_inf_nan=False, decimal_places=9)]
    currency: str = "USD"
    period: Literal["month", "quarter", "week"] = "month"
    owner: str = ""
    warn_at: tuple[Annotated[Decimal, Field(gt=0, lt=1000)], ...] = (Decimal(80),)

    @field_validator("currency")
    @classmethod
    def _iso(cls, value: str) -> str:
        if not _CURRENCY.fullmatch(value):
            raise ValueError("a currency has three capital letters (ISO 4217), such as USD")
        return value

    def range(self, now: datetime) -> TimeRange:
        """The period that holds a moment."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.period == "week":
            start = day - timedelta(days=day.weekday())
            return TimeRange(start, start + timedelta(days=7))
        months = 3 if self.period == "quarter" else 1
        start = day.replace(month=(day.month - 1) // months * months + 1, day=1)
        return TimeRange(start, (start + timedelta(days=31 * months)).replace(day=1))


class Budgets(Strict):
    """A parsed file of budgets."""

    version: Literal[1] = 1
    budgets: tuple[Budget, ...] = ()

    @model_validator(mode="after")
    def _named_once(self) -> Budgets:
        names = [budget.name for budget in self.budgets]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two budgets are called {twice!r}")
        return self

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions of the ledger that the budgets look at."""
        used = {name for budget in self.budgets for name, _ in budget.match.tests}
        return tuple(name for name in DIMENSIONS if name in used)


@dataclass(frozen=True, slots=True)
class Burn:
    """How far a budget is.

    Attributes:
        budget: Which one.
        range: Its current period, UTC.
        at: Start of the hour that runs: the forecast begins with it.
        spent_usd: Spent in the period so far, exactly; calls without a cost are not in it.
        settled_usd: The part of it before the hour that runs.
        calls: Calls in the period so far.
        costed: Calls of them with a known cost.
        amount_usd: The budget in USD; None without an exchange rate.
        forecast: Spend of the period's hours to come in USD, or why there is none.
        state: How it stands.
        level: The highest warning level that was reached, percent; None below all.
    """

    budget: Budget
    range: TimeRange
    at: datetime
    spent_usd: Decimal
    settled_usd: Decimal
    calls: int
    costed: int
    amount_usd: Decimal | None
    forecast: Forecast | TooLittle
    state: State
    level: Decimal | None

    @property
    def used(self) -> Decimal | None:
        """Percent of the budget that is spent, to two places."""
        if self.amount_usd is None:
            return None
        return Decimal(nanos(self.spent_usd) * 10_000 // nanos(self.amount_usd)) / 100

    @property
    def elapsed(self) -> float:
        """Share of the period that has passed, 0 to 1."""
        return (self.at - self.range.start) / self.range.length

    @property
    def end(self) -> tuple[Decimal, Decimal, Decimal] | None:
        """Low, expected and high spend in USD by the end of the period; None without a forecast."""
        if isinstance(self.forecast, TooLittle):
            return None
        low, high = self.forecast.interval()
        low_usd, mean_usd, high_usd = (
            max(self.spent_usd, self.settled_usd + money(each)) for each in (low, self.forecast.mean, high)
        )
        return low_usd, mean_usd, high_usd

    @property
    def chance_over(self) -> float | None:
        """Probability, 0 to 1, that the period ends over the budget; None if it is not known."""
        if self.amount_usd is None:
            return None
        if self.spent_usd > self.amount_usd:
            return 1.0
        if isinstance(self.forecast, TooLittle):
            return None
        return self.forecast.chance_above(float(self.amount_usd - self.settled_usd))


def parse_budgets(text: str, name: str = "budgets.yaml") -> Budgets:
    """Read a file of budgets.

    Raises:
        BudgetError: Not YAML, or a field is wrong: `FILE:LINE: FIELD: reason`.
    """
    return parse_yaml(Budgets, text, name, BudgetError)


def burns(
    budgets: Budgets,
    allocation: Allocation,
    rows: Iterable[LedgerRow],
    now: datetime,
    usd_per: Callable[[str], Decimal | None] = lambda _currency: None,
) -> tuple[Burn, ...]:
    """Say how far each budget is. A pure function: what it knows of the world is in its arguments.

    Args:
        budgets: The budgets.
        allocation: Rules, for budgets of a team, cost centre or product.
        rows: The ledger by hour and by the dimensions of both, from `history_range` on.
        now: When this is, UTC.
        usd_per: USD for one unit of a currency, or None; USD itself is never asked for.
    """
    history = history_range(budgets, now)
    hours = history.length // HOUR
    spent: dict[str, list[int]] = {budget.name: [0] * hours for budget in budgets.budgets}
    calls: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    covered: dict[tuple[object, ...], tuple[Budget, ...]] = {}
    for part in allocate_months(allocation, rows):
        assert part.row.at is not None
        hour = (part.row.at - history.start) // HOUR
        key = (*part.row.keys.values(), part.target)
        if key not in covered:
            covered[key] = tuple(budget for budget in budgets.budgets if budget.match.covers(part))
        for budget in covered[key]:
            if part.row.cost_usd is not None:
                spent[budget.name][hour] += nanos(part.row.cost_usd)
            if part.row.at >= budget.range(now).start:
                calls[budget.name][0] += part.row.calls
                calls[budget.name][1] += part.row.costed
    return tuple(
        _burn(budget, spent[budget.name], calls[budget.name], history.end - HOUR, usd_per)
        for budget in budgets.budgets
    )


def history_range(budgets: Budgets, now: datetime) -> TimeRange:
    """What `burns` reads: back to the earliest period's start and as far as a forecast looks."""
    end = now.replace(minute=0, second=0, microsecond=0) + HOUR
    starts = [budget.range(now).start for budget in budgets.budgets]
    return TimeRange(min([end - MAX_HOURS * HOUR, *starts]), end)


def read_burns(
    store: Asks,
    budgets: Budgets,
    allocation: Allocation,
    now: datetime,
    usd_per: Callable[[str], Decimal | None] = lambda _currency: None,
) -> tuple[Burn, ...]:
    """Read the ledger and say how far each budget is.

    Raises:
        LedgerTooLarge: The budgets and rules look at too many dimensions.
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused the question.
    """
    used = {*budgets.dimensions, *allocation.dimensions}
    by = ("hour", *(name for name in DIMENSIONS if name in used))
    rows = read(store, Ledger(history_range(budgets, now), by)) if budgets.budgets else ()
    return burns(budgets, allocation, rows, now, usd_per)


def _burn(
    budget: Budget,
    spent: Sequence[int],
    calls: Sequence[int],
    at: datetime,
    usd_per: Callable[[str], Decimal | None],
) -> Burn:
    period = budget.range(at)
    in_period = spent[-((at - period.start) // HOUR + 1) :]
    rate = Decimal(1) if budget.currency == "USD" else usd_per(budget.currency)
    burn = Burn(
        budget=budget,
        range=period,
        at=at,
        spent_usd=dollars(sum(in_period)),
        settled_usd=dollars(sum(in_period[:-1])),
        calls=calls[0],
        costed=calls[1],
        amount_usd=None if rate is None else (budget.amount * rate).quantize(Decimal("1E-9")),
        forecast=forecast_hours([nano / 1e9 for nano in spent[:-1]], (period.end - at) // HOUR),
        state="no rate",
        level=None,
    )
    if burn.amount_usd is None or burn.used is None:
        return burn
    used = burn.used
    level = max((level for level in budget.warn_at if used >= level), default=None)
    state: State = "ok"
    if burn.spent_usd > burn.amount_usd:
        state = "over"
    elif (burn.chance_over or 0) > LIKELY_OVER:
        state = "likely over"
    elif level is not None:
        state = "warning"
    return replace(burn, state=state, level=level)


def alerting(burns_: Sequence[Burn]) -> list[Mapping[str, object]]:
    """What an alert needs to know of budgets, as plain values.

    Returns:
        For each budget: `name`, `owner`, `state`, `spent_usd`, `amount_usd` (None without an exchange rate),
        `used_percent`, `chance_over`, `since` and `until` of the period.
    """
    return [
        {
            "name": burn.budget.name,
            "owner": burn.budget.owner,
            "state": burn.state,
            "spent_usd": burn.spent_usd,
            "amount_usd": burn.amount_usd,
            "used_percent": burn.used,
            "chance_over": burn.chance_over,
            "since": burn.range.start,
            "until": burn.range.end,
        }
        for burn in burns_
    ]
