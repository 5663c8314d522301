from __future__ import annotations

from typing import Any

import numpy as np

from promptspan_server.analysis.means import MeanResult, compare_means


def _draw(seed: int, effect: float, *, hours: int = 24, n: int = 40, users: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    units = 64
    calls, sums, squares = np.zeros((hours, 2, units)), np.zeros((hours, 2, units)), np.zeros((hours, 2))
    arm_of, taste = rng.random(users or 1) < 0.5, rng.normal(0, 0.5, users or 1)
    for hour in range(hours):
        user = rng.integers(0, users or 10**6, 2 * n)
        arm = arm_of[user].astype(int) if users else rng.integers(0, 2, 2 * n)
        value = 5 + hour * 0.05 + effect * arm + rng.normal(0, 0.6, 2 * n) + (taste[user] if users else 0)
        np.add.at(calls[hour], (arm, user % units), 1)
        np.add.at(sums[hour], (arm, user % units), value)
        np.add.at(squares[hour], arm, value**2)
    return calls, sums, squares


def _compare(drawn: tuple[Any, Any, Any], *, clustered: bool = False) -> MeanResult:
    return compare_means(*drawn, alpha=0.05, scale=0.2, floor=0.01, clustered=clustered)


def test_a_difference_is_found_and_its_interval_holds_the_truth() -> None:
    result = _compare(_draw(1, 0.3))
    assert result.log_e > np.log(100)
    assert result.low < 0.3 < result.high
    assert np.isclose(result.delta, 0.3, atol=0.1)


def test_a_base_that_changes_for_both_arms_is_no_difference() -> None:
    assert _compare(_draw(2, 0.0)).log_e < np.log(20)


def test_the_interval_ends_where_the_evidence_begins() -> None:
    drawn = _draw(5, 0.1)
    e = _compare(drawn).log_e
    assert e > 0
    edge = compare_means(*drawn, alpha=float(np.exp(-e)), scale=0.2, floor=0.01, clustered=False)
    assert np.isclose(min(abs(edge.low), abs(edge.high)), 0.0, atol=1e-6)


def test_few_users_widen_the_interval_and_keep_their_differences_from_looking_like_the_versions() -> None:
    claimed = {True: 0, False: 0}
    for seed in range(80):
        drawn = _draw(seed, 0.0, users=60)
        for clustered in claimed:
            claimed[clustered] += _compare(drawn, clustered=clustered).log_e > np.log(20)
    assert claimed[True] <= 0.05 * 80 + 3 * np.sqrt(0.05 * 0.95 * 80)
    assert claimed[False] > 20


def test_a_constant_does_not_divide_by_zero() -> None:
    calls = np.zeros((2, 2, 64))
    calls[:, :, 0] = 50
    sums = calls * np.array([7.0, 2.0])[None, :, None]
    squares = (calls * np.array([49.0, 4.0])[None, :, None]).sum(axis=2)
    result = compare_means(calls, sums, squares, alpha=0.05, scale=0.2, floor=0.01, clustered=False)
    assert np.isclose(result.delta, -5.0)
    assert result.high < -4.9


def test_arms_that_never_meet_are_not_compared() -> None:
    calls = np.zeros((2, 2, 64))
    calls[0, 0, 0] = calls[1, 1, 0] = 50
    result = compare_means(
        calls, calls, calls.sum(axis=2), alpha=0.05, scale=0.2, floor=0.01, clustered=False
    )
    assert np.isnan(result.a)
    assert result.log_e == 0.0
