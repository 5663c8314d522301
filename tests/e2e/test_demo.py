from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from e2e.running import Running, Store, until


@pytest.mark.slow
def test_the_demo_is_live_with_two_versions_within_a_minute_and_goes_on_until_interrupted(
    tmp_path: Path,
) -> None:
    began = time.monotonic()
    script = Path(sys.executable).parent / "promptspan"
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        free = [f"--{name}-port=0" for name in ("otlp", "otlp-grpc", "dashboard")]
        options = ["--no-browser", "--json", f"--data-dir={tmp_path}", f"--clickhouse-port={taken}", *free]
        running = Running([str(script), "demo", *options]).wait_ready()
    assert running.ready["clickhouse_port"] not in (0, taken)
    assert f"In use, so others are taken: {taken}" in running.report()
    store = Store(running)

    def live_versions() -> set[str]:
        # What ran under the decorator; the history that is sent beside it did not.
        rows = store.rows(
            """SELECT DISTINCT prompt_version FROM llm_calls
            WHERE prompt_name = 'inbox-summary' AND billable
                AND mapContains(attributes, 'code.function.name')"""
        )
        return {version for (version,) in rows}

    def count() -> int:
        return int(store.value("SELECT count() FROM llm_calls WHERE ts > now() - INTERVAL 10 MINUTE"))

    def days() -> int:
        return int(store.value("SELECT uniqExact(toDate(ts)) FROM llm_calls WHERE environment = 'demo'"))

    try:
        left_s = 60 - (time.monotonic() - began)
        until(lambda: live_versions() >= {"6", "7"}, "live calls of both versions", within_s=left_s)
        before = count()
        until(lambda: count() > before, "it goes on")
        until(lambda: days() >= 7, "a week of history", within_s=180)
        with urlopen(running.ready["dashboard_url"], timeout=30) as page:
            assert page.status == 200
    finally:
        code = running.stop(signal.SIGINT)
    assert code == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in running.ready["pids"].values())
    assert "Traceback" not in running.report()


@pytest.mark.long
def test_the_staged_incident_fires_within_two_minutes_with_its_deployment_noted(tmp_path: Path) -> None:
    began = time.monotonic()
    script = str(Path(sys.executable).parent / "promptspan")
    ports = [f"--{name}-port=0" for name in ("clickhouse", "otlp", "otlp-grpc", "dashboard")]
    running = Running(
        [script, "demo", "--no-browser", "--json", f"--data-dir={tmp_path}", *ports]
    ).wait_ready()

    def firing() -> list[dict[str, Any]]:
        command = [script, "alerts", "list", f"--dsn={running.ready['dsn']}", "--format=json"]
        alerts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return [each for each in alerts if (each["rule"], each["state"]) == ("errors", "firing")]

    try:
        until(lambda: bool(firing()), "the alert fires", within_s=120 - (time.monotonic() - began))
        alert = firing()[0]
        assert (alert["labels"]["prompt_name"], alert["labels"]["prompt_version"]) == ("inbox-summary", "7")
        assert alert["value"] > alert["threshold"]
        noted = Store(running).rows("SELECT kind, prompt_name, prompt_version FROM markers FINAL")
        assert noted == [("deploy", "inbox-summary", "7")]
        with urlopen(f"{running.ready['dashboard_url']}/incident?id={alert['id']}", timeout=30) as page:
            assert page.status == 200
    finally:
        code = running.stop(signal.SIGINT)
    assert code == 0
