"""What is usual at an hour: a smooth day, weekdays and weekends apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

_HARMONICS = 3
_RIDGE = 1e-6
_PRIOR_EVENTS = 20.0  # an hour of the day with fewer events than this mostly follows the whole day


def design(hours: NDArray[np.int64]) -> Floats:
    """Regressors of a smooth day with another level at weekends, shape (hours, 8).

    Args:
        hours: Starts of the hours, seconds since the epoch, UTC.
    """
    of_day = hours // 3600 % 24
    weekend = _is_weekend(hours)
    angles = 2 * np.pi * np.outer(of_day, np.arange(1, _HARMONICS + 1)) / 24
    columns = [np.ones(len(hours)), weekend, np.cos(angles), np.sin(angles)]
    return np.column_stack(columns).astype(np.float64)


def fit(regressors: Floats, values: Floats, weights: Floats) -> Floats:
    """Weighted least squares of many series at once.

    Args:
        regressors: Shape (hours, p).
        values: Shape (series, hours).
        weights: Shape (series, hours); 0 where a value is missing.

    Returns:
        Coefficients, shape (series, p).
    """
    pairs = regressors[:, :, None] * regressors[:, None, :]
    p = regressors.shape[1]
    left = (weights @ pairs.reshape(len(regressors), -1)).reshape(-1, p, p)
    right = (weights * np.nan_to_num(values)) @ regressors
    scale = np.maximum(left[:, 0, 0], 1e-12)[:, None, None]
    left = left + _RIDGE * scale * np.eye(p)
    return np.asarray(np.linalg.solve(left, right[:, :, None])[:, :, 0], dtype=np.float64)


def expected_counts(
    hours: NDArray[np.int64], events: Floats, exposure: Floats, baseline: NDArray[np.bool_]
) -> Floats:
    """Expected events of every hour, from the baseline's rates by hour of day, weekdays and weekends apart.

    Args:
        hours: Starts of the hours, seconds since the epoch, UTC.
        events: Shape (series, hours).
        exposure: Calls, same shape.
        baseline: Which hours say what is usual, shape (hours,).
    """
    slot = (hours // 3600 % 24 + 24 * _is_weekend(hours)).astype(int)
    seen, asked = events * baseline, exposure * baseline
    total = asked.sum(axis=1, keepdims=True)
    overall = (seen.sum(axis=1, keepdims=True) + 0.5) / np.maximum(total, 1.0)
    belongs = np.eye(48)[slot]
    # Neighbouring hours count half: events are rare, and days have no steps.
    near = np.roll(belongs.reshape(-1, 2, 24), 1, axis=2) + np.roll(belongs.reshape(-1, 2, 24), -1, axis=2)
    kernel = belongs + 0.5 * near.reshape(-1, 48)
    usual = asked @ kernel * overall
    factor = (seen @ kernel + _PRIOR_EVENTS) / (usual + _PRIOR_EVENTS)
    return np.asarray(overall * exposure * factor[:, slot], dtype=np.float64)


def _is_weekend(hours: NDArray[np.int64]) -> NDArray[np.int64]:
    # 1970-01-01 was a Thursday.
    return np.isin((hours // 86_400 + 3) % 7, (5, 6)).astype(np.int64)
