"""Drift as alerts: a signal of a version that became worse than its own past, and still is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from promptspan_server.alerts.reading import Evaluation, Reading, named
from promptspan_server.alerts.shares import BAD, GOOD
from promptspan_server.analysis.drift import find_drift
from promptspan_server.analysis.drift_words import sentence
from promptspan_server.analysis.findings import Wanted
from promptspan_server.analysis.observed import read_observed
from promptspan_server.queries.drift import VersionHours
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from datetime import datetime

    from promptspan_server.alerts.reading import Asking, Labels, Watched
    from promptspan_server.alerts.rules import DriftRule


def evaluate_drift(rule: DriftRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Judge every signal of every version, as `promptspan drift` does."""
    question = VersionHours(TimeRange(at - rule.look_back, at))
    wanted = Wanted(rule.false_alarms_per_week, rule.smallest_change)
    drift = find_drift(read_observed(cast("Any", asking.store), question), wanted)
    readings: list[Reading] = []
    seen: set[Labels] = set()
    for finding in drift.drifting:
        if not finding.worse or finding.until_s is not None:
            continue
        labels: Labels = (
            ("prompt_name", finding.who.prompt),
            ("prompt_version", finding.who.version or ""),
            ("signal", finding.signal),
        )
        seen.add(labels)
        readings.append(
            Reading(
                rule.severity,
                labels,
                BAD,
                value=finding.value,
                threshold=finding.expected,
                summary=sentence(finding),
                description=rule.description,
            )
        )
    readings += [
        Reading(rule.severity, labels, GOOD, summary=f"{named(labels)}: as before")
        for severity, labels in sorted(watched)
        if severity == rule.severity and labels not in seen
    ]
    return Evaluation(tuple(readings), drift.series)
