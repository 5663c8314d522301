"""Alerts as people look at them: what fires, who has said what to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros, from_micros_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

MAX_ALERTS = 200
_MAX_SILENCES = 200
_MAX_BLIND = 100
FIRING = ("firing", "recovering")


def _micros(column: str) -> str:
    return f"toUnixTimestamp64Micro(toDateTime64({column}, 6, 'UTC'))"


def _micros_or_none(column: str) -> str:
    return f"if({column} IS NULL, NULL, {_micros(f'assumeNotNull({column})')})"


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it is now.

    Attributes:
        fingerprint: Its identity.
        rule: Name of its rule.
        kind: Kind of the rule (errors, latency, spend, ...), empty if the rule is gone.
        severity: page or ticket.
        labels: What it is about.
        phase: inactive, pending, firing, recovering or resolved.
        blind: `no_data` or `error` while the evaluator cannot see it.
        value: What was measured, in `unit`; None if unknown.
        threshold: What it is held against, in `unit`.
        unit: Unit of both.
        summary: One line.
        description: More.
        active_since: Since when its condition holds, UTC.
        starts_at: Since when it fires, or fired last, UTC.
        ends_at: When it resolved, UTC.
        evaluated_at: The moment that was judged last, UTC.
        runbook: Address of what to do, empty without one.
        acked_by: Who is on it, empty if nobody said so for this firing.
        ack_comment: What they said.
        owner: Who answers for the prompt that it is about, empty if nobody is named.
    """

    fingerprint: str
    rule: str
    kind: str
    severity: str
    labels: Mapping[str, str]
    phase: str
    blind: str
    value: float | None
    threshold: float | None
    unit: str
    summary: str
    description: str
    active_since: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None
    evaluated_at: datetime
    runbook: str
    acked_by: str
    ack_comment: str
    owner: str

    @property
    def fires(self) -> bool:
        """Whether somebody should look at it."""
        return self.phase in FIRING

    @property
    def began(self) -> datetime:
        """When what it is about began, as far as is known."""
        return self.active_since or self.starts_at or self.evaluated_at


@dataclass(frozen=True, slots=True)
class Alerts(Query[AlertRow]):
    """Which alerts are there? Firing pages first, then tickets, pending, resolved; at most 200.

    Attributes:
        fingerprint: Only this one.
        firing_only: Only what fires.
    """

    fingerprint: str = ""
    firing_only: bool = False

    def sql(self) -> str:
        """See `Query.sql`."""
        only = (
            "phase IN ('firing', 'recovering')" if self.firing_only else "phase != 'inactive' OR blind != ''"
        )
        return f"""
            SELECT
                s.fingerprint, s.rule, e.kind, s.severity, s.labels, s.phase, s.blind, s.value, s.threshold,
                s.unit, s.summary, s.description,
                {_micros_or_none("s.active_since")}, {_micros_or_none("s.starts_at")},
                {_micros_or_none("s.ends_at")}, {_micros("s.evaluated_at")},
                JSONExtractString(e.definition, 'runbook'), a.author, a.comment, s.context['owner']
            FROM (SELECT * FROM alert_states FINAL WHERE {only if not self.fingerprint else _ONE}) AS s
            LEFT JOIN (SELECT rule, kind, definition FROM alert_evaluations FINAL) AS e ON e.rule = s.rule
            LEFT JOIN
            (
                SELECT fingerprint, starts_at AS firing, author, comment FROM alert_acks FINAL
            ) AS a ON a.fingerprint = s.fingerprint AND a.firing = s.starts_at
            ORDER BY
                s.phase IN ('firing', 'recovering') DESC, s.severity = 'page' DESC, s.phase = 'pending' DESC,
                s.blind != '' DESC, s.starts_at DESC, s.rule, s.fingerprint
            LIMIT {MAX_ALERTS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"fingerprint": self.fingerprint} if self.fingerprint else {}

    def row(self, values: Sequence[Any]) -> AlertRow:
        """See `Query.row`."""
        about: dict[str, Any] = dict(zip(_ABOUT, values[: len(_ABOUT)], strict=True))
        about["labels"] = dict(about["labels"])
        active_since, starts_at, ends_at, evaluated_at, runbook, author, comment, owner = values[
            len(_ABOUT) :
        ]
        return AlertRow(
            **about,
            active_since=from_micros_or_none(active_since),
            starts_at=from_micros_or_none(starts_at),
            ends_at=from_micros_or_none(ends_at),
            evaluated_at=from_micros(evaluated_at),
            runbook=runbook,
            acked_by=author,
            ack_comment=comment,
            owner=owner,
        )


_ABOUT = (
    *("fingerprint", "rule", "kind", "severity", "labels", "phase", "blind", "value", "threshold", "unit"),
    *("summary", "description"),
)
_ONE = "fingerprint = {fingerprint:String}"


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """Alerts that are not told for a time.

    Attributes:
        id: Its identity.
        matchers: Labels (or rule, severity) and their values; `*` stands for any characters.
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


@dataclass(frozen=True, slots=True)
class SilencesNow(Query[SilenceRow]):
    """Which silences hold or will hold? Those that end first come first, at most 200."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT id, matchers, {_micros("starts_at")}, {_micros("ends_at")}, author, comment
            FROM alert_silences FINAL
            WHERE ends_at > now64(3, 'UTC')
            ORDER BY ends_at, id
            LIMIT {_MAX_SILENCES}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> SilenceRow:
        """See `Query.row`."""
        identity, matchers, starts_at, ends_at, author, comment = values
        return SilenceRow(
            identity, json.loads(matchers), from_micros(starts_at), from_micros(ends_at), author, comment
        )


@dataclass(frozen=True, slots=True)
class WatchRow:
    """Whether anybody watches.

    Attributes:
        rules: Rules that have been evaluated.
        newest: When the newest evaluation was, UTC; None if there never was one.
        blind: Rules whose last evaluation could not see its data, and why.
        wrong_files: What is wrong with the rule files, while the rules before them hold; or nothing.
    """

    rules: int
    newest: datetime | None
    blind: Mapping[str, str]
    wrong_files: str = ""


@dataclass(frozen=True, slots=True)
class Watch(Query[WatchRow]):
    """Are rules being evaluated, and do they see?"""

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT countIf(kind != 'files'), if(count() = 0, NULL, {_micros("max(at)")}),
                groupArraySortedIf({_MAX_BLIND})((rule, detail), outcome != 'ok' AND kind != 'files'),
                anyIf(detail, outcome != 'ok' AND kind = 'files')
            FROM alert_evaluations FINAL
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> WatchRow:
        """See `Query.row`."""
        rules, newest, blind, wrong = values
        return WatchRow(rules, from_micros_or_none(newest), dict(blind), wrong)
