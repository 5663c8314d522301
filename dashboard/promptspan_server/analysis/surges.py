"""Rates that rise or fall: a likelihood-ratio e-CUSUM on the events of an hour.

With expected events mu and overdispersion 1 / k, an hour with y events multiplies the evidence for a rate rho
times as high by the ratio of two negative-binomial likelihoods. The logarithm of the evidence is kept from
falling below 0, so a change is seen whenever it begins; chance takes it above ln(ARL) less than once in ARL
hours.

Source: Shin, Ramdas & Rinaldo 2023, E-detectors (arXiv:2203.03532).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.analysis.season import expected_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats


@dataclass(frozen=True, slots=True)
class Surges:
    """What was found in each hour after the baseline, shape (series, hours after it).

    Attributes:
        up: Logarithm of the evidence for a higher rate.
        down: The same for a lower one.
        expected: Expected events.
        onset_up: Index of the hour (after the baseline) since which the evidence has been growing.
        onset_down: The same for a lower rate.
    """

    up: Floats
    down: Floats
    expected: Floats
    onset_up: NDArray[np.int64]
    onset_down: NDArray[np.int64]


def find_surges(
    hours: NDArray[np.int64], events: Floats, calls: Floats, baseline: int, *, factor: Floats | float = 2.0
) -> Surges:
    """Look for changed rates after the baseline.

    Args:
        hours: Starts of the hours without gaps, seconds since the epoch, UTC, shape (hours,).
        events: Bad calls, shape (series, hours).
        calls: Calls, same shape.
        baseline: How many hours at the beginning say what is usual; at least a week of them.
        factor: The smallest factor that matters, above 1; a number or one a series.
    """
    usual = np.arange(len(hours)) < baseline
    expected = np.maximum(expected_counts(hours, events, calls, usual), 1e-9)
    y, mu = events[:, :baseline], expected[:, :baseline]
    overdispersion = np.clip(
        ((y - mu) ** 2 - mu).sum(axis=1) / np.maximum((mu**2).sum(axis=1), 1e-9), 1e-4, 4.0
    )
    k = 1 / overdispersion
    inflation = _inflation(y, mu, overdispersion)
    rho = np.broadcast_to(np.asarray(factor, dtype=np.float64), (len(events),))
    seen, due = events[:, baseline:], expected[:, baseline:]
    up, onset_up = _cusum(_log_ratio(seen, due, k, rho) / inflation[:, None])
    down, onset_down = _cusum(_log_ratio(seen, due, k, 1 / rho) / inflation[:, None])
    return Surges(up, down, due, onset_up, onset_down)


def _log_ratio(y: Floats, mu: Floats, k: Floats, rho: Floats) -> Floats:
    size, times = k[:, None], rho[:, None]
    return y * np.log(times) + (y + size) * np.log((size + mu) / (size + times * mu))


def _inflation(y: Floats, mu: Floats, overdispersion: Floats) -> Floats:
    """How much more days scatter than independent hours would let them, at least 1."""
    days = y.shape[1] // 24
    cut = (len(y), days, 24)
    rest = (y - mu)[:, : days * 24].reshape(cut).sum(axis=2)
    variance = (mu + overdispersion[:, None] * mu**2)[:, : days * 24].reshape(cut).sum(axis=2)
    return np.maximum((rest**2).sum(axis=1) / np.maximum(variance.sum(axis=1), 1e-9), 1.0)


def _cusum(steps: Floats) -> tuple[Floats, NDArray[np.int64]]:
    total = np.cumsum(steps, axis=1)
    before = np.concatenate([np.zeros((len(steps), 1)), total[:, :-1]], axis=1)
    lowest = np.minimum.accumulate(np.minimum(before, 0.0), axis=1)
    height = total - np.minimum(lowest, total)
    index = np.indices((steps.shape[1],))[0]
    restarts = np.where(before <= lowest, index, 0)
    return height, np.maximum.accumulate(restarts, axis=1)
