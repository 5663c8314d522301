from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np
import pytest

from promptspan_server.analysis.changes import Settings, with_changes
from promptspan_server.analysis.drift import find_drift
from promptspan_server.analysis.drift_words import sentence, summary
from promptspan_server.analysis.findings import Finding, Wanted
from promptspan_server.analysis.observed import HOUR_S, Means, Observed, Rates, Who
from promptspan_server.analysis.texts import GROUPS, words_of
from promptspan_server.store.markers import Marker

if TYPE_CHECKING:
    from promptspan_server.analysis.arms import Floats

MONDAY = 1_761_523_200  # 2025-10-27 00:00 UTC
WHO = Who("summarise", "v7")


@dataclass
class Story:
    """Five weeks of a version; what happens, happens `at` hours after the judged week begins."""

    per_hour: float = 120
    first: int = 0  # hour of the first call
    last: int = 35 * 24
    at: int = 40
    until: int = 10_000
    latency: float = 1.0
    errors: float = 0.01
    flag: float = 0.0
    model: float = 0.0  # share of the answers that another model gives
    words: float | None = None  # share of the answers that are in words that were never used
    seed: int = 1
    begin: int = 28 * 24
    who: Who = field(default_factory=lambda: WHO)


def observed(*stories: Story) -> Observed:
    hours = MONDAY + np.arange(35 * 24, dtype=np.int64) * HOUR_S
    index = np.arange(len(hours))
    rows: list[tuple[int, str, Floats, Floats]] = []
    means: list[tuple[int, str, Floats, Floats, Floats]] = []
    calls_of: list[Floats] = []
    for number, story in enumerate(stories):
        rng = np.random.default_rng(story.seed)
        live = (index >= story.first) & (index < story.last)
        busy = story.per_hour * (1 + 0.5 * np.cos(2 * np.pi * (index % 24 - 15) / 24)) * live
        calls = rng.poisson(busy).astype(float)
        after = (index >= story.begin + story.at) & (index < story.begin + story.until)
        wave = np.repeat(rng.normal(0, 0.02, len(hours) // 24), 24) + np.where(
            after, np.log(story.latency), 0
        )
        sums = calls * (7 + wave) + rng.normal(0, 0.6, len(hours)) * np.sqrt(calls)
        squares = 0.36 * np.maximum(calls - 1, 0) + np.divide(
            sums**2, calls, out=np.zeros_like(sums), where=calls > 0
        )
        calls_of.append(calls)
        means.append((number, "latency", calls, sums, squares))
        means.append((number, "cost", calls * 0, calls * 0, calls * 0))
        share = np.where(after, story.errors, 0.01)
        rows.append((number, "error_rate", rng.binomial(calls.astype(int), share).astype(float), calls))
        if story.flag:
            flagged = rng.binomial(calls.astype(int), np.where(after, story.flag, 0.0)).astype(float)
            rows.append((number, "pii_rate", flagged, calls))
        if story.model:
            other = rng.binomial(calls.astype(int), np.where(after, story.model, 0.0)).astype(float)
            rows += [(number, "model:old", calls - other, calls), (number, "model:new", other, calls)]
        if story.words is not None:
            new = rng.binomial(calls.astype(int), np.where(after, story.words, 0.0))
            usual = np.where(np.arange(GROUPS) < 40, 0.3, 0.0)
            groups = rng.binomial((calls - new).astype(int)[:, None], usual).astype(float)
            groups[:, 40:50] += new[:, None]
            words = words_of(calls, groups, story.begin)
            means.append((number, "text", words.calls, words.sums, words.squares))
            rows.append((number, "novelty", words.rare, words.used))
    return Observed(
        hours=hours,
        begin=stories[0].begin,
        who=tuple(story.who for story in stories),
        calls=np.array(calls_of),
        rates=Rates(
            tuple(row[:2] for row in rows),
            np.array([row[2] for row in rows]),
            np.array([row[3] for row in rows]),
        ),
        means=Means(
            tuple(row[:2] for row in means), *(np.array([row[part] for row in means]) for part in (2, 3, 4))
        ),
        limits={},
    )


def test_a_slower_version_is_found_with_its_size_beginning_and_nothing_else() -> None:
    drift = find_drift(observed(Story(latency=1.28)))
    [found] = drift.drifting
    assert (found.who, found.signal, found.worse) == (WHO, "latency", True)
    assert found.ratio == pytest.approx(1.28, abs=0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1.28 < found.high
    began = MONDAY + (28 * 24 + 40) * HOUR_S
    assert found.since_low_s is not None
    assert found.since_high_s is not None
    assert found.since_s is not None
    assert found.since_low_s <= began <= found.since_high_s
    assert abs(found.since_s - began) <= 2 * HOUR_S
    assert found.until_s is None
    assert found.value == pytest.approx(found.expected * 1.28, rel=0.05) if found.expected else False
    assert found.n > 10_000


def test_a_quiet_version_is_stable_and_says_what_it_does() -> None:
    drift = find_drift(observed(Story(seed=3)))
    assert not drift.drifting
    by_signal = {each.signal: each for each in drift.findings}
    assert by_signal["latency"].verdict == by_signal["error_rate"].verdict == "stable"
    assert by_signal["latency"].value == pytest.approx(np.exp(7), rel=0.1)
    assert by_signal["error_rate"].value == pytest.approx(0.01, rel=0.3)
    # What nobody reports is no series.
    assert "cost" not in by_signal


def test_an_incident_that_ended_says_when() -> None:
    [found] = find_drift(observed(Story(latency=1.5, at=30, until=60))).drifting
    assert found.until_s is not None
    assert abs(found.until_s - (MONDAY + (28 * 24 + 60) * HOUR_S)) <= 3 * HOUR_S
    assert " until " in sentence(found)


def test_errors_that_triple_and_a_flag_never_seen_before_are_found() -> None:
    drift = find_drift(observed(Story(errors=0.03, flag=0.02)))
    assert {each.signal for each in drift.drifting} == {"error_rate", "pii_rate"}
    for each in drift.drifting:
        assert each.worse
        assert each.since_low_s is not None
        assert each.since_high_s is not None
        assert each.since_low_s <= MONDAY + (28 * 24 + 40) * HOUR_S <= each.since_high_s + HOUR_S
    errors = next(each for each in drift.drifting if each.signal == "error_rate")
    assert errors.value == pytest.approx(0.03, rel=0.2)
    assert errors.low is not None
    assert errors.high is not None
    assert errors.low < 3 < errors.high


def test_another_model_that_answers_is_one_finding_of_many_values() -> None:
    found = [
        each for each in find_drift(observed(Story(model=0.3))).drifting if each.signal.startswith("model")
    ]
    assert len(found) == 1


def test_answers_in_other_words_are_found_by_their_sketches() -> None:
    found = {each.signal: each for each in find_drift(observed(Story(words=0.3))).drifting}
    assert found.keys() == {"text", "novelty"}
    began = MONDAY + (28 * 24 + 40) * HOUR_S
    for each in found.values():
        assert each.worse is None  # neither better nor worse: nobody is woken
        assert each.since_low_s is not None
        assert each.since_high_s is not None
        assert each.since_low_s <= began <= each.since_high_s
    assert "answers in other words than its own last" in sentence(found["text"])
    assert "more words that were rare than its own last" in sentence(found["novelty"])
    assert (found["novelty"].ratio or 0) > 2
    quiet = find_drift(observed(Story(words=0.0)))
    assert not quiet.drifting
    assert {each.signal for each in quiet.findings} >= {"text", "novelty"}


def test_too_little_data_is_a_verdict_with_its_reason() -> None:
    young = Story(first=35 * 24 - 3 * 24, who=Who("summarise", "v8"))
    rare = Story(per_hour=0.05, who=Who("summarise", "v6"))
    gone = Story(last=28 * 24 - 5, who=Who("summarise", "v5"))
    drift = find_drift(observed(Story(), young, rare, gone))
    said = {(each.who.version, each.signal): each for each in drift.findings}
    for version, reason in (("v8", "3 days old"), ("v6", "are needed"), ("v5", "no calls in the time")):
        assert said[version, "latency"].verdict == "too little data"
        assert reason in said[version, "latency"].reason
        assert "too little data" in sentence(said[version, "latency"])
    assert said["v7", "latency"].verdict == "stable"


def test_a_version_younger_than_the_baseline_is_judged_from_its_second_week_on() -> None:
    story = Story(first=28 * 24 - 5 * 24, at=70, latency=1.4)
    [found] = find_drift(observed(story)).drifting
    assert found.baseline_days == 7
    assert found.ratio == pytest.approx(1.4, abs=0.1)


def test_the_same_change_is_said_of_the_version_and_not_again_of_the_whole_prompt() -> None:
    drift = find_drift(observed(Story(latency=1.4), Story(latency=1.4, who=Who("summarise", None))))
    assert [each.who.version for each in drift.drifting] == ["v7"]


def test_fewer_false_alarms_and_larger_changes_are_what_the_two_numbers_ask_for() -> None:
    world = observed(Story(latency=1.15, per_hour=300))
    assert find_drift(world, Wanted(smallest_change=0.05)).drifting
    assert not find_drift(world, Wanted(smallest_change=0.3)).drifting
    strict, lax = (find_drift(world, Wanted(false_alarms_per_week=wanted)) for wanted in (0.001, 10))
    assert strict.run_hours > lax.run_hours
    assert strict.findings[0].strength < lax.findings[0].strength
    for wrong in ({"false_alarms_per_week": 0}, {"smallest_change": -1}, {"smallest_change": float("nan")}):
        with pytest.raises(ValueError, match=r"number above 0|share above 0"):
            Wanted(**wrong)


def test_nothing_to_judge_is_said() -> None:
    empty = np.zeros((0, 10))
    nothing = Observed(
        np.arange(10) * HOUR_S, 5, (), empty, Rates((), empty, empty), Means((), empty, empty, empty), {}
    )
    drift = find_drift(nothing)
    assert drift.findings == ()
    assert "nothing to judge" in summary(drift)


def _settings(hours: int, change_at: int, *, before: str, after: str, axis: str) -> Settings:
    index = np.arange(hours)
    values = {
        before: np.where(index < change_at, 50.0, 0.0),
        after: np.where(index >= change_at, 50.0, 0.0),
    }
    constant = {"requested model": {"gpt-4o": np.full(hours, 50.0)}}
    return Settings(MONDAY + index * HOUR_S, {("summarise", "v7"): {axis: values, **constant}})


@pytest.fixture(scope="module")
def slower() -> Finding:
    return find_drift(observed(Story(latency=1.28))).drifting[0]


@pytest.mark.parametrize(
    ("axis", "ours"),
    [
        ("answering model", False),
        ("system fingerprint", False),
        ("price", False),
        ("parameter temperature", True),
        ("template", True),
        ("provider", True),
    ],
)
def test_a_finding_says_on_which_axis_something_changed_at_that_time(
    slower: Finding, axis: str, ours: bool
) -> None:
    settings = _settings(35 * 24, 28 * 24 + 40, before="old", after="new", axis=axis)
    found = with_changes(slower, settings)
    [change] = found.changed
    assert (change.axis, change.before, change.after, change.ours, change.new) == (
        axis,
        "old",
        "new",
        ours,
        True,
    )
    assert change.at_s == MONDAY + (28 * 24 + 40) * HOUR_S
    said = sentence(found)
    assert ("nothing on our side changed" in said) is not ours


def test_what_changed_days_before_or_never_is_no_explanation(slower: Finding) -> None:
    long_ago = _settings(35 * 24, 27 * 24, before="old", after="new", axis="answering model")
    assert with_changes(slower, long_ago).changed == ()
    assert "nothing on our side changed, nor anything else" in sentence(with_changes(slower, long_ago))


def test_a_new_version_explains_the_drift_of_a_whole_prompt(slower: Finding) -> None:
    index = np.arange(35 * 24)
    at = 28 * 24 + 40
    old, new = np.where(index < at, 50.0, 10.0), np.where(index >= at, 40.0, 0.0)
    settings = Settings(
        MONDAY + index * HOUR_S,
        {
            ("summarise", "v7"): {"requested model": {"gpt-4o": old}},
            ("summarise", "v8"): {"requested model": {"gpt-4o": new}},
        },
    )
    found = with_changes(replace(slower, who=Who("summarise", None)), settings)
    assert [(each.axis, each.before, each.after) for each in found.changed] == [
        ("prompt version", "v7", "v8")
    ]
    assert "changed on our side" in sentence(found)


def test_what_changed_in_the_last_hour_is_an_explanation(slower: Finding) -> None:
    hours = 28 * 24 + 41
    settings = _settings(hours, hours - 1, before="old", after="new", axis="template")
    now_s = float(MONDAY + (hours - 1) * HOUR_S)
    lately = replace(slower, since_low_s=now_s, since_s=now_s, since_high_s=now_s + HOUR_S)
    [change] = with_changes(lately, settings).changed
    assert (change.axis, change.after) == ("template", "new")


@pytest.mark.parametrize(
    ("kind", "prompt", "version", "hours", "told"),
    [
        ("deploy", "summarise", "v7", 0, True),
        ("config", "", "", 0, True),
        ("note", "summarise", "v7", 0, False),
        ("deploy", "translate", "", 0, False),
        ("deploy", "summarise", "v6", 0, False),
        ("deploy", "summarise", "v7", -30, False),
    ],
)
def test_a_marker_of_a_change_at_that_time_is_an_explanation(
    slower: Finding, kind: str, prompt: str, version: str, hours: int, *, told: bool
) -> None:
    steady = _settings(35 * 24, 0, before="old", after="new", axis="template")
    assert slower.since_s is not None
    at = datetime.fromtimestamp(slower.since_s + hours * HOUR_S, timezone.utc)
    marker = Marker("1", at, kind, "larger context", prompt_name=prompt, prompt_version=version)
    found = with_changes(slower, steady, [marker])
    assert [(each.axis, each.after, each.ours) for each in found.changed] == (
        [(kind, "larger context", True)] if told else []
    )
    assert (f"changed on our side at that time: {kind} \u201clarger context\u201d" in sentence(found)) is told


def test_the_sentence_reads_as_one(slower: Finding) -> None:
    said = sentence(slower)
    assert said.startswith("v7 of summarise answers 2")
    assert "slower than its own last 28 days" in said
    assert "since Tue 25 Nov 16:00 UTC (" in said or "since Tue 25 Nov 1" in said
