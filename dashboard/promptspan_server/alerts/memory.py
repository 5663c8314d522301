"""What the store remembers of alerts. Nothing is kept elsewhere: a new evaluator goes on where one ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from promptspan_server.alerts.notifying import Outgoing, Told
from promptspan_server.alerts.silences import Ack, Silence
from promptspan_server.alerts.states import State
from promptspan_server.queries.query import Query, from_micros, from_micros_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.connection import Store

MOST_STATES = 20_000
_MOMENTS = ("active_since", "starts_at", "recovering_since", "ends_at", "blind_since", "evaluated_at")


def _micros(*names: str) -> str:
    return ", ".join(f"toUnixTimestamp64Micro(toDateTime64({name}, 6, 'UTC'))" for name in names)


@dataclass(frozen=True, slots=True)
class States(Query[State]):
    """Every alert that is or was lately, firing ones first.

    Attributes:
        active: Only what is not inactive.
    """

    active: bool = False

    def sql(self) -> str:
        """See `Query.sql`."""
        moments = ", ".join(
            f"if({name} IS NULL, NULL, toUnixTimestamp64Micro(toDateTime64(assumeNotNull({name}), 6, 'UTC')))"
            for name in _MOMENTS
        )
        only = "WHERE phase != 'inactive' OR blind != ''" if self.active else ""
        return f"""
            SELECT fingerprint, rule, severity, labels, phase, blind, value, threshold, unit, summary,
                description, context, rule_version, revision,
                arrayMap(at -> toUnixTimestamp64Micro(toDateTime64(at, 6, 'UTC')), transitions), {moments}
            FROM alert_states FINAL
            {only}
            ORDER BY phase IN ('firing', 'recovering') DESC, phase = 'pending' DESC, rule, severity,
                fingerprint
            LIMIT {MOST_STATES}
        """  # noqa: S608  (text of ours)

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> State:
        """See `Query.row`."""
        (print_, rule, severity, labels, phase, blind, value, threshold, unit, summary) = values[:10]
        (description, context, version, revision, transitions) = values[10:15]
        moments = {
            name: from_micros_or_none(micros) for name, micros in zip(_MOMENTS, values[15:], strict=True)
        }
        return State(
            fingerprint=print_,
            rule=rule,
            severity=severity,
            labels=tuple(sorted(dict(labels).items())),
            phase=phase,
            blind=blind,
            value=value,
            threshold=threshold,
            unit=unit,
            summary=summary,
            description=description,
            context=dict(context),
            transitions=tuple(from_micros(at) for at in transitions),
            rule_version=version,
            revision=int(revision),
            **moments,
        )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The latest evaluation of a rule.

    Attributes:
        rule: Its name.
        kind: Its kind.
        definition: The rule as it was evaluated, JSON.
        rule_version: Its hash.
        at: The moment that was judged, UTC.
        outcome: ok, no_data or error.
        detail: Why it could not see.
        series: How many sets of labels were judged.
        active: How many alerts fire.
        elapsed_ms: How long it took.
        evaluator: Who did it.
        revision: Of the row.
    """

    rule: str
    kind: str
    definition: str
    rule_version: str
    at: datetime
    outcome: str
    detail: str
    series: int
    active: int
    elapsed_ms: float
    evaluator: str
    revision: int


@dataclass(frozen=True, slots=True)
class Evaluations(Query[Evaluated]):
    """The latest evaluation of every rule."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT rule, kind, definition, rule_version, toUnixTimestamp64Micro(toDateTime64(at, 6, 'UTC')),
                outcome, detail, series, active, elapsed_ms, evaluator, revision
            FROM alert_evaluations FINAL
            ORDER BY rule LIMIT 1000
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> Evaluated:
        """See `Query.row`."""
        *facts, revision = values
        facts[4] = from_micros(int(facts[4]))
        return Evaluated(*facts, revision=int(revision))


@dataclass(frozen=True, slots=True)
class Silences(Query[Silence]):
    """Silences that have not ended, the first to end first."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT id, matchers, {_micros("starts_at", "ends_at")}, author, comment
            FROM alert_silences FINAL
            WHERE ends_at > now64(3, 'UTC')
            ORDER BY ends_at, id LIMIT 1000
        """  # noqa: S608  (text of ours)

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> Silence:
        """See `Query.row`."""
        id_, matchers, starts, ends, author, comment = values
        found = cast("dict[str, str]", json.loads(matchers))
        return Silence(id_, found, from_micros(starts), from_micros(ends), author, comment)


@dataclass(frozen=True, slots=True)
class Acks(Query[Ack]):
    """Acknowledgements, the newest first."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT fingerprint, {_micros("starts_at")}, author, comment, {_micros("at")}
            FROM alert_acks FINAL
            ORDER BY at DESC, fingerprint LIMIT 5000
        """  # noqa: S608  (text of ours)

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> Ack:
        """See `Query.row`."""
        fingerprint, starts, author, comment, at = values
        return Ack(fingerprint, from_micros(starts), author, comment, from_micros(at))


@dataclass(frozen=True, slots=True)
class _LastTold(Query[tuple[tuple[str, str], Told]]):
    """The last notice of every group and destination."""

    def sql(self) -> str:
        return """
            SELECT group_key, destination, argMax(id, (created_at, id)), argMax(members, (created_at, id)),
                toUnixTimestamp64Micro(toDateTime64(max(created_at), 6, 'UTC'))
            FROM alert_outbox
            GROUP BY group_key, destination
            ORDER BY group_key, destination LIMIT 20000
        """

    def parameters(self) -> Mapping[str, Any]:
        return {}

    def row(self, values: Sequence[Any]) -> tuple[tuple[str, str], Told]:
        key, destination, id_, members, at = values
        return (key, destination), Told(id_, dict(members), from_micros(at))


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an alert's state.

    Attributes:
        at: The moment that was judged, UTC.
        fingerprint: The alert.
        rule: Its rule.
        severity: Page or ticket.
        labels: Its labels.
        before: The state before.
        after: The state after.
        value: What was measured, in `unit`.
        threshold: What is allowed.
        unit: Of both.
        summary: One line.
    """

    at: datetime
    fingerprint: str
    rule: str
    severity: str
    labels: Mapping[str, str]
    before: str
    after: str
    value: float | None
    threshold: float | None
    unit: str
    summary: str


@dataclass(frozen=True, slots=True)
class History(Query[Change]):
    """What changed, the newest first, at most 1,000 changes.

    Attributes:
        start_ms: Since when, ms since the epoch.
        rule: Only of this rule.
        fingerprint: Only of this alert.
    """

    start_ms: int
    rule: str = ""
    fingerprint: str = ""

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT {_micros("at")}, fingerprint, rule, severity, labels, state_before, state_after, value,
                threshold, unit, summary
            FROM alert_history FINAL
            WHERE toStartOfHour(at) >= toStartOfHour(fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC'))
                AND at >= fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC')
                AND ({{rule:String}} = '' OR rule = {{rule:String}})
                AND ({{fingerprint:String}} = '' OR fingerprint = {{fingerprint:String}})
            ORDER BY at DESC, rule, fingerprint, state_after LIMIT 1000
        """  # noqa: S608  (text of ours)

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"start_ms": self.start_ms, "rule": self.rule, "fingerprint": self.fingerprint}

    def row(self, values: Sequence[Any]) -> Change:
        """See `Query.row`."""
        at, fingerprint, rule, severity, labels, *facts = values
        return Change(from_micros(at), fingerprint, rule, severity, dict(labels), *facts)


def last_told(store: Store) -> dict[tuple[str, str], Told]:
    """The last notice by group key and destination."""
    return dict(store.ask(_LastTold()).rows)


def remember(
    store: Store, changed: Iterable[tuple[State, State]], evaluated: Iterable[Evaluated], at: datetime
) -> None:
    """Write states and what changed of them; `changed` holds (before, after)."""
    pairs = list(changed)
    store.insert("alert_states", [_state(after) for _, after in pairs])
    store.insert(
        "alert_history",
        [
            {
                "at": at,
                "fingerprint": after.fingerprint,
                "rule": after.rule,
                "severity": after.severity,
                "labels": dict(after.labels),
                "state_before": before.name,
                "state_after": after.name,
                "value": after.value,
                "threshold": after.threshold,
                "unit": after.unit,
                "summary": after.summary,
            }
            for before, after in pairs
            if before.name != after.name
        ],
    )
    store.insert(
        "alert_evaluations",
        [{name: getattr(each, name) for name in Evaluated.__dataclass_fields__} for each in evaluated],
    )


def post(store: Store, outgoing: Outgoing) -> None:
    """Put a notice into the outbox; one that is there already stays as it is."""
    notice = outgoing.notice
    store.insert(
        "alert_outbox",
        [
            {
                "id": notice.id,
                "group_key": notice.group_key,
                "destination": notice.destination,
                "status": notice.status,
                "members": dict(outgoing.members),
                "payload": notice.to_json(),
                "created_at": notice.created_at,
            }
        ],
        token=f"notice-{notice.id}",
    )


def silence(store: Store, silenced: Silence, at: datetime) -> None:
    """Write a silence, or a new end of one."""
    store.insert(
        "alert_silences",
        [
            {
                "id": silenced.id,
                "matchers": json.dumps(dict(silenced.matchers), sort_keys=True, ensure_ascii=False),
                "starts_at": silenced.starts_at,
                "ends_at": silenced.ends_at,
                "author": silenced.author,
                "comment": silenced.comment,
                "revision": int(at.timestamp() * 1e6),
            }
        ],
    )


def acknowledge(store: Store, ack: Ack) -> None:
    """Write that somebody is on it."""
    store.insert(
        "alert_acks",
        [
            {
                "fingerprint": ack.fingerprint,
                "starts_at": ack.starts_at,
                "author": ack.author,
                "comment": ack.comment,
                "at": ack.at,
            }
        ],
    )


def _state(state: State) -> dict[str, Any]:
    return {
        **{
            name: getattr(state, name)
            for name in (
                *("fingerprint", "rule", "severity", "phase", "blind", "value", "threshold", "unit"),
                *("summary", "description", "rule_version", "revision", *_MOMENTS),
            )
        },
        "labels": dict(state.labels),
        "context": dict(state.context),
        "transitions": list(state.transitions),
    }
