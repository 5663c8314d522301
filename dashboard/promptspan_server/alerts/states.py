"""The life of an alert, as in Prometheus: inactive, pending, firing, recovering, resolved.

`no_data` and `error` are states of their own, laid over the phase in which the alert was when the evaluator
ceased to see: what fires keeps firing, and nothing becomes green unseen. Everything here is a function of the
state before, what was found, and the moment: a restart forgets no timer, and replicas agree.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from promptspan_server.alerts.shares import BAD, GOOD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.alerts.reading import Labels, Reading
    from promptspan_server.alerts.rules import Rule, Severity

Phase = Literal["inactive", "pending", "firing", "recovering", "resolved"]
Blind = Literal["", "no_data", "error"]

FLAPPING = 3  # transitions
_FLAPPING_WITHIN = timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class State:
    """An alert: a rule's severity for one set of labels.

    Attributes:
        fingerprint: Identity, from the rule's name, severity and labels.
        rule: Name of the rule.
        severity: Page or ticket.
        labels: The set, sorted.
        phase: Where it is in its life.
        blind: Why it cannot be seen, or nothing.
        value: As `Reading`.
        threshold: As `Reading`.
        unit: As `Reading`.
        summary: As `Reading`.
        description: As `Reading`.
        context: As `Reading`.
        active_since: Since when it holds, while it is pending or fires.
        starts_at: Since when it fires, or fired last.
        recovering_since: Since when it is below its recovery threshold.
        ends_at: When it resolved.
        blind_since: Since when it cannot be seen.
        transitions: When it began or ceased to fire within the hour.
        rule_version: The rule that was evaluated.
        evaluated_at: The moment that was judged last.
        revision: Of its row.
    """

    fingerprint: str
    rule: str
    severity: Severity
    labels: Labels
    phase: Phase = "inactive"
    blind: Blind = ""
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    summary: str = ""
    description: str = ""
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    active_since: datetime | None = None
    starts_at: datetime | None = None
    recovering_since: datetime | None = None
    ends_at: datetime | None = None
    blind_since: datetime | None = None
    transitions: tuple[datetime, ...] = ()
    rule_version: str = ""
    evaluated_at: datetime | None = None
    revision: int = 0

    @property
    def name(self) -> str:
        """The state as people name it."""
        return self.blind or self.phase

    @property
    def fires(self) -> bool:
        """Whether it is told as firing: while it recovers too, and while it flaps."""
        return self.phase in ("firing", "recovering") or self.flapping

    @property
    def flapping(self) -> bool:
        """Whether it began and ceased to fire so often within the hour that each time is not told apart."""
        return len(self.transitions) >= FLAPPING

    @property
    def settled(self) -> bool:
        """Whether there is nothing to remember."""
        return self.phase == "inactive" and not self.transitions and not self.blind


def fingerprint(rule: str, severity: str, labels: Labels) -> str:
    """The identity of an alert."""
    return hashlib.sha256(json.dumps([rule, severity, labels]).encode()).hexdigest()[:32]


def first_state(rule: str, severity: Severity, labels: Labels) -> State:
    """An alert that never was."""
    return State(fingerprint(rule, severity, labels), rule, severity, labels)


def advance(before: State, reading: Reading, rule: Rule, at: datetime) -> State:
    """Take the next step.

    Args:
        before: The state.
        reading: What was found; its level is None if nothing could be seen.
        rule: With its timers.
        at: The moment that was judged, UTC. It may lie before the last one, if a clock was set back.
    """
    if reading.level is None:
        return look_away(before, "no_data", at)
    seen = replace(
        _in_time(before, at),
        blind="",
        blind_since=None,
        value=reading.value,
        threshold=reading.threshold,
        unit=reading.unit,
        summary=reading.summary,
        description=reading.description,
        context=reading.context,
        rule_version=rule.version,
    )
    if reading.level == BAD:
        return _holds(seen, rule, at)
    if seen.phase == "pending":
        return replace(seen, phase="inactive", active_since=None)
    if reading.level == GOOD and seen.phase in ("firing", "recovering"):
        since = seen.recovering_since or at
        if at - since >= rule.keep_firing_for:
            return _ended(seen, at)
        return replace(seen, phase="recovering", recovering_since=since)
    if seen.phase == "recovering":
        return replace(seen, phase="firing", recovering_since=None)
    return _forgotten(seen, at)


def look_away(before: State, why: Literal["no_data", "error"], at: datetime) -> State:
    """The evaluator cannot see it: what was stays, for a day at most if it is only that no data comes."""
    seen = _in_time(before, at)
    since = seen.blind_since if seen.blind and seen.blind_since else at
    if why == "no_data" and at - since >= _GIVEN_UP_AFTER:
        seen = replace(seen, blind="", blind_since=None)
        return _ended(seen, at) if seen.phase in ("firing", "recovering") else replace(seen, phase="inactive")
    return replace(seen, blind=why, blind_since=since)


def without_rule(before: State, at: datetime) -> State:
    """Its rule is gone: it ends."""
    seen = replace(_in_time(before, at), blind="", blind_since=None, transitions=())
    if seen.phase not in ("firing", "recovering"):
        return replace(seen, phase="inactive", active_since=None)
    return replace(
        _ended(seen, at), transitions=(), summary=f"{seen.summary} (the rule {seen.rule} is gone or off)"
    )


def _holds(seen: State, rule: Rule, at: datetime) -> State:
    if seen.phase in ("firing", "recovering"):
        return replace(seen, phase="firing", recovering_since=None)
    since = seen.active_since if seen.phase == "pending" and seen.active_since else at
    if at - since < rule.hold:
        return replace(seen, phase="pending", active_since=since)
    transitions = (*seen.transitions, at)
    # One that flaps is still the same one for whoever was told.
    same = len(transitions) >= FLAPPING and seen.starts_at is not None
    return replace(
        seen,
        phase="firing",
        active_since=since,
        starts_at=seen.starts_at if same else at,
        ends_at=None,
        recovering_since=None,
        transitions=transitions,
    )


def _ended(seen: State, at: datetime) -> State:
    return replace(
        seen,
        phase="resolved",
        active_since=None,
        recovering_since=None,
        ends_at=at,
        transitions=(*seen.transitions, at),
    )


def _forgotten(seen: State, at: datetime) -> State:
    """A resolved one is shown as such for an hour."""
    over = seen.phase == "resolved" and (seen.ends_at is None or at - seen.ends_at >= _FLAPPING_WITHIN)
    return replace(seen, phase="inactive") if over else seen


def _in_time(state: State, at: datetime) -> State:
    """The same at another moment: a clock set back makes no timer longer, an old transition is forgotten."""

    def past(moment: datetime | None) -> datetime | None:
        return None if moment is None else min(moment, at)

    kept = tuple(
        moment for moment in (min(each, at) for each in state.transitions) if at - moment < _FLAPPING_WITHIN
    )
    return replace(
        state,
        # Not starts_at: it names the firing for whoever was told of it.
        active_since=past(state.active_since),
        recovering_since=past(state.recovering_since),
        blind_since=past(state.blind_since),
        transitions=kept,
        evaluated_at=at,
    )
