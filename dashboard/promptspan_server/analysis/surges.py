"""Rates that rise or fall: a likelihood-ratio e-CUSUM on the events of an hour, given the hours before.

What hours differ by beyond the scatter of single calls lasts for hours, too: a factor on the rate that
forgets (AR(1)). A filter follows it; with it an hour's events are negative-binomial. The same filter runs
for rates that are a factor rho as high, and the hour multiplies the evidence for rho by the ratio of the
two likelihoods. The logarithm is kept from falling below 0, where the filter of rho begins anew from that
of the usual rate; the evidence is the mean over several rho. Chance takes it above ln(ARL) less than once
in ARL hours.

Sources: Shin, Ramdas & Rinaldo 2023, E-detectors (arXiv:2203.03532); Harvey & Fernandes 1989, Time series
models for count or qualitative observations (the filter, here with an AR(1) instead of a random walk).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from promptspan_server.analysis.season import expected_counts
from promptspan_server.analysis.shifts import ONSET_LOG_RATIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

_RHOS = np.array([1.5, 2.0, 3.0])[:, None]
# What the factor of hours may be like: how much is left an hour later, its share of what hours differ by.
_CHOICES = ((0.0, 0.0), *((memory, share) for memory in (0.6, 0.85, 0.96) for share in (0.4, 0.7, 1.0)))
_FITTED_ON = 14 * 24  # hours, the latest of the baseline
_LEAST = 1e-4
_MOST = 4.0
_LEAST_FACTOR = 0.05
_FOR_ESTIMATES = 2.0


@dataclass(frozen=True, slots=True)
class Surges:
    """What was found in each hour after the baseline, shape (series, hours after it).

    Attributes:
        up: Logarithm of the evidence for a higher rate.
        down: The same for a lower one.
        expected: Expected events.
        onset_up: Index of the hour (after the baseline) since which the evidence has been growing.
        onset_down: The same for a lower rate.
        overdispersion: Relative variance of hours beyond the scatter of calls, shape (series,).
    """

    up: Floats
    down: Floats
    expected: Floats
    onset_up: NDArray[np.int64]
    onset_down: NDArray[np.int64]
    overdispersion: Floats


def find_surges(
    hours: NDArray[np.int64], events: Floats, calls: Floats, baseline: int, *, worth: float = 0.0
) -> Surges:
    """Look for changed rates after the baseline.

    Args:
        hours: Starts of the hours without gaps, seconds since the epoch, UTC, shape (hours,).
        events: Bad calls, shape (series, hours).
        calls: Calls, same shape.
        baseline: How many hours at the beginning say what is usual; at least a week of them.
        worth: Logarithm of the evidence from which on a series is worth a closer look. Others get that of
            independent calls, which is larger than what the filter would leave of it.
    """
    usual = np.arange(len(hours)) < baseline
    expected = np.maximum(expected_counts(hours, events, calls, usual), 1e-9)
    y, mu = events[:, :baseline], expected[:, :baseline]
    overdispersion = np.clip(
        ((y - mu) ** 2 - mu).sum(axis=1) / np.maximum((mu**2).sum(axis=1), 1e-9), _LEAST, _MOST
    )
    seen, due = events[:, baseline:], expected[:, baseline:]
    up, down = _plain(seen, due, _RHOS[:, 0]), _plain(seen, due, 1 / _RHOS[:, 0])
    onset_up, onset_down = (np.zeros(seen.shape, dtype=np.int64) for _ in range(2))
    loud: NDArray[np.int64] = np.flatnonzero(np.maximum(up, down).max(axis=1, initial=0.0) >= worth).astype(
        np.int64
    )
    if len(loud):
        y, mu = y[loud], mu[loud]
        factor = _parameters(y[:, -_FITTED_ON:], mu[:, -_FITTED_ON:], overdispersion[loud])
        inflation, state = _run_in(y, mu, factor)
        for evidence, onset, rho in ((up, onset_up, _RHOS), (down, onset_down, 1 / _RHOS)):
            evidence[loud], onset[loud] = _evidence(seen[loud], due[loud], factor, inflation, state, rho)
    return Surges(up, down, due, onset_up, onset_down, overdispersion)


def _plain(y: Floats, mu: Floats, rhos: Floats) -> Floats:
    """The evidence if calls were independent: Poisson, the largest over the factors."""
    best = np.zeros_like(y)
    for rho in rhos:
        total = np.cumsum(y * np.log(rho) - mu * (rho - 1), axis=1)
        lowest = np.minimum(np.minimum.accumulate(total, axis=1), 0.0)
        np.maximum(best, total - lowest, out=best)
    return best


def surge_limit(average_run_hours: float) -> float:
    """The evidence that chance exceeds once in so many hours on average; up and down share what is tolerated.

    What the noise is like is only known from the baseline, hence a run twice as long as the one asked for.
    """
    return float(np.log(2 * average_run_hours * _FOR_ESTIMATES))


def onsets_of_surge(
    events: Floats, expected: Floats, begin: int, end: int, overdispersion: float
) -> tuple[int, int]:
    """Return the first and the last hour in which a surge may have begun, a 95 % set.

    Args:
        events: Of one series, shape (hours,).
        expected: Same shape.
        begin: The likeliest hour.
        end: The hour whose evidence is taken.
        overdispersion: Relative variance of hours beyond the scatter of calls.
    """
    seen, due = events[begin : end + 1].sum(), expected[begin : end + 1].sum()
    rho, k = max(seen, 0.5) / max(due, 1e-9), 1 / max(overdispersion, _LEAST)
    first = max(0, begin - 48)
    y, mu = events[first : end + 1], expected[first : end + 1]
    steps = y * np.log(rho) + (y + k) * np.log((k + mu) / (k + rho * mu))
    profile = np.cumsum(steps[::-1])[::-1]
    likely = np.flatnonzero(profile >= profile.max() - ONSET_LOG_RATIO) + first
    return min(int(likely[0]), begin), max(int(likely[-1]), begin)


@dataclass(frozen=True, slots=True)
class _Factor:
    """What the factor of hours is like, shape (series,): how much is left an hour later, variances."""

    memory: Floats
    lasting: Floats
    white: Floats


def _parameters(y: Floats, mu: Floats, overdispersion: Floats) -> _Factor:
    """How long the factor lasts and how large it is: the likeliest of a few, were its scatter normal."""
    memory, share = (np.array(column)[:, None] for column in zip(*_CHOICES, strict=True))
    lasting = overdispersion * share
    white = np.maximum(overdispersion - lasting, _LEAST)
    state, uncertainty, cost = np.zeros_like(lasting), lasting.copy(), np.zeros_like(lasting)
    for seen, due in zip(np.ascontiguousarray(y.T), np.ascontiguousarray(mu.T), strict=True):
        variance = uncertainty + white + 1 / due
        gain = uncertainty / variance
        innovation = seen / due - 1 - state
        cost += np.where(due > 1e-6, np.log(variance) + innovation**2 / variance, 0.0)
        state = memory * (state + gain * innovation)
        uncertainty = memory**2 * (1 - gain) * uncertainty + lasting * (1 - memory**2)
    best = cost.argmin(axis=0)
    chosen = lasting[best, np.arange(len(best))]
    return _Factor(memory[best, 0], chosen, np.maximum(overdispersion - chosen, _LEAST))


def _advance(
    seen: Floats, due: Floats, state: tuple[Floats, Floats], factor: _Factor
) -> tuple[Floats, Floats]:
    """The factor's mean and variance in the next hour, after `seen` events where `due` were expected."""
    mean, variance = state
    gain = variance / (variance + factor.white + mean / due)
    after = mean + gain * (seen / due - mean)
    kept = factor.memory**2
    return (
        np.maximum(1 + factor.memory * (after - 1), _LEAST_FACTOR),
        kept * (1 - gain) * variance + factor.lasting * (1 - kept),
    )


def _run_in(y: Floats, mu: Floats, factor: _Factor) -> tuple[Floats, tuple[Floats, Floats]]:
    """Filter the baseline: how much more days scatter than they should, at least 1; the state at its end."""
    state = np.ones(len(y)), factor.lasting.copy()
    days = y.shape[1] // 24
    excess, due = np.zeros((len(y), days)), np.zeros((len(y), days))
    for hour in range(y.shape[1]):
        predicted = mu[:, hour] * state[0]
        if hour < days * 24:
            excess[:, hour // 24] += y[:, hour] - predicted
            due[:, hour // 24] += predicted + mu[:, hour] ** 2 * (state[1] + factor.white)
        state = _advance(y[:, hour], mu[:, hour], state, factor)
    return np.maximum((excess**2).sum(axis=1) / np.maximum(due.sum(axis=1), 1e-9), 1.0), state


def _evidence(  # noqa: PLR0917
    y: Floats,
    mu: Floats,
    factor: _Factor,
    inflation: Floats,
    state: tuple[Floats, Floats],
    rho: Floats,
) -> tuple[Floats, NDArray[np.int64]]:
    series, hours = y.shape
    other = np.tile(state[0], (len(rho), 1)), np.tile(state[1], (len(rho), 1))
    height, began = np.zeros((len(rho), series)), np.zeros((len(rho), series), dtype=np.int64)
    evidence, onset = np.empty((hours, series)), np.empty((hours, series), dtype=np.int64)
    every: NDArray[np.int64] = np.arange(series, dtype=np.int64)
    for hour in range(hours):
        seen, due = y[:, hour], mu[:, hour]
        usual = _log_likelihood(seen, due, state, factor)
        height += (_log_likelihood(seen, rho * due, other, factor) - usual) / inflation
        state = _advance(seen, due, state, factor)
        ahead = _advance(seen, rho * due, other, factor)
        gone = height <= 0
        other = np.where(gone, state[0], ahead[0]), np.where(gone, state[1], ahead[1])
        height = np.maximum(height, 0.0)
        began = np.where(gone, hour + 1, began)
        highest = height.max(axis=0)
        evidence[hour] = highest + np.log(np.exp(height - highest).mean(axis=0))
        onset[hour] = np.minimum(began[height.argmax(axis=0), every], hour)
    return np.maximum(evidence, 0.0).T, onset.T


def _log_likelihood(y: Floats, mu: Floats, state: tuple[Floats, Floats], factor: _Factor) -> Floats:
    """Of a negative-binomial number, without what does not depend on the rate."""
    k = state[0] ** 2 / (state[1] + factor.white)
    centre = mu * state[0]
    return gammaln(y + k) - gammaln(k) + k * np.log(k / (k + centre)) + y * np.log(centre / (k + centre))
