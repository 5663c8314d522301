"""Shifts of a level: when did it start, by how much, and how seldom would chance look like it.

An hourly mean is a level, plus noise that lasts for hours (AR(1)), plus the scatter of the calls in the hour.
A Kalman filter with parameters from the baseline turns the series into innovations, which are independent
while nothing changes. A step in the level has a known signature in them (large at first, then absorbed); a
generalised likelihood ratio over the hours at which it may have begun finds it.

Sources: Lai 1995, Sequential changepoint detection in quality control; Siegmund & Venkatraman 1995, Using the
generalized likelihood ratio statistic for sequential detection of a change-point (the form of the limit; its
constant is from simulation, and a test repeats that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.analysis.season import design, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

WINDOW = 72  # hours: a step that began before is part of what is usual by now
# What the noise of hours may be like: how much is left an hour later, its share of what hours differ by.
_CHOICES = ((0.5, 0.0), *((memory, share) for memory in (0.6, 0.85, 0.96) for share in (0.5, 1.0, 1.5)))
_FITTED_ON = 14 * 24  # hours, the latest of the baseline: what the noise is like needs no more
_CLIP = 3.5
_MISSING = 1e12
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, slots=True)
class Levels:
    """Hourly means of many series.

    Attributes:
        hours: Starts of the hours without gaps, seconds since the epoch, UTC, shape (hours,).
        calls: Calls with the quantity, shape (series, hours).
        sums: Sums of the quantity (a logarithm), same shape.
        squares: Sums of its squares, same shape.
    """

    hours: NDArray[np.int64]
    calls: Floats
    sums: Floats
    squares: Floats


@dataclass(frozen=True, slots=True)
class Shifts:
    """What was found in each hour after the baseline, shape (series, hours after it).

    Attributes:
        z: The strongest evidence of a step that is still going on, in standard deviations, signed.
        size: Its estimated size, in units of the quantity.
        onset: Index of the hour (after the baseline) in which it began.
        expected: The usual level.
        spread: Standard deviation of an hour's mean around it.
    """

    z: Floats
    size: Floats
    onset: NDArray[np.int64]
    expected: Floats
    spread: Floats


def limit(average_run_hours: Floats | float) -> Floats:
    """The |z| that chance exceeds once in so many hours on average (two-sided, window of `WINDOW` hours)."""
    target = np.log(np.asarray(average_run_hours, dtype=np.float64))
    b = np.sqrt(2 * target)
    for _ in range(20):  # ln ARL = b^2 / 2 - ln b + c
        b = np.sqrt(2 * np.maximum(target + np.log(b) - _CONSTANT, 0.5))
    return b


_CONSTANT = 1.2


def find_shifts(levels: Levels, baseline: int) -> Shifts:
    """Look for steps after the baseline.

    Args:
        levels: The series.
        baseline: How many hours at the beginning say what is usual; at least a week of them.
    """
    n = levels.calls
    mean = np.divide(levels.sums, n, out=np.full_like(n, np.nan), where=n > 0)
    scatter = _scatter(levels, baseline)
    noise = np.where(n > 0, scatter[:, None] / np.maximum(n, 1), _MISSING)
    regressors = design(levels.hours)
    expected, rest, between = _usual(regressors, mean, noise, np.zeros((len(n), 1)), baseline)
    expected, rest, between = _usual(regressors, mean, noise, between, baseline)
    lately = slice(max(0, baseline - _FITTED_ON), baseline)
    memory, persistent = _parameters(rest[:, lately], noise[:, lately], between[:, 0])
    innovations, variance, gain = _filter(rest, noise, memory, persistent)
    inflation = _inflation(innovations[:, :baseline] / np.sqrt(variance[:, :baseline]), n[:, :baseline] > 0)
    deviation = np.sqrt(variance * inflation[:, None])
    standard = np.where(n > 0, np.clip(innovations / deviation, -_CLIP, _CLIP), 0.0)
    z, size, onset = scan(
        standard[:, baseline:], deviation[:, baseline:], gain[:, baseline:], memory, n[:, baseline:] > 0
    )
    spread = np.sqrt(np.minimum(noise, 1e6) + persistent[:, None])
    return Shifts(z, size, onset, expected[:, baseline:], spread[:, baseline:])


def _usual(
    regressors: Floats, mean: Floats, noise: Floats, between: Floats, baseline: int
) -> tuple[Floats, Floats, Floats]:
    """The usual level, what hours differ from it by, and the variance of that beyond the scatter of calls."""
    known = noise < _MISSING
    weights = np.where(known, 1 / (noise + between + _LEAST_VARIANCE), 0.0)
    coefficients = fit(regressors[:baseline], mean[:, :baseline], weights[:, :baseline])
    expected: Floats = coefficients @ regressors.T
    rest = np.where(known, mean - expected, 0.0)
    return expected, rest, _between(rest[:, :baseline], noise[:, :baseline])


def _scatter(levels: Levels, baseline: int) -> Floats:
    """Variance of single calls within an hour, from the baseline."""
    n, s, q = (part[:, :baseline] for part in (levels.calls, levels.sums, levels.squares))
    inside = (q - np.divide(s**2, n, out=np.zeros_like(s), where=n > 0)).sum(axis=1)
    return np.maximum(inside / np.maximum(np.maximum(n - 1, 0).sum(axis=1), 1), _LEAST_VARIANCE)


def _between(rest: Floats, noise: Floats) -> Floats:
    """Variance of the hours' levels, beyond the scatter of their calls."""
    known = noise < _MISSING
    weight = np.where(known, 1 / (noise + _LEAST_VARIANCE), 0.0)
    total = weight.sum(axis=1, keepdims=True)
    extra = (weight * (rest**2 - np.where(known, noise, 0.0))).sum(axis=1, keepdims=True) / np.maximum(
        total, 1e-12
    )
    return np.maximum(extra, _LEAST_VARIANCE)


def _parameters(rest: Floats, noise: Floats, between: Floats) -> tuple[Floats, Floats]:
    """How long the noise of hours lasts and how large it is: the likeliest of a few, for each series."""
    memory, share = (np.array(column)[:, None] for column in zip(*_CHOICES, strict=True))
    persistent = np.maximum(between * share, _LEAST_VARIANCE)
    state, uncertainty, cost = np.zeros_like(persistent), persistent.copy(), np.zeros_like(persistent)
    kept, step = memory**2, persistent * (1 - memory**2)
    # By hours, each a row: all choices of all series advance together.
    for value, seen in zip(np.ascontiguousarray(rest.T), np.ascontiguousarray(noise.T), strict=True):
        variance = uncertainty + seen
        gain = uncertainty / variance
        innovation = (value - state) * (seen < _MISSING)
        cost += (np.log(variance) + innovation**2 / variance) * (seen < _MISSING)
        state = memory * (state + gain * innovation)
        uncertainty = kept * (1 - gain) * uncertainty + step
    best = cost.argmin(axis=0)
    return memory[best, 0], np.maximum(between * share[best, 0], _LEAST_VARIANCE)


def _filter(rest: Floats, noise: Floats, memory: Floats, persistent: Floats) -> tuple[Floats, Floats, Floats]:
    """Kalman filter of an AR(1) state seen through noise; innovations, their variances, gains."""
    state, uncertainty = np.zeros(len(rest)), persistent.copy()
    innovations, variances, gains = (np.empty(rest.T.shape) for _ in range(3))
    step = persistent * (1 - memory**2)
    for hour, (value, seen) in enumerate(
        zip(np.ascontiguousarray(rest.T), np.ascontiguousarray(noise.T), strict=True)
    ):
        variance = uncertainty + seen
        gain = uncertainty / variance
        innovation = (value - state) * (seen < _MISSING)
        innovations[hour], variances[hour], gains[hour] = innovation, variance, gain
        state = memory * (state + gain * innovation)
        uncertainty = memory**2 * (1 - gain) * uncertainty + step
    return innovations.T, variances.T, gains.T


def _inflation(standard: Floats, known: NDArray[np.bool_]) -> Floats:
    """How much more the means of days scatter than independent hours would let them, at least 1."""
    days = standard.shape[1] // 24
    of_day = np.clip(standard[:, : days * 24], -_CLIP, _CLIP).reshape(len(standard), days, 24)
    hours = known[:, : days * 24].reshape(len(standard), days, 24).sum(axis=2)
    sums = of_day.sum(axis=2)
    scale = np.divide(sums**2, hours, out=np.zeros_like(sums), where=hours > 0).sum(axis=1)
    by_days = scale / np.maximum((hours > 0).sum(axis=1), 1)
    by_hours = np.where(known, np.clip(standard, -_CLIP, _CLIP) ** 2, 0.0).sum(axis=1) / np.maximum(
        known.sum(axis=1), 1
    )
    return np.maximum(np.maximum(by_days, by_hours), 1.0)


def scan(
    standard: Floats, deviation: Floats, gain: Floats, memory: Floats, known: NDArray[np.bool_]
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """For every hour, find the likeliest beginning of a step that still goes on.

    Args:
        standard: Innovations in standard deviations, shape (series, hours).
        deviation: Their standard deviations in units of the quantity, same shape.
        gain: The filter's gains, same shape.
        memory: How much of the noise is left an hour later, shape (series,).
        known: Which hours had calls, shape (series, hours).

    Returns:
        `z`, `size` and `onset` of `Shifts`.
    """
    series, hours = standard.shape
    # What of a step of 1 the state has taken over, by the hour in which the step began.
    absorbed = np.zeros((WINDOW, series))
    score, information = np.zeros((WINDOW, series)), np.full((WINDOW, series), 1e-300)
    began: NDArray[np.int64] = np.zeros(WINDOW, dtype=np.int64)
    z, size = np.zeros((hours, series)), np.zeros((hours, series))
    onset = np.zeros((hours, series), dtype=np.int64)
    every = np.indices((series,))[0]
    for hour in range(hours):
        slot = hour % WINDOW
        absorbed[slot], score[slot], information[slot], began[slot] = 0.0, 0.0, 1e-300, hour
        live = min(hour + 1, WINDOW)
        seen = known[:, hour]
        shown = (1 - absorbed[:live]) * seen
        signature = shown / deviation[:, hour]
        score[:live] += signature * standard[:, hour]
        information[:live] += signature**2
        absorbed[:live] = memory * (absorbed[:live] + gain[:, hour] * shown)
        each = score[:live] / np.sqrt(information[:live])
        best = np.abs(each).argmax(axis=0)
        z[hour] = each[best, every]
        size[hour] = score[best, every] / information[best, every]
        onset[hour] = began[best]
    return z.T, size.T, onset.T
