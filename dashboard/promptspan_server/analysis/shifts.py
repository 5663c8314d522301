"""Shifts of a level: when did it start, by how much, and how seldom would chance look like it.

An hourly mean is a level, plus noise that lasts for hours (AR(1)), plus what makes one day differ from the
next, plus the scatter of the calls in the hour. A Kalman filter with parameters from the baseline turns the
series into innovations, which are independent while nothing changes. A step in the level has a known
signature in them (large at first, then absorbed); a generalised likelihood ratio over the hours at which it
may have begun finds it.

Sources: Lai 1995, Sequential changepoint detection in quality control; Siegmund & Venkatraman 1995, Using the
generalized likelihood ratio statistic for sequential detection of a change-point (the form of the limit; its
constant is from simulation, and a test repeats that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.analysis.season import design, fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

WINDOW = 72  # hours: a step that began before is part of what is usual by now
# What the noise may be like: how much of it is left an hour later, its share of what hours differ by, and the
# share of what days differ by.
_CHOICES = (
    (0.5, 0.0, 0.0),
    (0.8, 0.6, 0.1),
    (0.97, 1.5, 0.1),
    *((memory, 1 - days, days) for memory in (0.5, 0.8, 0.95) for days in (0.1, 0.35, 0.7)),
)
_FITTED_ON = 28 * 24  # hours, the latest of the baseline: what the noise is like needs no more
_CLIP = 3.5
# Beginnings that are looked at: spacing in hours, how many; together the window.
_Tiers = tuple[tuple[int, int], ...]
FEW: _Tiers = ((1, 8), (2, 4), (4, 4), (8, 5))
_EVERY: _Tiers = ((1, WINDOW),)
# How much less likely than the best a beginning may be and still be in the 95 % set: the supremum of a
# two-sided random walk with drift is the larger of two exponentials (Bai 1997 has the walk).
ONSET_LOG_RATIO = -float(np.log(1 - 0.95**0.5))
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
        earliest, latest: Ends of a 95 % set of hours in which it may have begun.
        expected: The usual level.
        spread: Standard deviation of an hour's mean around it.
    """

    z: Floats
    size: Floats
    onset: NDArray[np.int64]
    earliest: NDArray[np.int64]
    latest: NDArray[np.int64]
    expected: Floats
    spread: Floats


def limit(average_run_hours: Floats | float) -> Floats:
    """The |z| that chance exceeds once in so many hours on average (two-sided, window of `WINDOW` hours).

    What the noise is like is only known from the baseline; simulated worlds need the limit of a run a few
    times as long for the run that is asked for.
    """
    return exact_limit(np.asarray(average_run_hours, dtype=np.float64) * _FOR_ESTIMATES)


def exact_limit(average_run_hours: Floats) -> Floats:
    """As `limit`, where what the noise is like is known."""
    target = np.log(average_run_hours)
    b = np.sqrt(2 * target)
    for _ in range(20):  # ln ARL = b^2 / 2 - ln b + c
        b = np.sqrt(2 * np.maximum(target + np.log(b) - _CONSTANT, 0.5))
    return b


_CONSTANT = 1.2
_FOR_ESTIMATES = 3.0


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
    midnight = levels.hours % 86_400 == 0
    parameters = _parameters(rest[:, lately], noise[:, lately], between[:, 0], midnight[lately])
    innovations, variance, gains = _filter(rest, noise, parameters, midnight)
    inflation = _inflation(innovations[:, :baseline] / np.sqrt(variance[:, :baseline]), n[:, :baseline] > 0)
    deviation = np.sqrt(variance * inflation[:, None])
    standard = np.where(n > 0, innovations / deviation, 0.0)
    after = slice(baseline, None)

    def scanned(rows: slice | NDArray[np.int64], values: Floats, tiers: _Tiers) -> tuple[Any, ...]:
        return scan(
            values[rows, after],
            deviation[rows, after],
            (gains[0][rows, after], gains[1][rows, after]),
            parameters.memory[rows],
            midnight[after],
            n[rows, after] > 0,
            tiers=tiers,
        )

    z, *where = scanned(slice(None), np.clip(standard, -_CLIP, _CLIP), FEW)
    # A wild hour must not raise an alarm by itself; but where there is one, what it shows is its size and
    # its hour.
    loud: NDArray[np.int64] = np.flatnonzero((np.abs(z) > _CLIP).any(axis=1)).astype(np.int64)
    if len(loud):
        for part, exact in zip(where, scanned(loud, standard, _EVERY)[1:], strict=True):
            part[loud] = exact
    size, onset, earliest, latest = where
    spread = np.sqrt(np.minimum(noise, 1e6) + (parameters.hours + parameters.days)[:, None])
    return Shifts(z, size, onset, earliest, latest, expected[:, after], spread[:, after])


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


@dataclass(frozen=True, slots=True)
class _Noise:
    """How long the noise of hours lasts, its variance, and the variance of days; any shape."""

    memory: Floats
    hours: Floats
    days: Floats


def _parameters(rest: Floats, noise: Floats, between: Floats, midnight: NDArray[np.bool_]) -> _Noise:
    """What the noise is like: a few possibilities, weighted by how likely they make the baseline."""
    memory, of_hours, of_days = (np.array(column)[:, None] for column in zip(*_CHOICES, strict=True))
    tried = _Noise(
        np.broadcast_to(memory, (len(_CHOICES), len(rest))),
        np.maximum(between * of_hours, _LEAST_VARIANCE),
        between * of_days,
    )
    cost = np.zeros(tried.hours.shape)
    # By hours: all choices of all series advance together.
    for seen, innovation, variance, _ in _steps(rest, noise, tried, midnight):
        cost += (np.log(variance) + innovation**2 / variance) * (seen < _MISSING)
    weight = np.exp((cost.min(axis=0) - cost) / 2)
    weight /= weight.sum(axis=0)
    hours = (weight * tried.hours).sum(axis=0)
    return _Noise(
        (weight * tried.hours * memory).sum(axis=0) / hours, hours, (weight * tried.days).sum(axis=0)
    )


def _filter(
    rest: Floats, noise: Floats, parameters: _Noise, midnight: NDArray[np.bool_]
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Kalman filter of both noises; innovations, their variances, the gains of hours and days."""
    innovations, variances, of_hours, of_days = (np.empty(rest.T.shape) for _ in range(4))
    for hour, (_, innovation, variance, gains) in enumerate(_steps(rest, noise, parameters, midnight)):
        innovations[hour], variances[hour] = innovation, variance
        of_hours[hour], of_days[hour] = gains
    return innovations.T, variances.T, (of_hours.T, of_days.T)


def _steps(
    rest: Floats, noise: Floats, parameters: _Noise, midnight: NDArray[np.bool_]
) -> Iterator[tuple[Floats, Floats, Floats, tuple[Floats, Floats]]]:
    """Advance the filter hour by hour: the hour's noise, the innovation, its variance, both gains."""
    memory, kept, step = (
        parameters.memory,
        parameters.memory**2,
        parameters.hours * (1 - parameters.memory**2),
    )
    hour_state, day_state = np.zeros_like(parameters.hours), np.zeros_like(parameters.hours)
    # Variances of both noises, as known so far, and what they have in common.
    p, q, r = parameters.hours.copy(), parameters.days.copy(), np.zeros_like(parameters.hours)
    for value, seen, new_day in zip(
        np.ascontiguousarray(rest.T), np.ascontiguousarray(noise.T), midnight, strict=True
    ):
        if new_day:
            day_state, q, r = np.zeros_like(day_state), parameters.days, np.zeros_like(r)
        variance = p + q + 2 * r + seen
        gain, day_gain = (p + r) / variance, (q + r) / variance
        innovation = (value - hour_state - day_state) * (seen < _MISSING)
        yield seen, innovation, variance, (gain, day_gain)
        hour_state, day_state = memory * (hour_state + gain * innovation), day_state + day_gain * innovation
        p, q, r = (
            kept * (p - gain * (p + r)) + step,
            q - day_gain * (q + r),
            memory * (r - gain * (q + r)),
        )


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


def scan(  # noqa: PLR0917
    standard: Floats,
    deviation: Floats,
    gains: tuple[Floats, Floats],
    memory: Floats,
    midnight: NDArray[np.bool_],
    known: NDArray[np.bool_],
    *,
    tiers: _Tiers = FEW,
) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For every hour, find the likeliest beginning of a step that still goes on.

    Args:
        standard: Innovations in standard deviations, shape (series, hours).
        deviation: Their standard deviations in units of the quantity, same shape.
        gains: The filter's gains for the noise of hours and of days, same shape.
        memory: How much of the noise of hours is left an hour later, shape (series,).
        midnight: Hours with which a day begins, shape (hours,).
        known: Which hours had calls, shape (series, hours).
        tiers: Which beginnings are looked at.

    Returns:
        `z`, `size`, `onset`, `earliest` and `latest` of `Shifts`.
    """
    series, hours = standard.shape
    slots = sum(size for _, size in tiers)
    # What of a step of 1 each state has taken over, by the hour in which the step began.
    by_hours, by_days, score = (np.zeros((slots, series)) for _ in range(3))
    information = np.full((slots, series), 1e-300)
    began = np.full(slots, -1, dtype=np.int64)
    z, size = np.empty((hours, series)), np.empty((hours, series))
    onset, earliest, latest = (np.empty((hours, series), dtype=np.int64) for _ in range(3))
    every: NDArray[np.int64] = np.arange(series, dtype=np.int64)
    for hour in range(hours):
        _make_room(tiers, began, by_hours, by_days, score, information)
        began[0], by_hours[0], by_days[0], score[0], information[0] = hour, 0.0, 0.0, 0.0, 1e-300
        if midnight[hour]:
            by_days[:] = 0.0
        shown = (1 - by_hours - by_days) * known[:, hour]
        signature = shown / deviation[:, hour]
        score += signature * standard[:, hour]
        information += signature**2
        by_hours = memory * (by_hours + gains[0][:, hour] * shown)
        by_days += gains[1][:, hour] * shown
        each = score / np.sqrt(information)
        each[began < max(0, hour - WINDOW + 1)] = 0.0
        best = np.abs(each).argmax(axis=0)
        z[hour] = each[best, every]
        size[hour] = score[best, every] / information[best, every]
        onset[hour] = began[best]
        likely = (
            (each**2 >= z[hour] ** 2 - 2 * ONSET_LOG_RATIO) & (each * z[hour] >= 0) & (began >= 0)[:, None]
        )
        earliest[hour] = np.where(likely, began[:, None], hour).min(axis=0)
        latest[hour] = np.where(likely, began[:, None], 0).max(axis=0)
    return z.T, size.T, onset.T, np.minimum(earliest, onset).T, np.maximum(latest, onset).T


def _make_room(tiers: _Tiers, began: NDArray[np.int64], *columns: Floats) -> None:
    """Free the first slot: beginnings move on by one, and those that grow old stay only every few hours.

    Each tier keeps the beginnings at multiples of its spacing, so that 21 stand for the window's 72.
    """
    moves: list[tuple[int, int]] = []
    first = 0
    for spacing, size in tiers:
        if first and (began[first - 1] < 0 or began[first - 1] % spacing):
            break
        moves.append((first, size))
        first += size
    for first, size in reversed(moves):
        for column in (began, *columns):
            column[first + 1 : first + size] = column[first : first + size - 1].copy()
            if first:
                column[first] = column[first - 1]
