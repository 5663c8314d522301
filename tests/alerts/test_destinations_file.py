from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from promptspan_server.alerts.destinations.config import (
    FILE,
    DestinationFile,
    Destinations,
    read_destinations,
    sender,
)
from promptspan_server.alerts.documents import DocumentError, parse_document
from promptspan_server.alerts.rule_files import RuleFiles
from promptspan_server.alerts.secrets import MissingSecretError, Secret
from promptspan_server.cli.alerting import Loop, Telling, names_of

if TYPE_CHECKING:
    from pathlib import Path

    from promptspan_server.alerts.evaluator import Evaluator

WHOLE = """\
allow_internal: [127.0.0.1, 10.0.0.0/8, alertmanager.internal]
watchdog: {url: env:WATCHDOG, every_s: 30}
destinations:
  - {name: am, type: alertmanager, url: "http://alertmanager.internal:9093"}
  - {name: pd, type: pagerduty, routing_key: env:PD_KEY}
  - {name: chat, type: slack, url: file:/run/secrets/slack, text: "{{ notice.status }}"}
  - {name: hook, type: webhook, url: "https://hooks.example/x", secret: env:HOOK}
  - name: mail
    type: email
    host: smtp.example
    user: me
    password: env:SMTP
    sender: alerts@example.com
    to: [oncall@example.com]
  - {name: phone, type: apprise, url: env:TELEGRAM, per_minute: 20}
"""


def test_the_file_names_every_kind_of_destination(tmp_path: Path) -> None:
    path = tmp_path / "destinations.yaml"
    path.write_text(WHOLE)
    found = read_destinations(path)
    assert [each.name for each in found.destinations] == ["am", "pd", "chat", "hook", "mail", "phone"]
    for each in found.destinations:
        assert sender(each, found.guard, found.allow_internal) is not None
    assert [str(secret) for secret in found.destinations[1].secrets()] == ["env:PD_KEY"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("destinations:\n- {name: a, type: slack, url: https://hooks.slack.com/s3cret}", ":2: "),
        ("destinations:\n- name: a\n  type: slack\n  url: env:X\n  colour: red", ":5: "),
        ("destinations:\n- {name: a, type: pigeon}", ":2: "),
        ("destinations:\n- name: a\n  type: email\n  sender: nobody", ":4: "),
        (
            "destinations:\n- {name: a, type: slack, url: env:X}\n- {name: a, type: slack, url: env:X}",
            "called a",
        ),
        ("destinations:\n- {name: a, type: slack, url: env:X, text: '{{ notice.x }}'}", "template"),
        ("allow_internal:\n- 10.0.0.0/8\n- 169.254.169.254", "credentials"),
        ("destinations: [", ":1: "),
        ("destinations:\n- {name: a, type: webhook, url: 'ftp://x', secret: env:X}", "https://"),
        ("destinations:\n- {name: a, type: webhook, url: 'https://u:p4ss@x', secret: env:X}", "is a secret"),
        ("- a", ":1: "),
        ("a: !!python/object/apply:os.system [id]", ":1: "),
    ],
)
def test_a_mistake_is_told_with_its_line_and_without_its_secret(text: str, expected: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, Destinations, "destinations.yaml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("destinations.yaml:")
    assert "s3cret" not in str(caught.value)
    assert "p4ss" not in str(caught.value)


def test_an_empty_file_is_no_destinations() -> None:
    assert parse_document("", Destinations, "f").destinations == []


def test_a_secret_is_read_when_used_and_never_printed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("one\n")
    secret = Secret(f"file:{path}")
    assert secret.reveal() == "one"
    path.write_text("two\n")
    assert secret.reveal() == "two"
    assert "two" not in f"{secret} {secret!r}"
    assert Secret("env:K").reveal({"K": " v "}) == "v"
    for missing in (Secret("env:K"), Secret(f"file:{tmp_path}/none"), Secret(f"file:{tmp_path}")):
        with pytest.raises(MissingSecretError):
            missing.reveal({})


def test_a_changed_file_is_taken_up_and_a_wrong_one_leaves_who_was_told(tmp_path: Path) -> None:
    told = DestinationFile(tmp_path)
    assert told.kept == Destinations()
    made: list[tuple[str, ...]] = []

    class Part:
        def start(self) -> None:
            made.append(names_of(told.kept))

        def stop(self) -> None:
            made.append(("stopped",))

    evaluator = cast("Evaluator", SimpleNamespace(book=None, destinations=(), wrong_files=""))
    loop = Loop(evaluator, threading.Event(), RuleFiles(tmp_path), told)
    loop.telling = Telling(lambda: [Part()])
    loop.telling.start()
    file = tmp_path / FILE
    file.write_text("destinations: [{name: chat, type: slack, url: env:CHAT}]")
    loop.take_up()
    loop.take_up()
    assert (evaluator.destinations, evaluator.wrong_files) == (("chat",), "")
    file.write_text("destinations: [{name: chat, type: slak, url: env:CHAT}]")
    loop.take_up()
    assert evaluator.destinations == ("chat",)
    assert f"{FILE}:1" in evaluator.wrong_files
    file.unlink()
    loop.take_up()
    assert (evaluator.destinations, evaluator.wrong_files) == ((), "")
    assert made == [(), ("stopped",), ("chat",), ("stopped",), ()]
