"""Quantiles of two arms from log-bucket histograms: how many calls exceed a threshold is a rate like any.

If the candidate's latencies are `ratio` times the baseline's, then as many of its calls exceed `ratio *
threshold` as of the baseline's exceed `threshold`, hour by hour. Every ratio that the e-process on those
two rates does not exclude is in the interval; evidence against a ratio of 1 is the test. The band of a
single arm's quantile is Beta-mixture.

Source: Howard & Ramdas 2022, Sequential estimation of quantiles (arXiv:1906.09712). Buckets are
floor(log2(x + 1) * 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaln

from promptspan_server.analysis.rates import evidence_of_equality

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.analysis.arms import Floats

BUCKETS_PER_OCTAVE = 8
_STRENGTH = 100.0  # pseudo-counts of the mixture, around the quantile's own share
_FINE = 0.01  # buckets: 0.1 %
_FARTHEST = 64.0  # buckets: ratios beyond 2 ** 8 are reported as unbounded


@dataclass(frozen=True, slots=True)
class QuantileResult:
    """How a quantile of two arms compares, in the quantity's own unit plus one (x + 1).

    Attributes:
        a: The baseline's quantile over hours in which both arms had traffic.
        b: As `a`, of the candidate.
        low: Lower end of the interval of the ratio.
        high: Upper end.
        log_e: Natural logarithm of the evidence against a ratio of 1.
        band_a: Always-valid band of the baseline's quantile.
        band_b: As `band_a`, of the candidate.
    """

    a: float
    b: float
    low: float
    high: float
    log_e: float
    band_a: tuple[float, float]
    band_b: tuple[float, float]

    @property
    def ratio(self) -> float:
        """B / a."""
        return (self.b + 1) / (self.a + 1)


def compare_quantiles(
    histograms: Floats, probability: float, *, alpha: float, design_effect: float
) -> QuantileResult | None:
    """Compare one quantile of two arms.

    Args:
        histograms: Calls by stratum, arm and bucket, shape (strata, 2, buckets), baseline first.
        probability: Which quantile, 0 to 1.
        alpha: 1 minus the coverage of the interval.
        design_effect: See `compare_rates`.

    Returns:
        The comparison, or None if no hour had calls of both arms.
    """
    n = histograms.sum(axis=2)
    both = (n > 0).all(axis=1)
    if not both.any():
        return None
    # Empty buckets above the largest value would only be added up.
    filled = int(np.flatnonzero(histograms.any(axis=(0, 1)))[-1]) + 2
    histograms, n = histograms[both][:, :, :filled], n[both]
    weight = n.prod(axis=1) / n.sum(axis=1)
    shape = (weight[:, None, None] * histograms / n[:, :, None]).sum(axis=0) / weight.sum()
    below = np.concatenate([np.zeros((*histograms.shape[:2], 1)), histograms.cumsum(axis=2)], axis=2)
    positions = [_position(shape[arm], probability) for arm in (0, 1)]
    evidence = evidence_of_equality(n, design_effect=design_effect)

    def log_e(shift: float) -> float:
        threshold = _position_of_mixture(shape, probability, shift)
        under = [_at(below[:, 0], threshold), _at(below[:, 1], threshold + shift)]
        return evidence(np.maximum(n - np.stack(under, axis=1), 0.0))

    limit = float(np.log(1 / alpha))
    centre = positions[1] - positions[0]
    low = _edge(log_e, centre, -1.0, limit)
    high = _edge(log_e, centre, 1.0, limit)
    bands = [
        _band(shape[arm], probability, float(n[:, arm].sum()) / design_effect, limit + np.log(2))
        for arm in (0, 1)
    ]
    return QuantileResult(
        a=_value(positions[0]),
        b=_value(positions[1]),
        low=float(2 ** (low / BUCKETS_PER_OCTAVE)),
        high=float(2 ** (high / BUCKETS_PER_OCTAVE)),
        log_e=log_e(0.0),
        band_a=bands[0],
        band_b=bands[1],
    )


def quantile(histogram: Floats, probability: float) -> float:
    """A quantile of one histogram, interpolated within its bucket on the log scale; NaN if it is empty."""
    return _value(_position(histogram / histogram.sum(), probability)) if histogram.sum() else np.nan


def _value(position: float) -> float:
    return float(2 ** (position / BUCKETS_PER_OCTAVE) - 1)


def _position(shape: Floats, probability: float) -> float:
    """Where the quantile is, in buckets, with its fraction."""
    return _invert(np.concatenate([[0.0], shape.cumsum()]), probability)


def _invert(cumulative: Floats, probability: float) -> float:
    target = probability * float(cumulative[-1])
    index = int(np.clip(int(np.searchsorted(cumulative, target)), 1, len(cumulative) - 1))
    step = float(cumulative[index] - cumulative[index - 1])
    return index - 1 + (float(target - cumulative[index - 1]) / step if step else 0.0)


def _position_of_mixture(shape: Floats, probability: float, shift: float) -> float:
    """The quantile of both arms together, the candidate's values moved down by `shift` buckets."""
    grid = np.arange(shape.shape[1] + 1, dtype=np.float64)
    cumulative = [np.concatenate([[0.0], row.cumsum()]) for row in shape]
    moved = np.interp(grid + shift, grid, cumulative[1])
    return _invert((cumulative[0] + moved) / 2, probability)


def _at(below: Floats, position: float) -> Floats:
    """Calls below a position, by stratum; within a bucket in proportion."""
    position = float(np.clip(position, 0, below.shape[1] - 1))
    index = min(int(position), below.shape[1] - 2)
    return below[:, index] + (below[:, index + 1] - below[:, index]) * (position - index)


def _edge(log_e: Callable[[float], float], centre: float, direction: float, limit: float) -> float:
    inside, step = centre, 0.25
    if log_e(centre) >= limit:
        return centre
    while log_e(outside := inside + direction * step) < limit:
        inside, step = outside, step * 2
        if abs(inside - centre) > _FARTHEST:
            return direction * np.inf
    while abs(outside - inside) > _FINE:
        middle = (inside + outside) / 2
        if log_e(middle) < limit:
            inside = middle
        else:
            outside = middle
    return float(outside)


def _band(shape: Floats, probability: float, n: float, limit: float) -> tuple[float, float]:
    """All values at which the share of calls below is compatible with the probability."""
    share = np.concatenate([[0.0], shape.cumsum()])
    k = n * share
    p, q = _STRENGTH * probability, _STRENGTH * (1 - probability)
    log_e = (
        betaln(p + k, q + n - k) - betaln(p, q) - k * np.log(probability) - (n - k) * np.log1p(-probability)
    )
    inside = np.flatnonzero(log_e < limit)
    if not len(inside):
        where = _position(shape, probability)
        return _value(np.floor(where)), _value(np.ceil(where))
    return _value(float(max(inside[0] - 1, 0))), _value(float(min(inside[-1] + 1, len(share) - 1)))
