"""What is usual at an hour of a weekday or a weekend, and how unlikely a silence is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TRAFFIC_DAYS = 28
SLOTS = 48
LEAST_HOURS = 24
_LEAST_OVERDISPERSION = 1e-4
_MOST_OVERDISPERSION = 4.0


def slots(hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hour of the day, weekdays and weekends apart: 0 to 47."""
    # 1970-01-01 was a Thursday.
    weekend = np.isin((hours // 86_400 + 3) % 7, (5, 6))
    return np.asarray(hours // 3600 % 24 + 24 * weekend, dtype=np.int64)


def missed(
    history: tuple[NDArray[np.int64], Floats] | None, at: datetime, gap_s: float
) -> tuple[float, float]:
    """Judge a silence.

    Args:
        history: Starts of hours with calls, seconds since the epoch, and how many.
        at: The moment, UTC.
        gap_s: Seconds since the last call.

    Returns:
        How many calls are usual in such a time, and the logarithm of the evidence that none is not chance:
        -ln P(0) of a negative binomial with the overdispersion of the hours, all of it persistent.
    """
    if history is None or gap_s <= 0:
        return 0.0, 0.0
    until = at.timestamp() - gap_s
    # What is usual lately, without the silence itself.
    usual = usual_hours(*history, until)
    if usual is None:
        return 0.0, 0.0
    mean, k = usual
    grid = np.arange(until, at.timestamp(), 60.0)
    rate = mean[slots((grid // 3600 * 3600).astype(np.int64))] / 60
    expected = float(np.nansum(rate) * gap_s / 60 / max(len(grid), 1))
    return expected, k * float(np.log1p(expected / k))


def usual_hours(
    hours: NDArray[np.int64], values: Floats, until: float, *, average_hours: float = 0.0
) -> tuple[Floats, float] | None:
    """What hours usually bring.

    Args:
        hours: Starts of hours that brought something, seconds since the epoch.
        values: What they brought.
        until: Hours that end later do not count, seconds since the epoch.
        average_hours: Hours of the overall mean that each slot is taken to have had besides its own.

    Returns:
        The mean by slot (nan for a slot that never was), and the k of a negative binomial that scatters as
        the hours do; None for less than a day of hours.
    """
    known = hours + 3600 <= until
    if not known.any():
        return None
    first = int(hours[known].min())
    every = np.arange(first, int(until) // 3600 * 3600, 3600)
    if len(every) < LEAST_HOURS or known.sum() < LEAST_HOURS:
        return None
    n = np.zeros(len(every))
    n[(hours[known] - first) // 3600] = values[known]
    slot = slots(every)
    total = np.bincount(slot, n, SLOTS)
    count = np.bincount(slot, minlength=SLOTS)
    mean = np.divide(total, count, out=np.full(SLOTS, np.nan), where=count > 0)
    mu = mean[slot]
    excess = ((n - mu) ** 2 - mu).sum() / max((mu**2).sum(), 1e-9)
    mean = (mean * count + average_hours * n.mean()) / np.maximum(count + average_hours, 1)
    return mean, 1 / float(np.clip(excess, _LEAST_OVERDISPERSION, _MOST_OVERDISPERSION))
