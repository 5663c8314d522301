from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promptspan_server.analysis.rates import compare_rates, evidence_of_equality

hours = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


def _cells(drawn: list[tuple[int, int, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    calls = np.array([[a, b] for a, b, _, _ in drawn], dtype=float)
    bad = np.floor(np.array([[a * p, b * q] for a, b, p, q in drawn]))
    return bad, calls


@given(hours)
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_the_ratio_that_is_seen(drawn: list[tuple[int, int, float, float]]) -> None:
    bad, calls = _cells(drawn)
    result = compare_rates(bad, calls, alpha=0.05)
    assert result.low <= result.high
    if len(drawn) == 1 and result.a > 0 and result.b > 0:
        assert result.low <= result.ratio * 1.02
        assert result.ratio <= result.high * 1.02


@given(hours)
@settings(max_examples=60, deadline=None)
def test_exchanged_arms_give_the_same_evidence(drawn: list[tuple[int, int, float, float]]) -> None:
    bad, calls = _cells(drawn)
    one = compare_rates(bad, calls, alpha=0.05)
    other = compare_rates(bad[:, ::-1], calls[:, ::-1], alpha=0.05)
    assert np.isclose(one.log_e, other.log_e, atol=1e-6)


def test_the_evidence_is_that_of_the_interval() -> None:
    bad, calls = np.array([[5.0, 14.0], [8.0, 20.0]]), np.array([[300.0, 310.0], [420.0, 400.0]])
    evidence = compare_rates(bad, calls, alpha=0.05).log_e
    assert np.isclose(evidence_of_equality(calls)(bad), evidence)
    result = compare_rates(bad, calls, alpha=np.exp(-evidence))
    assert np.isclose(min(abs(np.log(result.low)), abs(np.log(result.high))), 0.0, atol=0.01)


def test_hours_of_one_arm_alone_say_nothing() -> None:
    bad, calls = np.array([[3.0, 6.0], [50.0, 0.0]]), np.array([[100.0, 100.0], [100.0, 0.0]])
    assert compare_rates(bad, calls, alpha=0.05) == compare_rates(bad[:1], calls[:1], alpha=0.05)


def test_no_event_and_no_call_are_no_evidence() -> None:
    nothing = compare_rates(np.zeros((3, 2)), np.full((3, 2), 50.0), alpha=0.05)
    assert np.isclose(nothing.log_e, 0.0)
    assert (nothing.low, nothing.high) == (0.0, np.inf)
    assert np.isnan(compare_rates(np.zeros((0, 2)), np.zeros((0, 2)), alpha=0.05).a)


def test_a_rate_that_doubles_is_found_and_its_ratio_bounded() -> None:
    rng = np.random.default_rng(3)
    calls = np.full((48, 2), 300.0)
    result = compare_rates(rng.binomial(300, [0.01, 0.02], (48, 2)).astype(float), calls, alpha=0.05)
    assert result.log_e > np.log(1000)
    assert 1.0 < result.low < 2.0 < result.high


def test_equal_rates_under_a_ramp_and_a_drifting_base_are_seldom_called_different() -> None:
    """150 worlds of three days, looked at again and again; the pooled test is fooled by most of them."""
    rng = np.random.default_rng(11)
    fooled, pooled = 0, 0
    for _ in range(150):
        share = np.repeat([0.05, 0.2, 0.5], 24)
        base = 0.01 * np.exp(np.linspace(0, 1.5, 72) + rng.normal(0, 0.2, 72))
        n_b = rng.binomial(300, share)
        calls = np.stack([300 - n_b, n_b], axis=1).astype(float)
        bad = rng.binomial(calls.astype(int), base[:, None]).astype(float)
        looks = [compare_rates(bad[:hour], calls[:hour], alpha=0.05).log_e for hour in range(2, 73, 4)]
        fooled += max(looks) > np.log(20)
        total, events = calls.sum(axis=0), bad.sum(axis=0)
        pooled += stats.fisher_exact(np.array([events, total - events])).pvalue < 0.05
    assert fooled <= 0.05 * 150 + 3 * np.sqrt(0.05 * 0.95 * 150)
    assert pooled > 50
