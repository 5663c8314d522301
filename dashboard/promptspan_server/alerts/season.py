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
_LEAST_HOURS = 24
_LEAST_OVERDISPERSION = 0.04  # of a service that is as regular as they come
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
    if history is None or len(history[0]) < _LEAST_HOURS or gap_s <= 0:
        return 0.0, 0.0
    hours, calls = history
    first, stop = int(hours.min()), int(at.timestamp()) // 3600 * 3600
    every = np.arange(first, stop, 3600)
    n = np.zeros(len(every))
    n[(hours - first) // 3600] = calls
    # What is usual lately, without the silence itself.
    until = at.timestamp() - gap_s
    known = every + 3600 <= until
    if known.sum() < _LEAST_HOURS:
        return 0.0, 0.0
    slot = slots(every)
    total = np.bincount(slot[known], n[known], SLOTS)
    count = np.bincount(slot[known], minlength=SLOTS)
    mean = np.divide(total, count, out=np.full(SLOTS, np.nan), where=count > 0)
    mu = np.nan_to_num(mean[slot[known]])
    excess = ((n[known] - mu) ** 2 - mu).sum() / max((mu**2).sum(), 1e-9)
    k = 1 / float(np.clip(excess, _LEAST_OVERDISPERSION, _MOST_OVERDISPERSION))
    grid = np.arange(until, at.timestamp(), 60.0)
    rate = mean[slots((grid // 3600 * 3600).astype(np.int64))] / 60
    expected = float(np.nansum(rate) * gap_s / 60 / max(len(grid), 1))
    return expected, k * float(np.log1p(expected / k))
