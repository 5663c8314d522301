"""Which notices follow from which alerts: a small outbox, and any evaluator that asks it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from promptspan_server.alerts.notifying import FIRING, RESOLVED, Told, due, member
from promptspan_server.alerts.rules import Inhibition, Policy
from promptspan_server.alerts.silences import Silence, muted_by
from promptspan_server.alerts.states import State, first_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.alerts.notice import Notice
    from promptspan_server.alerts.rules import Severity

BEGIN = datetime(2026, 11, 1, tzinfo=timezone.utc)
POLICY = Policy()


def firing(
    rule: str = "errors",
    version: str = "7",
    severity: Severity = "page",
    at: datetime = BEGIN,
    context: Mapping[str, str] | None = None,
) -> State:
    labels = (("environment", "production"), ("prompt_name", "p"), ("prompt_version", version))
    state = first_state(rule, severity, labels)
    return replace(state, phase="firing", starts_at=at, summary="s", context=context or {})


def resolved(state: State, at: datetime) -> State:
    return replace(state, phase="resolved", ends_at=at)


class Box:
    """The outbox's memory: one notice an id."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], Told] = {}
        self.notices: dict[str, Notice] = {}

    def tell(
        self,
        states: list[State],
        minutes: float,
        muted: Mapping[str, str] | None = None,
        acked: frozenset[str] = frozenset(),
    ) -> list[Notice]:
        at = BEGIN + timedelta(minutes=minutes)
        found = due(
            states, self.told, muted=muted or {}, acked=acked, policy=POLICY, destinations=["d"], at=at
        )
        for each in found:
            assert each.notice.id not in self.notices
            self.notices[each.notice.id] = each.notice
            key = each.notice.group_key, each.notice.destination
            self.told[key] = Told(each.notice.id, each.members, each.notice.created_at)
        return [each.notice for each in found]


def test_a_group_waits_for_company_then_is_told_once_and_repeated_after_hours() -> None:
    box, states = Box(), [firing(), firing("latency", at=BEGIN + timedelta(seconds=20))]
    assert box.tell(states, 0.4) == []
    (first,) = box.tell(states, 0.5)
    assert [alert.rule for alert in first.alerts] == ["errors", "latency"]
    assert [box.tell(states, minutes) for minutes in (1, 60, 239)] == [[], [], []]
    assert len(box.tell(states, 241)) == 1


def test_pages_and_tickets_never_share_a_notice() -> None:
    box = Box()
    found = box.tell([firing(), firing("unpriced", severity="ticket")], 1)
    assert [notice.group_labels["severity"] for notice in found] == ["page", "ticket"]


def test_a_new_alert_waits_for_the_groups_interval() -> None:
    box, first = Box(), firing()
    box.tell([first], 1)
    both = [first, firing("latency", at=BEGIN + timedelta(minutes=2))]
    assert box.tell(both, 3) == []
    assert len(box.tell(both, 6.1)) == 1


def test_the_end_is_told_and_then_nothing_more() -> None:
    box, state = Box(), firing()
    box.tell([state], 1)
    over = resolved(state, BEGIN + timedelta(minutes=9))
    (last,) = box.tell([over], 10)
    assert (last.status, last.alerts[0].resolved) == ("resolved", True)
    assert box.tell([over], 20) == []
    again = firing(at=BEGIN + timedelta(hours=3))
    assert len(box.tell([again], 181)) == 1


def test_what_was_never_told_needs_no_end() -> None:
    box = Box()
    assert box.tell([resolved(firing(), BEGIN + timedelta(seconds=10))], 5) == []


def test_an_acknowledged_alert_is_not_repeated_but_its_end_is_told() -> None:
    box, state = Box(), firing()
    box.tell([state], 1)
    acked = frozenset({member(state)})
    assert box.tell([state], 600, acked=acked) == []
    assert len(box.tell([resolved(state, BEGIN)], 601, acked=acked)) == 1


def test_a_silence_mutes_and_what_was_told_before_is_not_told_to_be_over() -> None:
    box, state = Box(), firing()
    silence = Silence("x", {"rule": "err*", "prompt_name": "p"}, BEGIN, BEGIN + timedelta(hours=1), "me", "")
    muted = muted_by([state], [silence], (), BEGIN + timedelta(minutes=1))
    assert muted == {state.fingerprint: "silence x"}
    assert box.tell([state], 1, muted) == []
    box.tell([state], 2)
    assert box.tell([state], 10, muted) == []
    assert muted_by([state], [silence], (), BEGIN + timedelta(hours=1)) == {}


def test_a_page_mutes_its_ticket_and_an_outage_of_the_provider_the_prompts_that_ask_it() -> None:
    page, ticket = firing(), firing(severity="ticket")
    assert muted_by([page, ticket], (), (), BEGIN) == {ticket.fingerprint: "its page fires"}
    outage = replace(
        first_state("provider-outage", "page", (("environment", "production"), ("provider", "openai"))),
        phase="firing",
    )
    rule = Inhibition(
        source={"rule": "provider-outage"}, target={"rule": "errors"}, equal=("environment", "provider")
    )
    hit = firing(context={"providers": "anthropic,openai"})
    spared = firing(version="8", context={"providers": "anthropic"})
    assert muted_by([outage, hit, spared], (), [rule], BEGIN) == {hit.fingerprint: "provider-outage fires"}


def test_a_killed_evaluator_decides_on_the_same_notice_again() -> None:
    state = firing()
    first, second = (
        due([state], {}, muted={}, acked=frozenset(), policy=POLICY, destinations=["d"], at=at)
        for at in (BEGIN + timedelta(minutes=1), BEGIN + timedelta(minutes=7))
    )
    assert first[0].notice.id == second[0].notice.id


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.25, 1, 5, 30, 250]), st.integers(0, 7), st.integers(0, 7)), max_size=30
    )
)
def test_every_firing_is_told_and_ends_if_it_was_told(steps: list[tuple[float, int, int]]) -> None:
    box, minutes = Box(), 0.0
    now: dict[int, State] = {}
    for passed, fires, mutes in steps:
        minutes += passed
        at = BEGIN + timedelta(minutes=minutes)
        for number in range(3):
            state = now.get(number)
            wanted = bool(fires >> number & 1)
            if wanted and (state is None or state.phase == "resolved"):
                now[number] = firing(version=str(number), at=at)
            elif not wanted and state is not None and state.phase == "firing":
                now[number] = resolved(state, at)
        muted = {now[n].fingerprint: "s" for n in now if mutes >> n & 1 and now[n].phase == "firing"}
        for notice in box.tell(list(now.values()), minutes, muted):
            told = {alert.fingerprint for alert in notice.alerts if not alert.resolved}
            assert told.isdisjoint(muted)
    # In the end, with time and no silence, what was told last is what is.
    for _ in range(3):
        minutes += 10
        box.tell(list(now.values()), minutes)
    last = {name: status for told in box.told.values() for name, status in told.members.items()}
    for state in now.values():
        if state.phase == "firing":
            assert last[member(state)] == FIRING
        else:
            assert last.get(member(state), RESOLVED) == RESOLVED
