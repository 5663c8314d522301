"""The life of an alert, by random readings and clocks."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptspan_server.alerts.reading import Reading
from promptspan_server.alerts.rules import ErrorRule
from promptspan_server.alerts.shares import BAD, BETWEEN, GOOD
from promptspan_server.alerts.states import State, advance, first_state, look_away, without_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = datetime(2026, 11, 1, tzinfo=timezone.utc)
LABELS = (("prompt_name", "p"),)
RULE = ErrorRule.model_validate({"name": "errors", "kind": "errors", "for": "2m", "keep_firing_for": "5m"})
LEVELS = st.sampled_from([GOOD, BETWEEN, BAD, None])
# Seconds to the next evaluation; a clock may be set back.
STEPS = st.lists(st.tuples(st.sampled_from([15, 60, 300, 4000, -3600]), LEVELS), max_size=40)


def reading(level: int | None) -> Reading:
    return Reading("page", LABELS, level, value=1.0, summary="s")


def played(steps: Sequence[tuple[int, int | None]], state: State | None = None) -> list[State]:
    state, at = state or first_state("errors", "page", LABELS), BEGIN
    states: list[State] = []
    for seconds, level in steps:
        at += timedelta(seconds=seconds)
        state = advance(state, reading(level), RULE, at)
        states.append(state)
    return states


def names(*steps: tuple[int, int | None]) -> list[str]:
    return [state.name for state in played(steps)]


def test_it_is_pending_for_its_time_then_fires_recovers_and_resolves() -> None:
    assert names((0, BAD), (60, BAD), (60, BAD), (60, BETWEEN), (60, GOOD), (240, GOOD), (60, GOOD)) == [
        *("pending", "pending", "firing", "firing"),
        *("recovering", "recovering", "resolved"),
    ]


def test_what_ceases_while_pending_never_fires() -> None:
    assert names((0, BAD), (60, GOOD), (60, BAD), (119, BAD)) == ["pending", "inactive", "pending", "pending"]


def test_what_comes_back_while_recovering_is_the_same_firing() -> None:
    states = played([(0, BAD), (120, BAD), (60, GOOD), (60, BAD), (60, GOOD), (240, GOOD)])
    assert [state.name for state in states][-3:] == ["firing", "recovering", "recovering"]
    assert len({state.starts_at for state in states[1:]}) == 1


def test_between_the_thresholds_nothing_changes() -> None:
    assert names((0, BETWEEN), (0, BAD), (120, BAD), (3600, BETWEEN)) == [
        *("inactive", "pending", "firing", "firing")
    ]


@pytest.mark.parametrize("why", ["no_data", "error"])
def test_what_cannot_be_seen_is_blind_and_keeps_its_phase_and_timers(why: str) -> None:
    (pending,) = played([(0, BAD)])
    blind = look_away(pending, "error" if why == "error" else "no_data", BEGIN + timedelta(minutes=1))
    assert (blind.name, blind.phase) == (why, "pending")
    (after,) = played([(120, BAD)], blind)
    assert after.name == "firing"
    assert look_away(after, "no_data", BEGIN + timedelta(hours=1)).fires


def test_a_firing_one_without_data_ends_after_a_day_one_that_cannot_be_evaluated_never() -> None:
    firing = played([(0, BAD), (120, BAD)])[-1]
    for hours, name in ((1, "no_data"), (24, "no_data"), (26, "resolved")):
        firing = look_away(firing, "no_data", BEGIN + timedelta(hours=hours))
        assert firing.name == name
    firing = played([(0, BAD), (120, BAD)])[-1]
    for days in range(1, 5):
        firing = look_away(firing, "error", BEGIN + timedelta(days=days))
    assert firing.name == "error"
    assert firing.fires


def test_three_transitions_in_an_hour_are_one_firing() -> None:
    steps = [(0, BAD), (120, BAD), (0, GOOD), (300, GOOD), (60, BAD), (120, BAD), (60, GOOD), (300, GOOD)]
    states = played(steps)
    assert [state.phase for state in states if state.phase in ("firing", "resolved")] == [
        *("firing", "resolved", "firing", "resolved")
    ]
    first, again, ended = states[1], states[5], states[7]
    assert again.flapping
    assert again.starts_at == first.starts_at
    assert ended.fires
    later = advance(ended, reading(GOOD), RULE, BEGIN + timedelta(hours=3))
    assert not later.fires


def test_a_rule_that_is_gone_ends_what_it_fired() -> None:
    firing = played([(0, BAD), (120, BAD)])[-1]
    ended = without_rule(firing, BEGIN + timedelta(hours=1))
    assert (ended.phase, ended.fires) == ("resolved", False)
    assert "gone" in ended.summary


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_it_never_becomes_green_unseen_and_never_fires_unheld(steps: list[tuple[int, int | None]]) -> None:
    before = first_state("errors", "page", LABELS)
    at, held = BEGIN, None
    for (seconds, level), state in zip(steps, played(steps), strict=True):
        at += timedelta(seconds=seconds)
        held = None if held is None else min(held, at)  # a clock set back
        if level == BAD:
            held = held or at
        elif level is not None:
            held = None
        assert (state.blind != "") == (level is None) or state.phase in ("resolved", "inactive")
        began = state.phase == "firing" and before.phase not in ("firing", "recovering")
        if began:
            assert held is not None
            assert at - held >= RULE.hold
        if state.phase == "resolved" and before.phase != "resolved" and level is not None:
            assert level == GOOD
        if state.phase in ("firing", "recovering"):
            assert state.starts_at is not None
        assert len({*state.transitions}) <= len(steps)
        before = state


@settings(deadline=None, max_examples=60)
@given(STEPS, st.integers(0, 40))
def test_a_restart_in_between_changes_nothing(steps: list[tuple[int, int | None]], cut: int) -> None:
    whole = played(steps)
    first = played(steps[:cut])
    if not first:
        return
    state, at = first[-1], BEGIN + timedelta(seconds=sum(seconds for seconds, _ in steps[:cut]))
    for seconds, level in steps[cut:]:
        at += timedelta(seconds=seconds)
        state = advance(state, reading(level), RULE, at)
    assert state == whole[-1]
