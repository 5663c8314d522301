from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Running, is_alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

STUBS = Path(__file__).with_name("stubs")


@pytest.fixture
def supervise(start: Callable[..., Running]) -> Callable[..., Running]:
    def begin(*plans: dict[str, Any]) -> Running:
        return start(sys.executable, str(STUBS / "supervise.py"), json.dumps(plans), PYTHONPATH=str(STUBS))

    return begin


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_parts_start_in_order_and_what_they_announce_comes_back(supervise: Callable[..., Running]) -> None:
    running = supervise(
        {"name": "store", "announces": {"port": 4711}, "stdout": ["not json", '{"event": "other"}', "[1]"]},
        {"name": "dashboard", "asked_at": free_port()},
    )
    ready = running.wait_for_json("pids")
    assert ready["announced"][0]["port"] == 4711
    assert ready["announced"][1] == {}
    assert list(ready["pids"]) == ["store", "dashboard"]
    assert ready["announced"][0]["pid"] == ready["pids"]["store"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_first_part_last_and_succeeds(
    supervise: Callable[..., Running], tmp_path: Path, number: int
) -> None:
    log = tmp_path / "log"
    running = supervise(
        {"name": "store", "announces": {}, "log": str(log)},
        {"name": "dashboard", "announces": {}, "log": str(log)},
    )
    pids = running.wait_for_json("pids")["pids"]
    assert running.stop(number) == 0
    assert log.read_text() == "dashboard SIGTERM\nstore SIGTERM\n"
    assert not any(is_alive(pid) for pid in pids.values())
    assert running.err.read_text() == ""


def test_ctrl_c_in_the_terminal_reaches_only_the_supervisor(
    supervise: Callable[..., Running], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    running = supervise({"name": "store", "announces": {}, "log": str(log)})
    pid = running.wait_for_json("pids")["pids"]["store"]
    assert os.getpgid(pid) == pid != os.getpgid(running.pid)
    assert os.getsid(pid) != os.getsid(running.pid)


def test_one_part_breaking_stops_the_rest_and_is_reported_with_its_last_words(
    supervise: Callable[..., Running], tmp_path: Path
) -> None:
    trigger = tmp_path / "now"
    running = supervise(
        {"name": "store", "announces": {}},
        {"name": "dashboard", "announces": {}, "breaks_when": str(trigger), "last_words": "no more paint"},
    )
    pids = running.wait_for_json("pids")["pids"]
    trigger.touch()
    assert running.wait() == 1
    assert "[dashboard] no more paint" in running.err.read_text()
    assert "the dashboard ended with exit code 3: no more paint" in running.err.read_text()
    assert not is_alive(pids["store"])


def test_a_killed_part_is_reported_with_the_signal(supervise: Callable[..., Running]) -> None:
    running = supervise({"name": "store", "announces": {}}, {"name": "dashboard", "announces": {}})
    pids = running.wait_for_json("pids")["pids"]
    os.kill(pids["store"], signal.SIGKILL)
    assert running.wait() == 1
    assert "the store was killed by SIGKILL" in running.err.read_text()
    assert not is_alive(pids["dashboard"])


def test_a_part_that_cannot_start_and_says_why_is_quoted_alone(supervise: Callable[..., Running]) -> None:
    running = supervise(
        {
            "name": "store",
            "announces": {},
            "stderr": ["promptspan: the directory is locked"],
            "exits_at_once": 2,
        }
    )
    assert running.wait() == 2
    assert running.err.read_text() == "the directory is locked\n"


def test_a_part_that_breaks_while_starting_shows_all_that_it_wrote(supervise: Callable[..., Running]) -> None:
    running = supervise(
        {"name": "store", "announces": {}, "stderr": ["Traceback", "ValueError: no"], "exits_at_once": 1}
    )
    assert running.wait() == 1
    assert running.err.read_text().splitlines() == [
        "[store] Traceback",
        "[store] ValueError: no",
        "the store ended with exit code 1: ValueError: no",
    ]


def test_an_earlier_part_that_breaks_while_a_later_one_starts_ends_the_start(
    supervise: Callable[..., Running], tmp_path: Path
) -> None:
    trigger = tmp_path / "now"
    running = supervise(
        {"name": "store", "announces": {}, "breaks_when": str(trigger)},
        {"name": "dashboard", "asked_at": free_port(), "is_silent": True, "start_s": 600},
    )
    wait_until(lambda: {"starting": "dashboard"} in running.json_lines(), "the dashboard starts")
    trigger.touch()
    assert running.wait() == 1
    assert "the store ended with exit code 3: out of luck" in running.err.read_text()


def test_a_part_that_never_serves_is_given_up(supervise: Callable[..., Running]) -> None:
    running = supervise({"name": "dashboard", "asked_at": free_port(), "is_silent": True, "start_s": 0.4})
    assert running.wait() == 1
    assert "the dashboard was not ready within 0 s" in running.err.read_text()


def test_a_signal_while_a_part_starts_ends_what_runs(supervise: Callable[..., Running]) -> None:
    running = supervise(
        {"name": "store", "announces": {}},
        {"name": "dashboard", "announces": {}, "asked_at": free_port(), "is_silent": True, "start_s": 600},
    )
    wait_until(lambda: {"starting": "dashboard"} in running.json_lines(), "the dashboard starts")
    assert running.stop(signal.SIGINT) == 0


def test_a_part_that_ignores_sigterm_is_killed_after_its_time_and_that_is_said(
    supervise: Callable[..., Running],
) -> None:
    running = supervise({"name": "store", "announces": {}, "ignores_term": True, "stop_s": 0.3})
    pid = running.wait_for_json("pids")["pids"]["store"]
    assert running.stop() == 0
    assert not is_alive(pid)
    assert "[] the store did not stop within 0 s: killed" in running.err.read_text()


def test_a_second_signal_does_not_wait(supervise: Callable[..., Running]) -> None:
    running = supervise({"name": "store", "announces": {}, "ignores_term": True, "stop_s": 600})
    pid = running.wait_for_json("pids")["pids"]["store"]

    def ended_by_an_impatient_user() -> bool:
        # Two signals that arrive as one count as one.
        running.process.send_signal(signal.SIGINT)
        return running.process.poll() is not None

    wait_until(ended_by_an_impatient_user, "the supervisor ends long before its 600 s")
    assert running.process.returncode == 0
    assert not is_alive(pid)


def test_parts_do_not_outlive_a_supervisor_that_was_killed(
    supervise: Callable[..., Running], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    running = supervise(
        {"name": "store", "announces": {}, "log": str(log)}, {"name": "dashboard", "announces": {}}
    )
    pids = running.wait_for_json("pids")["pids"]
    running.process.kill()
    running.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids.values()), "the parts end")
    assert log.read_text() == "store SIGTERM\n", "the store had the time for a clean stop"


def test_what_a_part_started_ends_with_it(supervise: Callable[..., Running], tmp_path: Path) -> None:
    note = tmp_path / "pid"
    running = supervise({"name": "store", "announces": {}, "starts_another": str(note)})
    running.wait_for_json("pids")
    other = int(note.read_text())
    assert is_alive(other)
    assert running.stop() == 0
    wait_until(lambda: not is_alive(other), "the grandchild ends")


def test_errors_of_a_running_part_are_shown_with_its_name_and_chatter_is_not(
    supervise: Callable[..., Running],
) -> None:
    running = supervise(
        {"name": "store", "announces": {}, "stderr": ["careful"], "stdout": ["chatter"]},
        {"name": "demo", "announces": {}, "stdout": ["look at this"], "speaks": True},
    )
    running.wait_for_json("pids")
    wait_until(lambda: "[demo] look at this" in running.err.read_text(), "the demo's line")
    assert "[store] careful" in running.err.read_text()
    assert "chatter" not in running.err.read_text() + running.out.read_text()
