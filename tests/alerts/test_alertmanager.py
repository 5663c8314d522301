"""Our alerts in a real Alertmanager: it gets, groups, silences and resolves them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from alerts.conftest import Receiver
from alerts.examples import ALERT, alert, notice
from promptspan_server.alerts.destinations.alertmanager import Alertmanager
from promptspan_server.alerts.destinations.posting import Poster
from promptspan_server.alerts.outgoing import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no prometheus-alertmanager here")

LOCAL = Poster(Guard.allowing(["127.0.0.1"]))
_CONFIG = """\
route:
  receiver: hook
  group_by: [alertname, prompt_name]
  group_wait: 1s
  group_interval: 1s
receivers: [{name: hook, webhook_configs: [{url: "URL", send_resolved: true}]}]
"""


class Running:
    """An Alertmanager, and the receiver that it tells."""

    def __init__(self, url: str, hook: Receiver) -> None:
        self.url = url
        self.hook = hook
        self.sender = Alertmanager(url, LOCAL)

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}", data=data, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def told(self, status: str) -> list[dict[str, Any]]:
        return [request.json for request in self.hook.got if request.json["status"] == status]


def until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    assert PROGRAM is not None
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Receiver().serving() as hook:
        (folder / "config.yml").write_text(_CONFIG.replace("URL", hook.url))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    PROGRAM,
                    f"--config.file={folder / 'config.yml'}",
                    f"--storage.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            running = Running(f"http://127.0.0.1:{port}", hook)

            def ready() -> bool:
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    running.ask("status")
                except OSError:
                    return False
                return True

            until(ready, "the Alertmanager answers")
            yield running
        finally:
            process.terminate()
            process.wait(10)


def test_alerts_are_taken_grouped_and_resolved(alertmanager: Running) -> None:
    now = datetime.now(timezone.utc)
    two = [
        alert(
            starts_at=now, labels={"prompt_name": "grouped", "prompt_version": version}, fingerprint=version
        )
        for version in ("6", "7")
    ]
    assert alertmanager.sender.send(notice(1, two)).kind == "delivered"
    [group] = until(lambda: alertmanager.told("firing"), "the group is told as firing")
    assert group["groupLabels"] == {"alertname": "error-rate", "prompt_name": "grouped"}
    assert {each["labels"]["prompt_version"] for each in group["alerts"]} == {"6", "7"}
    assert group["alerts"][0]["annotations"]["summary"] == ALERT.summary
    assert group["alerts"][0]["generatorURL"] == ALERT.url

    # Told again it stays the same alert, with a later end.
    [first] = [each for each in alertmanager.ask("alerts") if each["labels"].get("prompt_version") == "6"]
    later = Alertmanager(alertmanager.url, LOCAL, now=lambda: now + timedelta(minutes=1))
    assert later.resend(two).kind == "delivered"
    again = [each for each in alertmanager.ask("alerts") if each["labels"].get("prompt_version") == "6"]
    assert len(again) == 1
    assert again[0]["fingerprint"] == first["fingerprint"]
    assert again[0]["endsAt"] > first["endsAt"]

    ended = [
        alert(
            starts_at=each.starts_at,
            labels=each.labels,
            fingerprint=each.fingerprint,
            ends_at=datetime.now(timezone.utc),
        )
        for each in two
    ]
    assert alertmanager.sender.send(notice(2, ended)).kind == "delivered"
    until(lambda: alertmanager.told("resolved"), "the group is told as resolved")
    assert len(alertmanager.told("firing")) == 1


def test_a_silence_over_there_holds_for_our_alerts(alertmanager: Running) -> None:
    now = datetime.now(timezone.utc)
    matcher = {"name": "prompt_name", "value": "silenced", "isRegex": False, "isEqual": True}
    alertmanager.ask(
        "silences",
        {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "tests",
            "comment": "known",
        },
    )
    quiet = alert(starts_at=now, labels={"prompt_name": "silenced"}, fingerprint="s")
    loud = alert(starts_at=now, labels={"prompt_name": "loud"}, fingerprint="l")
    assert alertmanager.sender.send(notice(3, [quiet, loud])).kind == "delivered"
    until(
        lambda: [
            each for each in alertmanager.told("firing") if each["groupLabels"]["prompt_name"] == "loud"
        ],
        "the loud one is told",
    )
    [state] = [
        each["status"]["state"]
        for each in alertmanager.ask("alerts")
        if each["labels"].get("prompt_name") == "silenced"
    ]
    assert state == "suppressed"
    assert not [
        each for each in alertmanager.hook.got if each.json["groupLabels"]["prompt_name"] == "silenced"
    ]


def test_a_message_it_cannot_take_is_not_sent_again(alertmanager: Running) -> None:
    bad = LOCAL.post(f"{alertmanager.url}/api/v2/alerts", b"[{}]", {"content-type": "application/json"})
    assert bad.kind == "refused"
