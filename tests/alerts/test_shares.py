"""Burn rates and the e-CUSUM, on counts made by hand and at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from promptspan_server.alerts.evaluation import silence_of, usual_share, withdrawn
from promptspan_server.alerts.shares import (
    BAD,
    GOOD,
    LIMIT,
    MINUTES,
    Counts,
    cusum,
    judge_pages,
    judge_tickets,
    log_ratio,
)

Floats = NDArray[np.float64]


def counts(calls: Floats, bad: Floats, earlier: tuple[float, float] = (0.0, 0.0)) -> Counts:
    ones = np.ones(len(calls))
    return Counts(calls, bad, ones * earlier[0], ones * earlier[1])


def outage(rate: float, share: float, minutes: int) -> Counts:
    """One series of `rate` calls a minute, of which a share fails in the last minutes."""
    calls = np.full((1, MINUTES), rate)
    bad = np.zeros((1, MINUTES))
    bad[:, MINUTES - minutes :] = rate * share
    return counts(calls, bad)


ALLOWED = np.array([0.01])


def test_an_outage_is_found_within_minutes_and_healthy_traffic_is_left_alone() -> None:
    assert judge_pages(outage(20, 0.2, 4), ALLOWED).level[0] == BAD
    assert judge_pages(outage(20, 0.2, 1), ALLOWED).level[0] != BAD
    assert judge_pages(outage(20, 0.005, MINUTES), ALLOWED).level[0] == GOOD


def test_the_beginning_is_named() -> None:
    judged = judge_pages(outage(20, 0.2, 30), ALLOWED)
    assert judged.since[0] == MINUTES - 30
    assert judged.share[0] == pytest.approx(0.2)


def test_burn_rates_need_both_windows_and_ten_bad_calls() -> None:
    slow_burn = counts(np.full((1, MINUTES), 2.0), np.full((1, MINUTES), 0.14))
    assert judge_pages(slow_burn, ALLOWED, rho=100).level[0] == BAD  # 7 x over six hours
    over = slow_burn.bad.copy()
    over[:, -40:] = 0
    assert judge_pages(counts(slow_burn.calls, over), ALLOWED, rho=100).level[0] == GOOD
    few = counts(np.full((1, MINUTES), 0.1), np.full((1, MINUTES), 0.02))
    assert judge_pages(few, ALLOWED, rho=100).level[0] != BAD  # 20 %, but 7 bad calls


def test_a_ticket_looks_at_three_days() -> None:
    now = counts(np.full((1, MINUTES), 1.0), np.full((1, MINUTES), 0.03), (4000.0, 120.0))
    assert judge_tickets(now, ALLOWED).level[0] == BAD
    healthy_before = counts(now.calls, now.bad, (4000.0, 0.0))
    assert judge_tickets(healthy_before, ALLOWED).level[0] != BAD
    # 1.2 % of a thousand against 1 %: chance.
    by_chance = counts(np.full((1, MINUTES), 0.1), np.full((1, MINUTES), 0.0012), (964.0, 11.6))
    assert judge_tickets(by_chance, ALLOWED).level[0] != BAD
    often = counts(np.full((1, MINUTES), 10.0), np.full((1, MINUTES), 0.12), (96_400.0, 1160.0))
    assert judge_tickets(often, ALLOWED).level[0] == BAD


def test_after_the_outage_it_is_good_again_before_the_windows_have_forgotten() -> None:
    calls, bad = np.full((1, MINUTES), 20.0), np.zeros((1, MINUTES))
    bad[:, 100:160] = 6
    assert judge_pages(counts(calls, bad), ALLOWED).level[0] == GOOD


def test_nothing_is_said_where_nothing_is_known() -> None:
    judged = judge_pages(outage(20, 1.0, 60), np.array([np.nan]), burn=False)
    assert judged.level[0] == GOOD


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_cusum_is_the_largest_sum_up_to_now(pairs: list[tuple[int, float]]) -> None:
    calls = np.array([[float(n) for n, _ in pairs]])
    bad = np.array([[float(round(n * share)) for n, share in pairs]])
    steps = log_ratio(bad, calls, ALLOWED, 5.0)
    height, since = cusum(steps)
    tails = [steps[0, first:].sum() for first in range(steps.shape[1])]
    assert height[0] == pytest.approx(max(0.0, *tails), abs=1e-9)
    assert steps[0, since[0] :].sum() == pytest.approx(max(tails), abs=1e-9) or height[0] == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.floats(0.0005, 0.4), st.floats(1.5, 20))
def test_the_evidence_of_what_is_allowed_is_a_fair_bet(n: int, p: float, rho: float) -> None:
    """Its expectation is 1: that is what bounds false alarms."""
    from scipy.stats import binom

    bad = np.arange(n + 1, dtype=np.float64)[None, :]
    calls = np.full_like(bad, float(n))
    log_e = log_ratio(bad, calls, np.array([p]), rho)[0]
    log_chance: Floats = np.asarray(binom.logpmf(bad[0], n, p), dtype=np.float64)
    assert float(np.logaddexp.reduce(log_chance + log_e)) == pytest.approx(0.0, abs=1e-6)


def test_all_calls_stopping_is_silence_and_a_pause_of_quiet_traffic_is_none() -> None:
    busy = np.full((2, MINUTES), 3.0)
    busy[:, -10:] = 0
    assert silence_of(busy) == "no calls for 10 minutes"
    quiet = np.zeros((1, MINUTES))
    quiet[0, ::20] = 1
    quiet[:, -60:] = 0
    assert silence_of(quiet) == ""
    assert silence_of(np.zeros((0, MINUTES))) == "no calls within 6 hours"


def test_a_version_that_was_rolled_back_is_withdrawn_and_a_seldom_one_is_not() -> None:
    calls = np.full((3, MINUTES), 5.0)
    calls[1, -30:] = 0
    calls[2] = 0
    calls[2, 100] = 1
    labels = [(("prompt_name", "p"), ("prompt_version", v)) for v in ("6", "7", "8")]
    assert withdrawn(calls, labels).tolist() == [False, True, False]


def test_what_is_usual_has_room_for_chance_and_needs_calls() -> None:
    shares = usual_share(np.array([1000.0, 100.0]), np.array([10.0, 1.0]), 200)
    assert 0.01 < shares[0] < 0.02
    assert np.isnan(shares[1])


def test_the_limit_is_a_year_of_minutes() -> None:
    assert np.exp(LIMIT) == pytest.approx(365 * 1440)
