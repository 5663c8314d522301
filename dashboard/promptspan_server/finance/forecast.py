"""What a period will cost by its end: seasonal, with an interval, silent where there is too little.

Hours are divided by a profile of the week (of the day, where there are less than two weeks), and what is
left is a level that moves: simple exponential smoothing over days, which is the local level model (Hyndman
et al., "Forecasting with Exponential Smoothing", 2008, model ETS(A,N,N)). The error of a sum over the days to
come follows from it in closed form: a shock of day j is in day j and, times alpha, in every later one. The
interval takes Student's t with the degrees of freedom that profile and level leave. How often it covers what
came is measured in `benchmarks/bench_forecast.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DAY_H: Final = 24
WEEK_H: Final = 168
# Less has not seen a weekend.
MIN_HOURS: Final = WEEK_H
MIN_STEPS: Final = 20
# Older history is another product: eight weeks give every hour of the week eight values.
MAX_HOURS: Final = 8 * WEEK_H
COVERAGE: Final = 0.9
_ALPHAS: Final = tuple(step / 25 for step in range(26))
# Prior on alpha of days, (1 - alpha)^5: what a product spends a day moves slowly (see the benchmark).
_DAYS_SLOWNESS: Final = 5
_CENT: Final = Decimal("0.01")

Basis = Literal["hour of the week", "hour of the day", "level"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """A sum to come.

    Attributes:
        mean: Expected, in the unit of the history.
        sd: Scale of its error, same unit.
        freedom: Degrees of freedom of the error's Student distribution.
        basis: What the profile is made of.
        steps: Values of history that went in.
    """

    mean: float
    sd: float
    freedom: int
    basis: Basis
    steps: int

    def interval(self, coverage: float = COVERAGE) -> tuple[float, float]:
        """Where the sum will lie with this probability; never below 0."""
        reach = float(stats.t.ppf(0.5 + coverage / 2, self.freedom)) * self.sd
        return max(0.0, self.mean - reach), self.mean + reach

    def chance_above(self, limit: float) -> float:
        """Probability, 0 to 1, that the sum exceeds a limit."""
        if self.sd == 0:
            return float(self.mean > limit)
        return float(stats.t.sf((limit - self.mean) / self.sd, self.freedom))


@dataclass(frozen=True, slots=True)
class TooLittle:
    """No forecast, and why."""

    reason: str


def forecast_hours(history: Sequence[float], ahead: int) -> Forecast | TooLittle:
    """Forecast the sum of the hours after `history`.

    Args:
        history: One value an hour without gaps (an hour without calls is 0), oldest first, 0 or more. What
            comes before the first value above 0 is no history.
        ahead: Hours whose sum is wanted.
    """
    values = np.trim_zeros(np.asarray(history, dtype=float)[-MAX_HOURS:], "f")
    if len(values) < MIN_HOURS:
        return TooLittle(f"{len(values)} hours of history; a forecast needs {MIN_HOURS}: a week")
    season = WEEK_H if len(values) >= 2 * WEEK_H else DAY_H
    whole = values[len(values) % DAY_H :]
    profile = _profile(whole, season)
    # Positions in the season, so that the hour after the last one follows it.
    past = profile[np.arange(-len(whole), 0) % season].reshape(-1, DAY_H).sum(axis=1)
    spent = whole.reshape(-1, DAY_H).sum(axis=1)
    known = past > 0
    coming = profile[np.arange(ahead) % season]
    weights = np.add.reduceat(coming, np.arange(0, ahead, DAY_H)) if ahead else np.zeros(0)
    basis: Basis = "hour of the week" if season == WEEK_H else "hour of the day"
    return _smooth(
        spent[known] / past[known], weights, basis, len(values), lost=season // DAY_H, slowness=_DAYS_SLOWNESS
    )


def forecast_steps(history: Sequence[float], ahead: int) -> Forecast | TooLittle:
    """As `forecast_hours`, for steps of any length without a season: a level alone."""
    values = np.asarray(history, dtype=float)
    if len(values) < MIN_STEPS:
        return TooLittle(f"{len(values)} values of history; a forecast needs {MIN_STEPS}")
    return _smooth(values, np.ones(ahead), "level", len(values), lost=1, slowness=0)


def money(value: float) -> Decimal:
    """An estimate as an amount: rounded to cents, for it is not known better."""
    return Decimal(repr(value)).quantize(_CENT)


def _profile(values: NDArray[np.float64], season: int) -> NDArray[np.float64]:
    """Mean of each hour of the season, in parts of the mean of all; index 0 is the hour after the last."""
    cycles = values[len(values) % season :].reshape(-1, season)
    mean = cycles.mean()
    return cycles.mean(axis=0) / mean if mean > 0 else np.ones(season)


def _smooth(
    levels: NDArray[np.float64],
    weights: NDArray[np.float64],
    basis: Basis,
    steps: int,
    *,
    lost: int,
    slowness: int,
) -> Forecast:
    freedom = max(2, len(levels) - lost - 1)
    # What of the shock of day j is in the sum: its own day, and alpha of all later ones.
    later = np.concatenate([np.cumsum(weights[::-1])[::-1][1:], [0.0]]) if len(weights) else weights
    total = float(weights.sum())
    means: list[float] = []
    variances: list[float] = []
    squares: list[float] = []
    for alpha in _ALPHAS:
        errors, level = _errors(levels, alpha)
        squares.append(float((errors**2).sum()))
        # The level itself is known from so many days.
        known_from = max(1.0, min(float(len(levels)), (2 - alpha) / alpha if alpha else len(levels)))
        to_come = float(((weights + alpha * later) ** 2).sum())
        means.append(max(0.0, level * total))
        variances.append(squares[-1] / freedom * (to_come + total**2 / known_from))
    # How fast the level moves is never known for sure, so every alpha counts by its likelihood.
    least = max(min(squares), 1e-300)
    likely = (
        np.array([max(square, 1e-300) / least for square in squares]) ** (-freedom / 2)
        * (1 - np.array(_ALPHAS)) ** slowness
    )
    likely /= likely.sum()
    mean = float(likely @ np.array(means))
    variance = float(likely @ (np.array(variances) + (np.array(means) - mean) ** 2))
    return Forecast(mean, float(np.sqrt(variance)), freedom, basis, steps)


def _errors(levels: NDArray[np.float64], alpha: float) -> tuple[NDArray[np.float64], float]:
    """One-step errors of smoothing with `alpha`, and the last level. It begins at the mean of the first."""
    level = float(levels[: max(3, len(levels) // 4)].mean()) if alpha else float(levels.mean())
    errors = np.empty_like(levels)
    for index, value in enumerate(levels):
        errors[index] = value - level
        level += alpha * errors[index]
    return errors, level
