from __future__ import annotations

import numpy as np

from analysis.worlds import Plan, arms
from promptspan_server.analysis.balance import check_balance


def _calls(share: float, seed: int, *, hours: int = 40, per_hour: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    calls = np.zeros((hours, 2, 64))
    b = rng.binomial(per_hour, share, hours)
    calls[:, 1, 0], calls[:, 0, 0] = b, per_hour - b
    return calls


def test_a_split_of_48_to_52_is_found_within_12000_calls() -> None:
    found = sum(
        check_balance(_calls(0.52, seed), intended=None, clustered=False).mismatch for seed in range(40)
    )
    assert found >= 33


def test_an_even_split_is_left_alone() -> None:
    found = sum(
        check_balance(_calls(0.5, seed), intended=None, clustered=False).mismatch for seed in range(200)
    )
    assert found <= 4


def test_a_split_that_nobody_called_a_half_is_not_judged_unless_told() -> None:
    calls = _calls(0.3, 1)
    assert check_balance(calls, intended=None, clustered=False).p is None
    assert not check_balance(calls, intended=0.3, clustered=False).mismatch
    assert check_balance(calls, intended=0.25, clustered=False).mismatch


def test_a_ramp_is_no_mismatch() -> None:
    calls = np.concatenate([_calls(share, 2) for share in (0.05, 0.2, 0.5)])
    assert not check_balance(calls, intended=None, clustered=False).mismatch


def test_users_who_call_often_make_calls_uneven_without_a_mismatch() -> None:
    found = sum(
        check_balance(arms(Plan(users=100, seed=seed)).calls, intended=0.5, clustered=True).mismatch
        for seed in range(20)
    )
    assert found <= 1


def test_a_half_that_nobody_asked_for_is_called_a_guess() -> None:
    assert check_balance(_calls(0.5, 1), intended=None, clustered=False).assumed
    assert not check_balance(_calls(0.5, 1), intended=0.5, clustered=False).assumed
