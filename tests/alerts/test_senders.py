from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from alerts.examples import ALERT, HOSTILE, SINCE, alert, hostile, notice
from promptspan_server.alerts import texts
from promptspan_server.alerts.destinations import alertmanager, slack
from promptspan_server.alerts.destinations.alertmanager import Alertmanager
from promptspan_server.alerts.destinations.pagerduty import PagerDuty
from promptspan_server.alerts.destinations.posting import Poster
from promptspan_server.alerts.destinations.services import Service
from promptspan_server.alerts.destinations.slack import Slack
from promptspan_server.alerts.destinations.webhook import Webhook, signature
from promptspan_server.alerts.outgoing import Guard

if TYPE_CHECKING:
    from alerts.conftest import Receiver

LOCAL = Poster(Guard.allowing(["127.0.0.1"]))
RESOLVED = alert(ends_at=SINCE + timedelta(hours=1), state="resolved")


def test_alertmanager_gets_labels_that_identify_and_an_end_well_ahead(receiver: Receiver) -> None:
    now = SINCE + timedelta(minutes=10)
    sender = Alertmanager(receiver.url, LOCAL, resend_s=60, now=lambda: now)
    other = alert(fingerprint="b", labels={"prompt name": "x", "prompt-name": "y", "1st": "z", "empty": ""})
    assert sender.send(notice(1, [ALERT, RESOLVED, other])).kind == "delivered"
    (got,) = receiver.got
    assert got.path == "/api/v2/alerts"
    firing, resolved, odd = got.json
    assert firing["labels"] == {
        "alertname": "error-rate",
        "severity": "page",
        "prompt_name": "inbox-summary",
        "prompt_version": "7",
        "promptspan_fingerprint": "3f2a9c",
    }
    assert firing["labels"] == resolved["labels"]
    assert firing["startsAt"] == SINCE.isoformat()
    assert firing["endsAt"] == (now + timedelta(minutes=4)).isoformat()
    assert resolved["endsAt"] == (SINCE + timedelta(hours=1)).isoformat()
    assert firing["generatorURL"] == ALERT.url
    assert firing["annotations"]["runbook_url"] == ALERT.runbook
    assert {"prompt_name", "prompt_name_", "_1st"} <= odd["labels"].keys()
    assert "empty" not in odd["labels"]


def test_prometheus_label_names_stay_apart() -> None:
    named = alertmanager.label_names({"a-b": "1", "a.b": "2", "a_b": "3", "": "4", "\u00e9": "5"})
    assert sorted(named.values()) == ["1", "2", "3", "4", "5"]
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in named)


def test_pagerduty_triggers_and_resolves_by_fingerprint(receiver: Receiver) -> None:
    receiver.answers(202, body=b'{"status":"success"}')
    sender = PagerDuty(lambda: "key-1", LOCAL, f"{receiver.url}/v2/enqueue")
    assert sender.send(notice(1, [ALERT, alert(fingerprint="b", severity="ticket")])).kind == "delivered"
    assert sender.send(notice(2, [RESOLVED])).kind == "delivered"
    first, second, last = (request.json for request in receiver.got)
    assert first["routing_key"] == "key-1"
    assert [each["dedup_key"] for each in (first, second, last)] == ["3f2a9c", "b", "3f2a9c"]
    assert [each["event_action"] for each in (first, second, last)] == ["trigger", "trigger", "resolve"]
    assert (first["payload"]["severity"], second["payload"]["severity"]) == ("critical", "warning")
    assert first["payload"]["custom_details"]["value"] == "8.3 %"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "refused"), (429, "retry"), (500, "retry"), (200, "retry")]
)
def test_pagerduty_is_tried_again_but_never_after_400(receiver: Receiver, status: int, kind: str) -> None:
    receiver.answers(status)
    outcome = PagerDuty(lambda: "key-1", LOCAL, receiver.url).send(notice())
    assert outcome.kind == kind
    assert "key-1" not in outcome.detail


def test_one_refused_event_does_not_keep_the_others_from_pagerduty(receiver: Receiver) -> None:
    receiver.answers(400, 202)
    sender = PagerDuty(lambda: "k", LOCAL, receiver.url)
    assert sender.send(notice(1, [ALERT, alert(fingerprint="b")])).kind == "refused"
    assert [request.json["dedup_key"] for request in receiver.got] == ["3f2a9c", "b"]


def test_slack_takes_ok_for_an_answer_and_nothing_else(receiver: Receiver) -> None:
    sender = Slack(lambda: f"{receiver.url}/services/T/B/secret", LOCAL)
    assert sender.send(notice()).kind == "delivered"
    sent = receiver.got[0].json
    assert sent["text"] == "Page: error-rate · inbox-summary"
    buttons = next(block for block in sent["blocks"] if block["type"] == "actions")["elements"]
    assert [button["url"] for button in buttons] == [ALERT.url, ALERT.runbook]
    receiver.answers(200, body=b"<html>log in</html>")
    assert sender.send(notice()).kind == "retry"
    receiver.answers(404, body=b"no_service at /services/T/B/secret")
    assert "secret" not in sender.send(notice()).detail


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in cast("dict[str, Any]", value).values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in cast("list[Any]", value) for text in strings(each)]
    return [value] if isinstance(value, str) else []


def test_slack_shows_hostile_text_as_text_within_its_limits() -> None:
    message = slack.message(hostile())
    for text in strings(message):
        assert "<" not in text
        assert ">" not in text
        assert not text.startswith("javascript:")
        assert len(text) <= slack.SECTION
    kinds = {block["text"]["type"] for block in message["blocks"] if "text" in block}
    assert kinds == {"plain_text"}
    assert not [block for block in message["blocks"] if block["type"] == "actions"]


def test_slack_says_how_many_more_there_are() -> None:
    message = slack.message(notice(1, [alert(fingerprint=str(n)) for n in range(40)]))
    assert len(message["blocks"]) <= 50
    assert message["blocks"][-1]["elements"][0]["text"] == "and 25 alerts more"


def test_an_escape_is_never_cut_in_two() -> None:
    for limit in range(2, 12):
        assert re.fullmatch(r"(&lt;)*…?", slack.escaped("<<<<", limit))


def test_webhooks_are_signed_and_repeat_their_id_and_body(receiver: Receiver) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    secret = "whsec_" + base64.b64encode(key).decode()
    sender = Webhook(lambda: receiver.url, lambda: [secret, "plain-secret"], LOCAL)
    assert sender.send(notice()).kind == "delivered"
    assert sender.send(notice()).kind == "delivered"
    first, second = receiver.got
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "n-1"
    for request in (first, second):
        signed = f"n-1.{request.headers['webhook-timestamp']}.".encode() + request.body
        by_hand = [
            "v1," + base64.b64encode(hmac.new(each, signed, hashlib.sha256).digest()).decode()
            for each in (key, b"plain-secret")
        ]
        assert request.headers["webhook-signature"].split() == by_hand
    assert first.json["type"] == "alert.firing"
    assert first.json["data"]["alerts"][0]["fingerprint"] == "3f2a9c"


def test_the_signature_is_the_one_of_the_specification() -> None:
    # The example of the specification's reference libraries.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("status", "expected"), [(200, "delivered"), (302, "retry")])
def test_what_apprise_knows_is_told_in_a_process_with_the_same_guard(
    receiver: Receiver, status: int, expected: str
) -> None:
    receiver.answers(status, headers={"location": f"{receiver.url}/elsewhere"})
    url = f"json://127.0.0.1:{receiver.port}/hook"
    outcome = Service(lambda: url, ["127.0.0.1"]).send(notice())
    assert outcome.kind == expected
    assert {request.path for request in receiver.got} == {"/hook"}
    assert receiver.got[0].json["title"] == "Page: error-rate · inbox-summary"


def test_apprise_reaches_nothing_inside_without_leave(receiver: Receiver) -> None:
    outcome = Service(lambda: f"json://localhost:{receiver.port}/hook", []).send(notice())
    assert outcome.kind == "retry"
    assert receiver.got == []


def test_texts_are_data_whatever_is_in_them() -> None:
    message = hostile()
    page = texts.html(message, texts.title(message))
    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert "{{7*7}}" in page.replace("&#39;", "'")
    for text in (page, texts.body(message), texts.title(message)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "\n" not in texts.title(message)
    assert "49" not in texts.body(notice(1, [alert(summary="{{7*7}}")]))


def test_a_template_of_the_users_runs_in_a_sandbox() -> None:
    text = texts.body(
        notice(), "{{ notice.alerts[0].value | measure('%') }} {{ notice.group_labels.prompt_name }}"
    )
    assert text == "8.3 % inbox-summary"
    for bad in (
        "{{ notice.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ notice.nothing }}",
        "{% for x in range(999999999) %}{% endfor %}",
        "{{ 1/0 }}",
        "{% if %}",
        "{% include '/etc/passwd' %}",
    ):
        with pytest.raises(texts.TemplateError):
            texts.check(bad)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (8.3, "%", "8.3 %"),
        (12345.6, "ms", "12,346 ms"),
        (0.0123, "USD", "$0.0123"),
        (1234.5, "USD", "$1,234.50"),
        (12.4, "USD/h", "$12.40/h"),
        (3, "", "3"),
        (None, "ms", "unknown"),
    ],
)
def test_measures_are_written_for_people(value: float | None, unit: str, text: str) -> None:
    assert texts.measure(value, unit) == text


def test_every_body_is_json_whatever_the_names_are(receiver: Receiver) -> None:
    broken = notice(1, [alert(labels={"a": "\ud800 \x00"}, summary=HOSTILE + "\ud800")])
    Alertmanager(receiver.url, LOCAL).send(broken)
    Webhook(lambda: receiver.url, lambda: ["s"], LOCAL).send(broken)
    Slack(lambda: receiver.url, LOCAL).send(broken)
    assert len([json.loads(request.body) for request in receiver.got]) == 3
