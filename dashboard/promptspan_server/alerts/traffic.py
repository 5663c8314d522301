"""Traffic that has stopped where it usually comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.alerts.reading import Evaluation, Reading, labels_of, named, unseen
from promptspan_server.alerts.season import TRAFFIC_DAYS, missed
from promptspan_server.alerts.shares import BAD, GOOD, LIMIT
from promptspan_server.queries.alert_series import Series, Usual
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from promptspan_server.alerts.reading import Asking, Labels, Watched
    from promptspan_server.alerts.rules import Severity, TrafficRule

    Hours = Mapping[Labels, tuple[NDArray[np.int64], NDArray[np.float64]]]

SEEN_WITHIN = timedelta(days=3)


def evaluate_traffic(rule: TrafficRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Hold the time since each service's last call against the calls that usually come in such a time."""
    series = Series(at, int(SEEN_WITHIN.total_seconds() // 60), rule.by, tuple(sorted(rule.where.items())))
    last = asking.table(series.last_calls(), series.parameters())
    gaps = {
        labels: max(0.0, at.timestamp() - float(last_s))
        for labels, last_s in zip(labels_of(last, rule.by), last.column("last_s").to_pylist(), strict=True)
    }
    return judge_traffic(rule, gaps, read_hours(rule, at, asking), at, watched)


def read_hours(rule: TrafficRule, at: datetime, asking: Asking, days: int = TRAFFIC_DAYS) -> Hours:
    """Ask for the calls of every series and hour of four weeks."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    usual = Usual(TimeRange(hour - timedelta(days=days), hour))
    series = Series(hour, 60, rule.by, tuple(sorted(rule.where.items())))
    table = asking.kept(series.hourly(), series.parameters(usual))
    return {
        labels: (hours.values.to_numpy().astype(np.int64), calls.values.to_numpy().astype(np.float64))
        for labels, hours, calls in zip(
            labels_of(table, rule.by), table.column("hours"), table.column("calls"), strict=True
        )
    }


@dataclass(frozen=True, slots=True)
class PastTraffic:
    """A day of calls, and what was usual before it: what `judge_traffic` takes, at any minute of the day.

    Attributes:
        begun: Seconds since the epoch, ascending: when the last call of each minute began, by series.
        hours: Of four weeks and the day: starts of hours with calls, and how many.
    """

    begun: Mapping[Labels, NDArray[np.int64]]
    hours: Hours

    def at(self, at: datetime, severity: Severity, watched: Watched) -> tuple[dict[Labels, float], Hours]:
        """The silences at a full minute, and what was usual; those too short to tell are left out."""
        now, since = at.timestamp(), (at - timedelta(days=TRAFFIC_DAYS)).timestamp()
        gaps: dict[Labels, float] = {}
        for labels, begun in self.begun.items():
            place = int(np.searchsorted(begun, now)) - 1
            if place < 0 or now - begun[place] > SEEN_WITHIN.total_seconds():
                continue
            gap_s = float(now - begun[place])
            # No evidence is more than the calls that the busiest hour would have brought.
            most = float(self.hours[labels][1].max()) if labels in self.hours else 0.0
            if most * gap_s / 3600 > LIMIT or (severity, labels) in watched:
                gaps[labels] = gap_s
        usual = {
            labels: (starts[starts >= since // 3600 * 3600], calls[starts >= since // 3600 * 3600])
            for labels, (starts, calls) in self.hours.items()
            if labels in gaps
        }
        return gaps, usual


def read_past_traffic(rule: TrafficRule, until: datetime, asking: Asking) -> PastTraffic:
    """Ask for the day that ends at `until`, and for what the first of its moments looks back on."""
    length = timedelta(days=1) + SEEN_WITHIN
    series = Series(until, int(length.total_seconds() // 60), rule.by, tuple(sorted(rule.where.items())))
    table = asking.table(series.begun(), series.parameters())
    return PastTraffic(
        {
            labels: np.sort(begun.values.to_numpy().astype(np.int64))
            for labels, begun in zip(labels_of(table, rule.by), table.column("begun"), strict=True)
        },
        read_hours(rule, until, asking, TRAFFIC_DAYS + 1),
    )


def judge_traffic(
    rule: TrafficRule, gaps: Mapping[Labels, float], hours: Hours, at: datetime, watched: Watched
) -> Evaluation:
    """Judge silences.

    Args:
        rule: The rule.
        gaps: Seconds since the last call, by series.
        hours: Of four weeks: starts of hours with calls, and how many.
        at: The moment, UTC.
        watched: Alerts to tell of even if all is well.
    """
    readings: list[Reading] = []
    for labels, gap_s in gaps.items():
        expected, evidence = missed(hours.get(labels), at, gap_s)
        level = BAD if evidence > LIMIT else GOOD
        if level == GOOD and (rule.severity, labels) not in watched:
            continue
        summary = f"{named(labels)}: no calls for {gap_s / 60:,.0f} minutes, about {expected:,.0f} are usual"
        if level == GOOD:
            summary = f"{named(labels)}: calls arrive"
        readings.append(
            Reading(
                rule.severity,
                labels,
                level,
                value=round(gap_s / 60, 1),
                threshold=None,
                unit="minutes",
                summary=summary,
                description=rule.description,
            )
        )
    return Evaluation((*readings, *unseen(watched, rule.severity, gaps)), len(gaps))
