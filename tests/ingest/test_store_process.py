from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from ingest.otlp import logs, traces
from ingest.store_process import Running, kill_left, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator
    from pathlib import Path

PROTOBUF = {"content-type": "application/x-protobuf"}
# Enough for every run of the tests; `tests/e2e/test_kill.py` does twenty.


@pytest.fixture(autouse=True)
def nothing_left() -> Generator[None]:
    yield
    kill_left()


def refused(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_what_it_accepted(tmp_path: Path, by: signal.Signals) -> None:
    running = Running(tmp_path)
    with httpx.Client(base_url=running.otlp, timeout=30, trust_env=False) as http:
        assert http.post("/v1/traces", content=traces(1, 2, 3), headers=PROTOBUF).status_code == 200
        assert http.post("/v1/logs", content=logs("a"), headers=PROTOBUF).status_code == 200
    assert running.select("SELECT count() FROM spans") == "3"
    assert running.stop(by) == (0, "")
    again = Running(tmp_path)
    assert again.select("SELECT count() FROM spans") == "3"
    assert again.stop()[0] == 0


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    running = Running(tmp_path)
    acknowledged: list[int] = []
    stopping = threading.Event()

    def send(first: int) -> None:
        with httpx.Client(base_url=running.otlp, timeout=30, trust_env=False) as http:
            number = first
            while not stopping.is_set():
                number += 1
                try:
                    status = http.post("/v1/traces", content=traces(number), headers=PROTOBUF).status_code
                except httpx.TransportError:
                    return
                if status != 200:
                    assert status == 503
                    return
                acknowledged.append(number)

    senders = [threading.Thread(target=send, args=(number << 32,)) for number in range(1, 5)]
    for sender in senders:
        sender.start()
    while len(acknowledged) < 20:
        time.sleep(0.01)
        assert any(sender.is_alive() for sender in senders)
    code, said = running.stop()
    stopping.set()
    for sender in senders:
        sender.join(30)
    assert (code, said) == (0, "")
    again = Running(tmp_path)
    found = {int(line, 16) for line in again.select("SELECT DISTINCT span_id FROM spans").split()}
    assert set(acknowledged) <= found
    assert again.stop()[0] == 0


def test_a_query_that_would_run_for_ever_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    running = Running(tmp_path)
    codes: list[str] = []

    def ask() -> None:
        sql = "SELECT sum(sipHash64(number)) FROM system.numbers"
        answer = httpx.post(running.clickhouse, content=sql, timeout=60, trust_env=False)
        codes.append(answer.headers["x-clickhouse-exception-code"])

    thread = threading.Thread(target=ask)
    thread.start()
    while running.select("SELECT count() FROM system.processes") != "2":
        time.sleep(0.02)
    assert running.stop()[0] == 0
    thread.join(30)
    assert codes == ["394"]


def test_a_second_start_on_the_same_directory_says_who_has_it(tmp_path: Path) -> None:
    running = Running(tmp_path)
    said = refused(start(tmp_path))
    assert str(tmp_path) in said
    assert f"process {running.process.pid}" in said
    assert running.select("SELECT 1") == "1"
    assert running.stop()[0] == 0


@pytest.mark.parametrize("option", ["--clickhouse-port", "--otlp-port", "--otlp-grpc-port"])
def test_a_port_in_use_is_one_line(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(start(tmp_path, f"{option}={port}"))
    assert str(port) in said


def test_an_address_beyond_this_machine_needs_a_token(tmp_path: Path) -> None:
    assert "token" in refused(start(tmp_path, "--host=0.0.0.0"))
    assert "PROMPTSPAN_TOKEN is not set" in refused(start(tmp_path, "--token-env=PROMPTSPAN_TOKEN"))
    running = Running(
        tmp_path, "--host=0.0.0.0", "--token-env=PROMPTSPAN_TOKEN", env={"PROMPTSPAN_TOKEN": "secret"}
    )
    assert httpx.post(running.clickhouse, content="SELECT 1", trust_env=False).status_code == 401
    assert (
        httpx.post(f"{running.otlp}/v1/traces", content=b"", headers=PROTOBUF, trust_env=False).status_code
        == 401
    )
    auth = ("reader", "secret")
    assert httpx.post(running.clickhouse, content="SELECT 1", auth=auth, trust_env=False).text == "1\n"
    assert running.stop()[0] == 0


def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refused(start(tmp_path / "file"))


def test_with_fsync_an_insert_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    running = Running(tmp_path, "--fsync")
    assert (
        httpx.post(
            f"{running.otlp}/v1/traces", content=traces(1), headers=PROTOBUF, trust_env=False
        ).status_code
        == 200
    )
    # Each file of each part, and its directory.
    assert (
        int(
            running.select(
                "SELECT sum(value) FROM system.events WHERE event IN ('FileSync', 'DirectorySync')"
            )
        )
        > 10
    )
    assert running.stop()[0] == 0
