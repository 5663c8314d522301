"""What the store and the alerts are, as Prometheus reads it: for those who alert elsewhere.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

from promptspan_server.alerts.destinations.alertmanager import label_names
from promptspan_server.queries.alerts import Alerts, Watch
from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
from promptspan_server.queries.diagnosis import RecentCalls
from promptspan_server.queries.freshness import Freshness
from promptspan_server.queries.health import Losses, Unpriced
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from promptspan_server.queries.connection import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_HOUR = timedelta(hours=1)
# Processes report their counts as long as they run; one that has been silent for a day is gone.
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its samples.

    Attributes:
        name: Its name, with the unit.
        kind: What its numbers are.
        help: One line.
        samples: Labels and value.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list[tuple[dict[str, str], float]])

    def add(self, value: float, **labels: str) -> Family:
        """Add a sample."""
        self.samples.append((labels, value))
        return self


def exposed(families: Iterable[Family]) -> str:
    """Write metrics as text. A metric without samples is left out: unknown is not zero."""
    return "".join(f"{line}\n" for family in families if family.samples for line in _lines(family))


def collect(store: Store, waiting: Mapping[str, int], now: datetime | None = None) -> list[Family]:
    """Ask the store for everything.

    Args:
        store: The store, as anybody who may read.
        waiting: Notices that wait, by destination.
        now: UTC.

    Returns:
        The metrics; `promptspan_store_up 0` and no others of the store where it does not answer.
    """
    end = (now or datetime.now(timezone.utc)) + timedelta(minutes=1)
    up = Family("promptspan_store_up", "gauge", "Whether the store answers.")
    found = [up, _backlog(waiting)]
    try:
        found += [*_data(store, end), *_alerts(store)]
    except (StoreUnreachable, QueryFailed):
        up.add(0)
    else:
        up.add(1)
    return found


def _backlog(waiting: Mapping[str, int]) -> Family:
    family = Family("promptspan_notices_waiting", "gauge", "Notices that a destination has not got yet.")
    for destination, number in sorted(waiting.items()):
        family.add(number, destination=destination)
    return family


def _data(store: Store, end: datetime) -> Iterator[Family]:
    fresh = store.ask(Freshness()).rows[0]
    lag = Family("promptspan_newest_call_age_seconds", "gauge", "Age of the newest model call.")
    yield lag if fresh.age_s is None else lag.add(fresh.age_s)
    recent = store.ask(RecentCalls(60)).rows[0]
    calls = Family("promptspan_model_calls_last_hour", "gauge", "Model calls of the last hour, by status.")
    yield calls.add(recent.errors, status="error").add(recent.calls - recent.errors, status="other")
    unpriced = Family(
        "promptspan_calls_without_cost_last_hour", "gauge", "Calls of the last hour without a cost."
    )
    for status in ("unpriced", "no_usage"):
        rows = store.ask(Unpriced(TimeRange(end - _HOUR, end))).rows
        unpriced.add(sum(row.calls for row in rows if row.price_status == status), reason=status)
    yield unpriced
    emitted = Family(
        "promptspan_spans_emitted", "gauge", "Spans handed to the SDK, of processes of the last day."
    )
    delivered = Family(
        "promptspan_spans_delivered", "gauge", "Spans that a backend has accepted, of the same."
    )
    lost = Family("promptspan_spans_lost", "gauge", "Spans that the SDK lost, of the same, by reason.")
    kept = Family("promptspan_spans_waiting", "gauge", "Spans that are still to be delivered, of the same.")
    for row in store.ask(Losses(TimeRange(end - _DAY, end))).rows:
        emitted.add(row.emitted, service=row.service)
        delivered.add(row.delivered, service=row.service)
        kept.add(row.waiting, service=row.service)
        for reason, number in sorted(row.dropped.items()):
            lost.add(number, service=row.service, reason=reason)
    yield from (emitted, delivered, lost, kept)


def _alerts(store: Store) -> Iterator[Family]:
    watch = store.ask(Watch()).rows[0]
    now = store.ask(Freshness()).rows[0].store_time
    age = Family(
        "promptspan_alerts_evaluation_age_seconds", "gauge", "Age of the newest evaluation of a rule."
    )
    yield age if watch.newest is None else age.add(max(0.0, (now - watch.newest).total_seconds()))
    yield Family("promptspan_alert_rules", "gauge", "Rules that are evaluated.").add(watch.rules)
    yield Family("promptspan_alert_rules_blind", "gauge", "Rules that cannot see their data.").add(
        len(watch.blind)
    )
    alerts = Family("promptspan_alert", "gauge", "1 for each alert that is pending, firing or recovering.")
    for row in store.ask(Alerts()).rows:
        if row.phase in {"pending", "firing", "recovering"}:
            labels = {name: value for name, value in label_names(row.labels).items() if value}
            own = {
                "alertname": row.rule,
                "alertstate": row.phase,
                "severity": row.severity,
                "id": row.fingerprint,
            }
            alerts.add(1, **{**labels, **own})
    yield alerts


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help.translate(_ESCAPES)}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in family.samples:
        named = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels.items())
        yield f"{family.name}{{{named}}} {float(value)!r}" if named else f"{family.name} {float(value)!r}"
