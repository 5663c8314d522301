"""Silences, inhibitions and acknowledgements: what fires and is not told."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from promptspan_server.alerts.rules import Inhibition
    from promptspan_server.alerts.states import State


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match are not told for a time.

    Attributes:
        id: Its identity.
        matchers: Labels (or `rule`, `severity`) and their values; `*` stands for any characters.
        starts_at: UTC.
        ends_at: UTC.
        author: Whose it is.
        comment: Why.
    """

    id: str
    matchers: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str

    def mutes(self, state: State, at: datetime) -> bool:
        """Whether it holds for an alert now."""
        return self.starts_at <= at < self.ends_at and matches(self.matchers, state)


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody is on it.

    Attributes:
        fingerprint: The alert.
        starts_at: Which firing of it.
        author: Who.
        comment: What they say.
        at: When.
    """

    fingerprint: str
    starts_at: datetime
    author: str
    comment: str
    at: datetime


def new_id() -> str:
    """A new silence's identity: short enough to type."""
    return uuid.uuid4().hex[:10]


def matches(matchers: Mapping[str, str], state: State) -> bool:
    """Whether an alert has all these labels. A label that it lacks is empty."""
    known = {**dict(state.labels), "rule": state.rule, "severity": state.severity}
    return all(fnmatchcase(known.get(name, ""), _pattern(value)) for name, value in matchers.items())


def muted_by(
    states: Sequence[State], silences: Iterable[Silence], inhibitions: Iterable[Inhibition], at: datetime
) -> dict[str, str]:
    """Find the alerts that fire and are not told.

    Returns:
        By fingerprint, why.
    """
    firing = [state for state in states if state.fires]
    muted: dict[str, str] = {}
    for state in firing:
        silence = next((each for each in silences if each.mutes(state, at)), None)
        if silence is not None:
            muted[state.fingerprint] = f"silence {silence.id}"
    pages = {(state.rule, state.labels) for state in firing if state.severity == "page"}
    for state in firing:
        if state.severity == "ticket" and (state.rule, state.labels) in pages:
            muted.setdefault(state.fingerprint, "its page fires")
    for rule in inhibitions:
        sources = [state for state in firing if matches(rule.source, state)]
        for state in firing if sources else ():
            if matches(rule.target, state) and any(
                source.fingerprint != state.fingerprint and _agree(source, state, rule.equal)
                for source in sources
            ):
                muted.setdefault(state.fingerprint, f"{rule.source.get('rule', 'another alert')} fires")
    return muted


def _agree(source: State, target: State, names: Sequence[str]) -> bool:
    return all(_values(source, name) & _values(target, name) for name in names)


def _values(state: State, name: str) -> set[str]:
    labels = dict(state.labels)
    if name in labels:
        return {labels[name]}
    return set(state.context.get(f"{name}s", "").split(","))


def _pattern(text: str) -> str:
    # Only `*` is special: labels contain brackets and question marks.
    return text.replace("[", "[[]").replace("?", "[?]")
