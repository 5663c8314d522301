from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analysis.worlds import Plan, arms
from promptspan_server.analysis.compare import Compared, Comparison, compare
from promptspan_server.analysis.metrics import named, rate
from promptspan_server.analysis.wording import change, sentence

if TYPE_CHECKING:
    from promptspan_server.analysis.compare import Verdict


def _metric(comparison: Comparison, name: str) -> Compared:
    return next(each for each in comparison.metrics if each.metric.name == name)


@pytest.mark.parametrize(
    ("plan", "metric", "verdict"),
    [
        (Plan(latency=1.3), "latency", "regressed"),
        (Plan(latency=1.3), "latency_p95", "regressed"),
        (Plan(latency=0.7), "latency", "improved"),
        (Plan(tail=2.0), "latency_p95", "regressed"),
        (Plan(tokens=1.5), "output_tokens", "regressed"),
        (Plan(tokens=1.5), "cost_per_call", "regressed"),
        (Plan(error_rates=(0.01, 0.04)), "error_rate", "regressed"),
        (Plan(flags=(0.63, 0.9), per_hour=40), "refusal_rate", "regressed"),
        (Plan(score=-0.08), "score:helpful", "regressed"),
        (Plan(score=0.08), "score:helpful", "improved"),
        (Plan(per_hour=3000, hours=12), "latency", "not worse"),
        (Plan(per_hour=3000, hours=12), "error_rate", "not worse"),
        (Plan(per_hour=20, hours=4), "latency", "undecided"),
    ],
)
def test_what_differs_is_said_of_the_metric_that_it_differs_in(
    plan: Plan, metric: str, verdict: Verdict
) -> None:
    assert _metric(compare(arms(plan)), metric).verdict == verdict


def test_a_regression_of_one_metric_is_one_of_the_whole() -> None:
    assert compare(arms(Plan(latency=1.3, tokens=0.5))).verdict == "regressed"
    assert compare(arms(Plan(latency=0.6, per_hour=3000))).verdict == "improved"
    assert compare(arms(Plan(per_hour=3000))).verdict == "not worse"
    assert compare(arms(Plan(per_hour=10, hours=6))).verdict == "undecided"


def test_halves_of_one_version_are_seldom_called_different() -> None:
    said = [compare(arms(Plan(hours=6, per_hour=150, seed=seed))) for seed in range(120)]
    claims = sum(any(each.verdict in ("regressed", "improved") for each in one.metrics) for one in said)
    assert claims <= 6


def test_traffic_that_was_not_divided_as_intended_makes_everything_invalid() -> None:
    comparison = compare(arms(Plan(share=0.54, per_hour=1000, latency=1.4)))
    assert comparison.verdict == "invalid"
    assert {each.verdict for each in comparison.metrics} == {"invalid"}
    said = sentence(comparison, a="v6", b="v7")
    assert "not divided as intended" in said
    # Only where the half is a guess, the reader is told that it is.
    assert ("is a guess" in said) == comparison.balance.assumed


def test_versions_that_ran_one_after_the_other_are_compared_as_observed_only() -> None:
    comparison = compare(arms(Plan(apart=True, hours=40, latency=3.0)))
    assert comparison.observational
    assert _metric(comparison, "latency").verdict == "regressed"
    assert "Observational" in sentence(comparison, a="v6", b="v7")


def test_what_changes_from_hour_to_hour_is_no_difference_between_times() -> None:
    """Waves of 30 % in an hour's latency: half a day against the other half proves nothing."""
    assert _metric(compare(arms(Plan(apart=True, hours=40))), "latency").verdict == "undecided"


def test_too_little_traffic_says_how_much_is_missing() -> None:
    each = _metric(compare(arms(Plan(per_hour=20, hours=5, latency=1.1))), "latency")
    assert each.verdict == "undecided"
    assert each.more_calls
    few = _metric(compare(arms(Plan(per_hour=4, hours=5))), "latency")
    assert few.reason.startswith("too few calls")
    assert few.a is None


def test_a_margin_of_ones_own_decides() -> None:
    from dataclasses import replace

    made = arms(Plan(latency=1.05, per_hour=3000))
    strict = compare(made, metrics=[replace(named("latency"), max_ratio=1.01)])
    loose = compare(made, metrics=[replace(named("latency"), max_ratio=1.2)])
    assert (strict.verdict, loose.verdict) == ("regressed", "not worse")


def test_the_sentence_says_what_by_how_much_how_sure_and_on_how_much() -> None:
    text = sentence(compare(arms(Plan(latency=1.3, per_hour=2000))), a="v6", b="v7")
    assert text.startswith("v7 is slower: ")
    assert "always-valid p < 0.0001" in text
    assert "calls an arm" in text


def test_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(60):
        each = _metric(compare(arms(Plan(latency=1.15, hours=8, per_hour=200, seed=seed))), "latency")
        held += (each.low or 0) <= 1.15 <= (each.high or 9)
    assert held >= 58


def test_a_rate_that_was_nothing_before_is_written_as_a_rate() -> None:
    compared = Compared(
        rate("truncated"), "undecided", 0.0, 0.0144, None, 0.0144, 0.541, None, 0.04, 900, 700
    )
    assert change(compared) == "1.44\u202f% against 0\u202f%, \u00d7? [0.54, ?]"
