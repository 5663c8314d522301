from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.cli.demo import forget
from promptspan_server.cli.failure import CommandError
from promptspan_server.store.directory import DataDirectory

from .conftest import COMMAND, FREE_PORTS, is_alive, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Running

    Run = Callable[..., subprocess.CompletedProcess[str]]
    Start = Callable[..., Running]


def test_the_demo_has_live_calls_of_two_versions_on_ports_that_are_free_and_ends_with_all_its_parts(
    start: Start, promptspan: Run, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        others = [option for option in FREE_PORTS if not option.startswith("--clickhouse-port")]
        ports = [f"--clickhouse-port={port}", *others, "--dashboard-port=0"]
        running = start(*COMMAND, "demo", "--json", f"--data-dir={tmp_path / 'demo'}", *ports)
        ready = running.wait_for_json("clickhouse_port")
    assert ready["clickhouse_port"] not in (0, port)
    assert f"In use, so others are taken: {port}" in running.err.read_text()
    assert set(ready["pids"]) == {"store", "dashboard", "demo"}

    def live_versions() -> set[str]:
        asked = promptspan(
            "query",
            f"--dsn={ready['dsn']}",
            "SELECT DISTINCT prompt_version FROM llm_calls "
            "WHERE prompt_name = 'inbox-summary' AND ts > now() - INTERVAL 2 MINUTE",
            "--format=json",
        )
        rows: list[dict[str, Any]] = json.loads(asked.stdout)
        return {row["prompt_version"] for row in rows}

    wait_until(lambda: len(live_versions()) >= 2, "live calls of two versions", deadline_s=60)
    assert running.stop() == 0
    assert not any(is_alive(pid) for pid in ready["pids"].values())
    assert "Traceback" not in running.err.read_text()


def test_a_fresh_demo_forgets_only_what_a_store_recorded(tmp_path: Path) -> None:
    DataDirectory.lock(tmp_path).unlock()
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "part.bin").touch()
    (tmp_path / "thesis.txt").write_text("mine")
    forget(tmp_path)
    assert not (tmp_path / "engine").exists()
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_directory_that_no_store_ever_owned_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    forget(tmp_path)
    forget(tmp_path / "absent")
    assert (tmp_path / "engine").exists()


def test_a_directory_in_use_is_not_forgotten(tmp_path: Path) -> None:
    owner = DataDirectory.lock(tmp_path)
    (tmp_path / "engine").mkdir()
    with pytest.raises(CommandError, match="in use"):
        forget(tmp_path)
    owner.unlock()
    assert (tmp_path / "engine").exists()
