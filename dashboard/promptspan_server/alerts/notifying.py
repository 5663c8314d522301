"""From alerts to notices: grouping, waiting, repeating. What was told before is the outbox's last notice.

A notice's id follows from the notice before it and from its content. So an evaluator that was killed after it
decided, or two that decide at once, make the same notice, which is in the outbox once.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from promptspan_server.alerts.notice import Alert, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from promptspan_server.alerts.rules import Policy
    from promptspan_server.alerts.states import State

_TICK = timedelta(milliseconds=1)
FIRING, MUTED, RESOLVED = "firing", "muted", "resolved"


@dataclass(frozen=True, slots=True)
class Told:
    """The last notice of a group to a destination.

    Attributes:
        id: Its id.
        members: What was told, by `member`: firing, muted (was told before it was muted) or resolved.
        at: When.
    """

    id: str
    members: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notice and what it makes the outbox remember."""

    notice: Notice
    members: Mapping[str, str]


def member(state: State) -> str:
    """One firing of an alert."""
    begin = "" if state.starts_at is None else state.starts_at.isoformat()
    return f"{state.fingerprint}@{begin}"


def group_of(state: State, policy: Policy) -> tuple[tuple[str, str], ...]:
    """The labels that a notice's alerts have in common."""
    known = {**dict(state.labels), "rule": state.rule}
    return (*((name, known.get(name, "")) for name in policy.group_by), ("severity", state.severity))


def group_key(group: tuple[tuple[str, str], ...]) -> str:
    """A group's identity over its notices."""
    return hashlib.sha256(json.dumps(group).encode()).hexdigest()[:32]


def due(
    states: Iterable[State],
    told: Mapping[tuple[str, str], Told],
    *,
    muted: Mapping[str, str],
    acked: frozenset[str],
    policy: Policy,
    destinations: Sequence[str],
    at: datetime,
    url_of: Callable[[State], str | None] = lambda _state: None,
    runbooks: Mapping[str, str] | None = None,
) -> list[Outgoing]:
    """Decide what is to be told now.

    Args:
        states: Every alert that is not inactive.
        told: The last notice by group key and destination.
        muted: Fingerprints of what fires and is not told.
        acked: `member`s that somebody has acknowledged.
        policy: When and together with what.
        destinations: Their names.
        at: Now, UTC.
        url_of: The address of an alert's page.
        runbooks: By rule.
    """
    groups: dict[tuple[tuple[str, str], ...], list[State]] = defaultdict(list)
    for state in states:
        if state.starts_at is not None:
            groups[group_of(state, policy)].append(state)
    found: list[Outgoing] = []
    for group, within in sorted(groups.items()):
        key = group_key(group)
        for destination in destinations:
            last = told.get((key, destination))
            members = _members(within, last, muted)
            if members is None or not _is_due(within, members, last, acked=acked, policy=policy, at=at):
                continue
            alerts = tuple(
                _alert(state, url_of(state), (runbooks or {}).get(state.rule))
                for state in sorted(within, key=lambda each: (each.rule, each.labels))
                if members.get(member(state)) in (FIRING, RESOLVED)
            )
            if not alerts:
                continue
            content = [last.id if last else "", key, destination, sorted(members.items())]
            notice = Notice(
                id=hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32],
                group_key=key,
                destination=destination,
                # One that is muted still fires, whatever is told of the others.
                status="resolved" if set(members.values()) == {RESOLVED} else "firing",
                group_labels=dict(group),
                alerts=alerts,
                # After the one before, whatever the clocks say: the last one is what was told.
                created_at=at if last is None else max(at, last.at + _TICK),
            )
            found.append(Outgoing(notice, members))
    return found


def _members(within: Sequence[State], last: Told | None, muted: Mapping[str, str]) -> dict[str, str] | None:
    """What there is to tell: what fires, and what was told as firing and is no more; None for nothing."""
    before: Mapping[str, str] = last.members if last else dict[str, str]()
    members: dict[str, str] = {}
    for state in within:
        name = member(state)
        if state.fires:
            if state.fingerprint not in muted:
                members[name] = FIRING
            elif before.get(name) in (FIRING, MUTED):
                members[name] = MUTED
        elif before.get(name) in (FIRING, MUTED):
            members[name] = RESOLVED
    return members if FIRING in members.values() or RESOLVED in members.values() else None


def _is_due(
    within: Sequence[State],
    members: Mapping[str, str],
    last: Told | None,
    *,
    acked: frozenset[str],
    policy: Policy,
    at: datetime,
) -> bool:
    firing = {name for name, status in members.items() if status == FIRING}
    before: Mapping[str, str] = last.members if last else dict[str, str]()
    open_before = {name for name, status in before.items() if status in (FIRING, MUTED)}
    told_firing = {name for name, status in before.items() if status == FIRING}
    if last is None or not open_before:
        # A group that begins, or begins again, waits for company.
        begun = [
            state.starts_at for state in within if member(state) in firing and state.starts_at is not None
        ]
        if not begun:
            return False
        recently = last is not None and at - last.at < policy.group_interval
        return at - min(begun) >= policy.group_wait and not recently
    since = at - last.at
    if firing - told_firing or RESOLVED in members.values():
        return since >= policy.group_interval or since.total_seconds() < 0
    return bool(firing - acked) and since >= policy.repeat_interval


def _alert(state: State, url: str | None, runbook: str | None) -> Alert:
    assert state.starts_at is not None
    summary = f"{state.summary} (flapping)" if state.flapping else state.summary
    return Alert(
        fingerprint=state.fingerprint,
        rule=state.rule,
        severity=state.severity,
        labels=dict(state.labels),
        # One that flaps is told as firing, wherever it is right now.
        state=FIRING if state.fires and state.phase == RESOLVED else state.name,
        value=state.value,
        threshold=state.threshold,
        unit=state.unit,
        starts_at=state.starts_at,
        ends_at=None if state.fires else state.ends_at,
        summary=summary,
        description=state.description,
        runbook=runbook,
        url=url,
        owner=state.context.get("owner", ""),
    )
