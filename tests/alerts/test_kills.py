"""Killed at random moments, with destinations that fail: all incidents are told, each under one key."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alerts.conftest import Receiver
from alerts.examples import alert, notice
from queries.live_store import running_store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from alerts.conftest import Request
    from queries.live_store import LiveStore

CHILD = Path(__file__).with_name("deliver_child.py")
NOW = datetime.now(timezone.utc)
_KILLS = 50
# Some die while they start, some wait for their turn, some are in the middle of telling.
_LONGEST_LIFE_S = 10


def failing_half(chance: random.Random) -> Callable[[Request], tuple[int, dict[str, str], bytes]]:
    """Half of the requests fail; some of those were taken all the same, and only the answer is lost."""
    lock = threading.Lock()

    def answer(_: Request) -> tuple[int, dict[str, str], bytes]:
        with lock:
            return (200, {}, b"ok") if chance.random() < 0.5 else (503, {}, b"later")

    return answer


@contextmanager
def child(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.long
def test_a_deliverer_killed_again_and_again_tells_everything_in_order(tmp_path: Path) -> None:
    chance = random.Random(7)
    notices = [
        notice(n, [alert(fingerprint=f"f{n}", starts_at=NOW)], created_at=NOW + timedelta(seconds=n))
        for n in range(60)
    ]
    (tmp_path / "outbox").write_text("".join(f"{each.to_json()}\n" for each in notices))
    (tmp_path / "deliveries").touch()
    with Receiver(answer=failing_half(chance)).serving() as receiver:

        def left() -> int:
            lines = (tmp_path / "deliveries").read_text().splitlines()
            return len(notices) - sum(json.loads(line)["outcome"] == "delivered" for line in lines)

        for _ in range(2):
            with child([str(CHILD), str(tmp_path), receiver.url]) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"delivering\n"
                time.sleep(chance.uniform(0.02, 0.4))
        with child([str(CHILD), str(tmp_path), receiver.url]):
            deadline = time.monotonic() + 60
            while left() > 0:
                assert time.monotonic() < deadline, f"{left()} were not told within a minute"
                time.sleep(0.05)
    told = [request.headers["webhook-id"] for request in receiver.got]
    assert list(dict.fromkeys(told)) == [each.id for each in notices]
    # The key of a notice is the same in every attempt.
    keys: dict[str, set[bytes]] = defaultdict(set)
    for request in receiver.got:
        keys[request.headers["webhook-id"]].add(request.body)
    assert all(len(bodies) == 1 for bodies in keys.values())


RULES = """\
rules:
  - {name: errors, kind: errors, every: 5s, by: [prompt_name], keep_firing_for: 30m}
  - {name: latency, kind: latency, enabled: false}
  - {name: provider-outage, kind: errors, enabled: false}
  - {name: traffic-stopped, kind: traffic, enabled: false}
notify: {group_by: [prompt_name], group_wait: 0s, group_interval: 10s, repeat_interval: 4h}
"""
DESTINATIONS = """\
allow_internal: [127.0.0.1]
destinations:
  - {name: hook, type: webhook, url: "URL", secret: env:HOOK_SECRET, per_minute: 6000}
"""


def fail(store: LiveStore, prompts: Sequence[str]) -> None:
    """Let each prompt fail, now: an incident goes on while nobody looks."""
    at = datetime.now(timezone.utc) - timedelta(seconds=10)
    failed = {"status": "error", "error_type": "X"}
    calls = [
        store.call(at - timedelta(milliseconds=100 * i), prompt_name=prompt, **failed)
        for prompt in prompts
        for i in range(40)
    ]
    store.insert("llm_calls", *calls)


@pytest.mark.long
def test_an_evaluator_killed_at_fifty_moments_tells_each_incident_once(tmp_path: Path) -> None:
    chance = random.Random(11)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "rules.yaml").write_text(RULES)
    with (
        running_store(tmp_path / "store") as store,
        Receiver(answer=failing_half(chance)).serving() as receiver,
    ):
        (rules / "destinations.yaml").write_text(DESTINATIONS.replace("URL", receiver.url))
        environment = {
            **os.environ,
            "HOOK_SECRET": "secret",
            "PROMPTSPAN_CLICKHOUSE_URL": f"http://default@127.0.0.1:{store.clickhouse_port}/default",
        }
        command = ["-m", "promptspan_server.cli.alerting", f"--rules={rules}"]
        prompts: list[str] = []
        for number in range(_KILLS):
            if number % 5 == 0:
                prompts.append(f"broken-{number}")
            fail(store, prompts)
            with child(command, environment):
                time.sleep(chance.uniform(0.5, _LONGEST_LIFE_S))

        def told() -> dict[str, set[str]]:
            """Notice ids by prompt, of pages that fire."""
            found: dict[str, set[str]] = defaultdict(set)
            for request in list(receiver.got):
                data: dict[str, Any] = request.json["data"]
                for each in data["alerts"]:
                    if each["severity"] == "page" and each["state"] == "firing":
                        found[each["labels"]["prompt_name"]].add(f"{each['fingerprint']} {data['id']}")
            return found

        with child(command, environment):
            deadline = time.monotonic() + 300
            while store.value(
                "SELECT count() FROM alert_outbox FINAL WHERE id NOT IN"
                " (SELECT notice_id FROM alert_deliveries WHERE outcome = 'delivered')"
            ) or set(told()) != set(prompts):
                assert time.monotonic() < deadline, f"told: {sorted(told())} of {prompts}"
                fail(store, prompts)
                time.sleep(2)
    assert {prompt: len(ids) for prompt, ids in told().items()} == dict.fromkeys(prompts, 1)
