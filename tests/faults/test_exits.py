"""Rows 13-20 of the matrix: however a process ends, what was finished is there after the next start."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from faults.notes import config, emit
from faults.sink import Sink, hang, status
from promptspan._pipeline import Pipeline

TESTS = Path(__file__).resolve().parents[1]


def start(sink: Sink, spool: Path | None, end: str, count: int = 200, **more: Any) -> subprocess.Popen[bytes]:
    """A process that emits and ends."""
    plan = {"endpoint": sink.endpoint, "spool": str(spool or ""), "end": end, "count": count, **more}
    paths = [str(TESTS), str(TESTS.parent / "sdk")]
    return subprocess.Popen(
        [sys.executable, "-m", "faults.child", json.dumps(plan)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def ended(child: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit code, and seconds from "ready" to the end."""
    assert child.stdout is not None
    assert child.stderr is not None
    overdue = threading.Timer(60, child.kill)
    overdue.start()
    try:
        with child:
            assert child.stdout.readline() == b"ready\n", child.stderr.read()
            ready = time.monotonic()
            code = child.wait()
    finally:
        overdue.cancel()
    return code, time.monotonic() - ready


def replay(sink: Sink, spool: Path) -> Pipeline:
    """The next process, which sends what is left."""
    pipeline = Pipeline(config(sink.endpoint, spool))
    emit(pipeline, 0, 1, "next")
    assert sink.wait_for_spans(1)
    return pipeline


def settle(sink: Sink, spool: Path, expected: int) -> None:
    """After the next start every span must be there, once."""
    pipeline = replay(sink, spool)
    try:
        assert sink.wait_for_spans(expected + 1), len(sink.names())
        assert len(sink.names()) == expected + 1
        assert max(sink.names().values()) == 1
    finally:
        pipeline.shutdown(2)


ORDERLY = {"exit": 0, "exception": 1, "sigint": -signal.SIGINT, "sys.exit": 3}
ABRUPT = {
    "sigterm": -signal.SIGTERM,
    "sighup": -signal.SIGHUP,
    "sigkill": -signal.SIGKILL,
    "os._exit": 0,
}


@pytest.mark.parametrize(("end", "code"), (ORDERLY | ABRUPT).items())
def test_a_process_that_ends_while_the_backend_is_down_loses_nothing(
    sink: Sink, tmp_path: Path, end: str, code: int
) -> None:
    sink.stop()
    assert ended(start(sink, tmp_path, end))[0] == code
    sink.start()
    settle(sink, tmp_path, 200)


@pytest.mark.parametrize(("end", "code"), ORDERLY.items())
def test_an_orderly_end_delivers_at_once_what_it_has(sink: Sink, tmp_path: Path, end: str, code: int) -> None:
    # Lingers for a minute, so only the end itself can be what sends; and nobody waited for the spool either.
    child = start(sink, tmp_path, end, linger_s=60.0, wait=False)
    assert ended(child)[0] == code
    assert len(sink.names()) == 200
    assert not list(tmp_path.rglob("*.seg"))


@pytest.mark.parametrize(
    "mode", [hang, status(503), status(429, Retry_After="60")], ids=["hang", "503", "429"]
)
@pytest.mark.parametrize("spooled", [True, False])
def test_an_end_does_not_wait_for_a_backend_that_does_not_answer(
    sink: Sink, tmp_path: Path, mode: Any, spooled: bool
) -> None:
    sink.mode = mode
    _, seconds = ended(start(sink, tmp_path if spooled else None, "exit", wait=spooled))
    assert seconds < 10  # a request may take 30 s there, a pause 60 s
    if spooled:
        assert list(tmp_path.rglob("*.seg"))


def test_an_orderly_end_without_a_spool_delivers_too(sink: Sink) -> None:
    ended(start(sink, None, "exit", linger_s=60.0, wait=False))
    assert len(sink.names()) == 200


@pytest.mark.parametrize("end", ["emit at exit", "emit after our exit"])
def test_spans_of_exit_handlers_are_kept(sink: Sink, tmp_path: Path, end: str) -> None:
    ended(start(sink, tmp_path, end))
    settle(sink, tmp_path, 205)


def test_exec_leaves_the_spool_to_the_next_program(sink: Sink, tmp_path: Path) -> None:
    sink.stop()
    child = start(sink, tmp_path, "exec")
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    ended(child)
    sink.start()
    settle(sink, tmp_path, 201)


@pytest.mark.parametrize("backend_up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_sigkill_at_any_moment_loses_no_span_that_was_safe_and_leaves_no_hole(
    sink: Sink, tmp_path: Path, kills: int, backend_up: bool
) -> None:
    if not backend_up:
        sink.stop()
    dice = random.Random(kills)
    safe: dict[str, int] = {}
    for round_number in range(kills):
        prefix = f"r{round_number:03d}"
        child = start(sink, tmp_path, "killed while it emits", prefix=prefix)
        assert child.stdout is not None
        with child:
            said = [child.stdout.readline() for _ in range(dice.randrange(1, 120))]
            child.send_signal(signal.SIGKILL)
            said += child.stdout.readlines()
        safe[prefix] = max(int(line) for line in said if line.endswith(b"\n"))
    if not backend_up:
        sink.start()
    pipeline = replay(sink, tmp_path)
    try:
        assert sink.wait(
            lambda: all(len(stored(sink, prefix)) >= count for prefix, count in safe.items()), 60
        )
        for prefix in safe:
            numbers = stored(sink, prefix)
            assert numbers == set(range(len(numbers)))
        assert not set(pipeline.stats().adopted.dropped) - {"damaged"}
    finally:
        assert pipeline.shutdown(5)


def stored(sink: Sink, prefix: str) -> set[int]:
    """Numbers of the spans of one process."""
    return {int(name.split("-")[1]) for name in sink.names() if name.startswith(prefix)}


def test_the_orphan_of_a_dead_process_is_sent_by_a_living_one(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptspan._spool.RESCAN_S", 0.1)
    monkeypatch.setattr("promptspan._spool.Spool.rescan_s", 0.1)
    pipeline = replay(sink, tmp_path)
    try:
        child = start(sink, tmp_path, "sigkill", linger_s=60.0)
        ended(child)
        # Nothing more is emitted here: the living process looks by itself.
        assert sink.wait_for_spans(201)
        assert pipeline.stats().emitted == 1
    finally:
        pipeline.shutdown(2)
