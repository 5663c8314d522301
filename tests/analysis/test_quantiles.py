from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptspan_server.analysis.arms import BUCKETS
from promptspan_server.analysis.quantiles import compare_quantiles, quantile


def _histogram(values: np.ndarray) -> np.ndarray:
    return np.bincount(np.floor(np.log2(values + 1) * 8).astype(int), minlength=BUCKETS).astype(float)


def _two(seed: int, factor: float, n: int = 3000, tail: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a, b = rng.lognormal(6.5, 0.6, n), rng.lognormal(6.5, 0.6, n) * factor
    b = np.where(b > np.quantile(b, 0.9), b * tail, b)
    return np.stack([_histogram(a), _histogram(b)])[None]


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.95, 0.99]))
@settings(max_examples=30, deadline=None)
def test_a_quantile_of_buckets_is_near_the_exact_one(seed: int, probability: float) -> None:
    values = np.random.default_rng(seed).lognormal(6.5, 0.6, 4000)
    assert quantile(_histogram(values), probability) == pytest.approx(
        np.quantile(values, probability), rel=0.05
    )


def test_a_factor_is_found_in_every_quantile_and_lies_in_its_interval() -> None:
    for probability in (0.5, 0.95):
        result = compare_quantiles(_two(1, 1.3), probability, alpha=0.01, design_effect=1.0)
        assert result is not None
        assert result.log_e > np.log(100)
        assert 1.0 < result.low < 1.3 < result.high < 1.6
        assert result.ratio == pytest.approx(1.3, rel=0.06)
        assert result.band_a[0] < result.a < result.band_a[1]


def test_a_heavier_tail_shows_in_the_tail_alone() -> None:
    histograms = _two(2, 1.0, tail=1.6)
    middle = compare_quantiles(histograms, 0.5, alpha=0.01, design_effect=1.0)
    tail = compare_quantiles(histograms, 0.95, alpha=0.01, design_effect=1.0)
    assert middle is not None
    assert tail is not None
    assert middle.log_e < np.log(20) < tail.log_e


def test_equal_arms_are_seldom_told_apart() -> None:
    claims = 0
    for seed in range(100):
        result = compare_quantiles(_two(seed, 1.0, n=400), 0.95, alpha=0.05, design_effect=1.0)
        assert result is not None
        claims += result.log_e > np.log(20)
    assert claims <= 5


def test_nothing_in_common_is_nothing_to_compare() -> None:
    histograms = np.zeros((2, 2, BUCKETS))
    histograms[0, 0, 50] = histograms[1, 1, 50] = 10
    assert compare_quantiles(histograms, 0.5, alpha=0.05, design_effect=1.0) is None
