from __future__ import annotations

import os
import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest

from .conftest import COMMAND, FREE_PORTS, LocalStore, Running, is_alive, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]
    Start = Callable[..., Running]


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return str(reply.read().decode())


def test_up_serves_everything_until_a_signal_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    running = start(
        *COMMAND, "up", "--json", f"--data-dir={tmp_path / 'data'}", *FREE_PORTS, "--dashboard-port=0"
    )
    ready = running.wait_for_json("clickhouse_port")
    assert answer(f"{ready['clickhouse_url']}/ping") == "Ok.\n"
    assert answer(f"{ready['dashboard_url']}/_stcore/health") == "ok"
    assert ready["data_dir"] == str(tmp_path / "data")
    pids = ready["pids"]
    assert set(pids) == {"store", "dashboard", "alerts"}
    assert all(is_alive(pid) for pid in pids.values())
    assert running.stop(signal.SIGINT) == 0
    assert not any(is_alive(pid) for pid in pids.values())
    assert "Traceback" not in running.err.read_text()


@pytest.mark.long
def test_the_summary_for_people_says_where_everything_is(start: Start, tmp_path: Path) -> None:
    running = start(
        *COMMAND, "up", "--no-dashboard", "--no-alerts", f"--data-dir={tmp_path / 'data'}", *FREE_PORTS
    )
    running.wait_for_text("Ctrl-C stops it")
    text = running.out.read_text()
    assert "OTLP/HTTP         http://127.0.0.1:" in text
    assert "OTLP/gRPC         http://127.0.0.1:" in text
    assert "ClickHouse HTTP   http://127.0.0.1:" in text
    assert str(tmp_path / "data") in text
    assert running.stop(signal.SIGTERM) == 0


@pytest.mark.long
def test_the_data_is_there_after_a_restart(start: Start, promptspan: Run, tmp_path: Path) -> None:
    counts: list[str] = []
    for _ in range(2):
        store = LocalStore(
            start(
                *COMMAND,
                "up",
                "--no-dashboard",
                "--no-alerts",
                "--json",
                f"--data-dir={tmp_path / 'data'}",
                *FREE_PORTS,
            ),
            tmp_path / "data",
        )
        store.send(gen_ai__operation__name="chat", gen_ai__request__model="m")
        counts.append(
            promptspan("query", store.reader, "SELECT count() AS n FROM llm_calls", "--format=csv").stdout
        )
        assert store.running.stop() == 0
    assert counts == ["n\n1\n", "n\n2\n"]


def test_a_second_start_on_the_same_directory_gets_one_clear_line(
    promptspan: Run, local_store: LocalStore
) -> None:
    result = promptspan(
        "up", "--no-dashboard", "--no-alerts", f"--data-dir={local_store.data_dir}", *FREE_PORTS
    )
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("promptspan: ")]
    assert len(lines) == 1
    assert str(local_store.data_dir) in lines[0]
    assert "in use" in lines[0]
    assert "Traceback" not in result.stderr


@pytest.mark.long
def test_a_store_that_is_killed_ends_the_dashboard_too(start: Start, tmp_path: Path) -> None:
    running = start(
        *COMMAND,
        "up",
        "--no-alerts",
        "--json",
        f"--data-dir={tmp_path / 'data'}",
        *FREE_PORTS,
        "--dashboard-port=0",
    )
    pids = running.wait_for_json("clickhouse_port")["pids"]
    os.kill(pids["store"], signal.SIGKILL)
    assert running.wait() == 1
    assert "promptspan: the store was killed by SIGKILL" in running.err.read_text()
    assert not is_alive(pids["dashboard"])


def test_nothing_outlives_an_up_that_was_killed(start: Start, tmp_path: Path) -> None:
    running = start(
        *COMMAND,
        "up",
        "--no-dashboard",
        "--no-alerts",
        "--json",
        f"--data-dir={tmp_path / 'data'}",
        *FREE_PORTS,
    )
    pids = running.wait_for_json("clickhouse_port")["pids"]
    running.process.kill()
    running.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids.values()), "the store ends")


def test_a_token_is_asked_for_and_never_printed(start: Start, promptspan: Run, tmp_path: Path) -> None:
    running = start(
        *COMMAND,
        "up",
        "--no-dashboard",
        "--no-alerts",
        "--json",
        "--host=0.0.0.0",
        f"--data-dir={tmp_path / 'data'}",
        *FREE_PORTS,
        PROMPTSPAN_TOKEN="hunter2",
    )
    ready = running.wait_for_json("clickhouse_port")
    dsn = f"--dsn={ready['dsn']}"
    refused = promptspan("query", dsn, "SELECT 1")
    assert refused.returncode == 2
    assert "does not accept" in refused.stderr
    allowed = promptspan("query", dsn, "SELECT 1 AS one", "--format=csv", PROMPTSPAN_TOKEN="hunter2")
    assert allowed.stdout == "one\n1\n", allowed.stderr
    checked = promptspan(
        "doctor",
        dsn,
        f"--endpoint={ready['otlp_endpoint']}",
        f"--grpc-endpoint={ready['otlp_grpc_endpoint']}",
        PROMPTSPAN_TOKEN="wrong",
    )
    assert "refuses us (403)" in checked.stdout
    assert "refuses us (PERMISSION_DENIED)" in checked.stdout
    assert running.stop() == 0
    assert "hunter2" not in running.out.read_text() + running.err.read_text()
    commands = [path.read_bytes() for path in _command_lines(ready["pids"])]
    assert not any(b"hunter2" in command for command in commands)


def _command_lines(pids: dict[str, int]) -> list[Path]:
    from pathlib import Path

    return [path for pid in pids.values() if (path := Path(f"/proc/{pid}/cmdline")).exists()]
