from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from alerts.examples import alert, notice
from alerts.test_metrics import parsed
from promptspan_server.alerts.delivery import Delivery
from promptspan_server.alerts.exposition import collect, exposed
from promptspan_server.alerts.outbox import StoreOutbox
from promptspan_server.queries.alerts import Alerts, SilencesNow, Watch
from promptspan_server.queries.connection import Store, parse_dsn
from promptspan_server.queries.incident import (
    Examples,
    FirstSeen,
    IncidentNumbers,
    LatencyHeat,
    PriceChanges,
    Subject,
    VersionBefore,
)
from promptspan_server.queries.markers import Markers
from promptspan_server.queries.scope import TimeRange
from promptspan_server.store.executor import ClientExecutor
from promptspan_server.store.markers import read_marker, record

if TYPE_CHECKING:
    from queries.live_store import LiveStore

# A day of its own: other tests share the store.
DAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=20)
PROMPT = "incident-tests"
HOSTILE = "'; DROP TABLE markers; -- {x:String} \\ \n"


def subject(start: float, end: float, **labels: str) -> Subject:
    where = TimeRange(DAY + timedelta(hours=start), DAY + timedelta(hours=end))
    return Subject.of({"prompt_name": PROMPT, **labels}, where)


def test_an_incident_is_read_from_the_calls_that_the_alert_is_about(live: LiveStore) -> None:
    common = {"prompt_name": PROMPT, "environment": "prod"}
    old = [live.call(DAY + timedelta(hours=9, minutes=i), **common, prompt_version="1") for i in range(30)]
    new = [
        live.call(
            DAY + timedelta(hours=10, minutes=i),
            **common,
            prompt_version="2",
            response_model="gpt-new",
            duration_ms=1000.0 * (i + 1),
            status="error" if i < 4 else "ok",
            user_id=f"u{i % 3}",
        )
        for i in range(12)
    ]
    live.insert("llm_calls", *old)
    live.insert("llm_calls", *new)
    during = subject(10, 11, prompt_version="2")
    [numbers] = live.reader.ask(IncidentNumbers(during)).rows
    assert (numbers.calls, numbers.errors, numbers.users, numbers.tenants) == (12, 4, 3, 0)
    heat = live.reader.ask(LatencyHeat(subject(9, 11))).rows
    assert sum(cell.calls for cell in heat) == 42
    assert sum(cell.errors for cell in heat) == 4
    changes = live.reader.ask(FirstSeen(subject(0, 11), DAY + timedelta(hours=9, minutes=45))).rows
    assert [(row.what, row.value) for row in changes] == [
        ("prompt_version", f"{PROMPT} 2"),
        ("response_model", "gpt-new"),
    ]
    assert live.reader.ask(VersionBefore(subject(0, 10), "2")).rows == (("1", 30),)
    failing = live.reader.ask(Examples(during, "errors")).rows
    assert {row.status for row in failing} == {"error"}
    slowest = live.reader.ask(Examples(during, "latency")).rows
    assert [row.duration_ms for row in slowest] == [12000.0, 11000.0, 10000.0, 9000.0, 8000.0]
    normal = live.reader.ask(Examples(during, "errors", normal=True)).rows
    assert len(normal) == 5
    assert {row.status for row in normal} == {"ok"}


def test_nothing_and_hostile_labels_are_no_error(live: LiveStore) -> None:
    empty = subject(1, 2, prompt_version=HOSTILE, provider=HOSTILE, ignored="x")
    [numbers] = live.reader.ask(IncidentNumbers(empty)).rows
    assert (numbers.calls, numbers.p95_ms, numbers.usd) == (0, None, None)
    assert live.reader.ask(LatencyHeat(empty)).rows == ()
    for kind in ("errors", "latency", "spend", "flags", "unpriced", HOSTILE):
        for normal in (False, True):
            assert live.reader.ask(Examples(empty, kind, normal=normal)).rows == ()
    assert live.reader.ask(Alerts(fingerprint=HOSTILE)).rows == ()
    assert live.reader.ask(PriceChanges(empty.range)).rows == ()


def test_markers_are_found_by_what_they_concern(live: LiveStore) -> None:
    at = f"{DAY + timedelta(hours=12):%Y-%m-%dT%H:%M:%SZ}"
    given: list[dict[str, Any]] = [
        {"text": "everywhere"},
        {"text": "ours", "prompt_name": PROMPT},
        {"text": "another's", "prompt_name": "other"},
        {"text": "about it", "prompt_name": "other", "incident": "f1"},
    ]
    for each in given:
        record(ClientExecutor(live.writer), read_marker({"at": at, **each}))
    where = TimeRange(DAY + timedelta(hours=11), DAY + timedelta(hours=13))
    found = live.reader.ask(Markers(where, prompt=PROMPT, incident="f1")).rows
    assert {row.text for row in found} == {"everywhere", "ours", "about it"}
    assert len(live.reader.ask(Markers(where)).rows) == 4
    assert live.reader.ask(Markers(where, environment=HOSTILE, service=HOSTILE, prompt=HOSTILE)).rows != ()


def test_the_outbox_gives_what_waits_and_remembers_what_became_of_it(live: LiveStore) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    outbox = StoreOutbox(lambda: ClientExecutor(live.writer))
    fires = notice(1, [alert()], created_at=now, destination="am", group_key="g")
    over = notice(
        2, [alert(ends_at=now)], created_at=now + timedelta(seconds=1), destination="am", group_key="g"
    )

    def post(each: Any) -> None:
        row = {
            "id": each.id,
            "group_key": each.group_key,
            "destination": each.destination,
            "status": each.status,
        }
        live.insert("alert_outbox", {**row, "payload": each.to_json(), "created_at": each.created_at})

    post(fires)
    live.insert("alert_outbox", {"id": "broken", "destination": "am", "payload": "{", "created_at": now})
    assert outbox.waiting() == [(fires, 0)]
    assert [each.fingerprint for each in outbox.firing("am")] == ["3f2a9c"]
    outbox.record([Delivery("n-1", "am", 1, now, "retry", "down")])
    assert outbox.waiting() == [(fires, 1)]
    post(over)
    assert outbox.waiting() == [(fires, 1), (over, 0)]
    assert outbox.firing("am") == []
    done = [
        Delivery("n-1", "am", 2, now, "delivered", ""),
        Delivery("n-2", "am", 1, now, "refused", "HTTP 400"),
    ]
    outbox.record(done)
    outbox.record(done)
    assert outbox.waiting() == []


def test_alerts_silences_and_metrics_are_what_the_store_has(live: LiveStore) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    state = {
        "fingerprint": "m1",
        "rule": "errors",
        "severity": "page",
        "labels": {"prompt_name": HOSTILE, "odd name": "x"},
        "phase": "firing",
        "value": 8.3,
        "threshold": 1.0,
        "unit": "%",
        "summary": "s",
        "starts_at": now,
        "evaluated_at": now,
        "revision": 1,
    }
    live.insert("alert_states", state, {**state, "fingerprint": "m2", "phase": "inactive"})
    live.insert(
        "alert_acks", {"fingerprint": "m1", "starts_at": now, "author": "ana", "comment": "", "at": now}
    )
    evaluation = {
        "rule": "errors",
        "kind": "errors",
        "definition": json.dumps({"runbook": "https://x.example"}),
    }
    live.insert("alert_evaluations", {**evaluation, "at": now, "outcome": "ok", "revision": 1})
    silence = {"id": "s1", "matchers": json.dumps({"rule": "x"}), "starts_at": now, "author": "ana"}
    live.insert("alert_silences", {**silence, "ends_at": now + timedelta(hours=1), "revision": 1})

    [row] = live.reader.ask(Alerts()).rows
    assert (row.fingerprint, row.kind, row.runbook, row.acked_by) == (
        "m1",
        "errors",
        "https://x.example",
        "ana",
    )
    assert live.reader.ask(Alerts(firing_only=True)).rows == (row,)
    assert [each.id for each in live.reader.ask(SilencesNow()).rows] == ["s1"]
    [watch] = live.reader.ask(Watch()).rows
    assert (watch.rules, watch.blind) == (1, {})

    metrics = parsed(exposed(collect(live.reader, {"am": 3})))
    assert metrics["promptspan_store_up", ()] == 1
    assert metrics["promptspan_notices_waiting", (("destination", "am"),)] == 3
    assert metrics["promptspan_alert_rules", ()] == 1
    alerts = [dict(labels) for name, labels in metrics if name == "promptspan_alert"]
    assert alerts == [
        {
            "odd_name": "x",
            "prompt_name": HOSTILE,
            "alertname": "errors",
            "alertstate": "firing",
            "severity": "page",
            "id": "m1",
        }
    ]


def test_a_store_that_is_down_is_a_metric_and_no_error() -> None:
    nowhere = Store(parse_dsn("http://reader@127.0.0.1:1/default"))
    assert parsed(exposed(collect(nowhere, {}))) == {("promptspan_store_up", ()): 0.0}
