"""Rows 25, 30 and 31 of the matrix: a spool that is full, broken, damaged or shared; a clock that jumps."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.notes import (
    SpanNote,
    balanced,
    config,
    emit,
    finished,
    wait_until_spooled,
    wait_until_taken,
)
from faults.sink import Sink, status
from promptspan._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable


def leave_behind(sink: Sink, spool: Path, count: int) -> list[Path]:
    """Spans of a process that could not send them; returns its segments."""
    sink.stop()
    pipeline = Pipeline(config(sink.endpoint, spool))
    emit(pipeline, 0, count, "before")
    assert not pipeline.shutdown(1)
    sink.start()
    return sorted(spool.rglob("*.seg"))


def take_up(sink: Sink, spool: Path) -> Pipeline:
    """The next process, when it has dealt with all that was left."""
    pipeline = Pipeline(config(sink.endpoint, spool))
    emit(pipeline, 0, 1, "next")
    assert sink.wait_for_spans(1)
    assert sink.wait(lambda: not list(spool.rglob("before*")) and settled(pipeline))
    return pipeline


def settled(pipeline: Pipeline) -> bool:
    """Whether nothing waits, of this process or of earlier ones."""
    stats = pipeline.stats()
    return not (stats.spooled or stats.queued or stats.adopted.spooled) and stats.adopted.emitted > 0


def numbers(sink: Sink) -> set[int]:
    """Numbers of the spans that the earlier process had left."""
    return {int(name.split("-")[1]) for name in sink.names() if name.startswith("before")}


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_byte_costs_one_span_at_most_and_is_counted(sink: Sink, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    (segment,) = leave_behind(sink, tmp_path, 60)
    data = bytearray(segment.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    segment.write_bytes(data)
    pipeline = take_up(sink, tmp_path)
    lost = set(range(60)) - numbers(sink)
    stats = pipeline.stats()
    assert len(lost) <= 1
    assert stats.adopted.dropped_total == len(lost)
    assert stats.adopted.delivered == 60 - len(lost)
    assert pipeline.shutdown(2)


def test_a_torn_end_costs_only_what_was_torn(sink: Sink, tmp_path: Path) -> None:
    (segment,) = leave_behind(sink, tmp_path, 60)
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) * 2 // 3])
    pipeline = take_up(sink, tmp_path)
    found = numbers(sink)
    assert found == set(range(len(found)))
    assert 30 < len(found) < 60
    assert dict(pipeline.stats().adopted.dropped) == {"damaged": 1}
    assert pipeline.shutdown(2)


@pytest.mark.parametrize("data", [b"", b"\0" * 10_000, os.urandom(10_000), b"\xf5PS\x01" * 3_000])
def test_a_file_of_rubbish_is_cleared_away_and_delays_nobody(sink: Sink, tmp_path: Path, data: bytes) -> None:
    leave_behind(sink, tmp_path, 20)
    lock = next(tmp_path.rglob("*.lock"))
    lock.with_name(f"{lock.stem}-000000.seg").write_bytes(data)
    pipeline = take_up(sink, tmp_path)
    assert numbers(sink) == set(range(20))
    assert pipeline.shutdown(2)
    assert not list(tmp_path.rglob("*.seg"))
    assert not list(tmp_path.rglob("*.lock"))


def test_a_full_spool_drops_the_oldest_and_counts_them_exactly(
    sink: Sink, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    sink.mode = status(503)
    pipeline = make_pipeline(spool_max_bytes=200_000)
    for block in range(50):
        for number in range(block * 20, block * 20 + 20):
            pipeline.submit(SpanNote(finished(f"span-{number:06d}", {"text": "x" * 500})))
        assert wait_until_spooled(pipeline)
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.seg")) <= 250_000
    dropped = pipeline.stats().dropped_total
    assert 300 < dropped < 900
    sink.start_over()
    assert pipeline.flush(20)
    stats = pipeline.stats()
    assert dict(stats.dropped) == {"spool_full": dropped}
    assert stats.delivered == len(sink.names()) == 1_000 - dropped
    newest = {f"span-{number:06d}" for number in range(900, 1_000)}
    assert newest <= set(sink.names())


def test_what_an_earlier_process_left_counts_for_the_size_and_goes_first(sink: Sink, tmp_path: Path) -> None:
    sink.stop()
    first = Pipeline(config(sink.endpoint, tmp_path, spool_max_bytes=200_000))
    for number in range(200):
        first.submit(SpanNote(finished(f"before-{number:06d}", {"text": "x" * 500})))
    first.shutdown(1)
    kept = first.stats().spooled
    second = Pipeline(config(sink.endpoint, tmp_path, spool_max_bytes=200_000))
    for block in range(10):
        for number in range(block * 20, block * 20 + 20):
            second.submit(SpanNote(finished(f"next-{number:06d}", {"text": "x" * 500})))
        assert wait_until_spooled(second)
    sink.start()
    assert second.flush(10)
    assert sink.wait(lambda: not second.stats().adopted.spooled)
    stats = second.stats()
    assert not stats.dropped
    assert stats.adopted.dropped["spool_full"] > 0
    assert second.shutdown(2)
    left = sum(name.startswith("before") for name in sink.names())
    assert left == stats.adopted.delivered == kept - stats.adopted.dropped_total


@pytest.mark.parametrize("spool", ["a file", "proc", "open to others"])
def test_a_folder_that_cannot_be_used_leaves_memory_and_is_said_once(
    sink: Sink,
    make_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spool: str,
) -> None:
    (tmp_path / "a file").write_text("in the way")
    place = {
        "a file": tmp_path / "a file",
        "proc": Path("/proc/promptspan"),
        "open to others": tmp_path / "open",
    }[spool]
    pipeline = make_pipeline(spool_dir=place)
    if spool == "open to others":
        emit(pipeline, 0, 1)
        assert pipeline.flush(5)
        pipeline.shutdown(1)
        next(place.iterdir()).chmod(0o777)
        pipeline = make_pipeline(spool_dir=place)
    sink.stop()
    emit(pipeline, 0, 100)
    emit(pipeline, 100, 100)
    assert pipeline.stats().queued == 200
    sink.start()
    assert pipeline.flush(10)
    assert pipeline.stats().delivered == 200
    assert sum("kept in memory" in record.getMessage() for record in caplog.records) == 1


def test_a_disk_that_takes_no_more_loses_nothing(sink: Sink, tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(60)
            # The kernel refuses what goes beyond, in the middle of a write too.
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
            pipeline = Pipeline(config(sink.endpoint, tmp_path))
            sink.mode = status(503)
            emit(pipeline, 0, 1_000)
            assert not pipeline.flush(0.5)
            stats = pipeline.stats()
            assert stats.spooled > 0
            assert stats.queued > 0
            assert stats.spooled + stats.queued == 1_000
            assert balanced(stats)
            code = 0
        finally:
            os._exit(code)
    sink.mode = status(503)
    assert sink.wait_for_attempts(2)
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_that_somebody_clears_costs_only_what_was_in_it(
    sink: Sink, make_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptspan._spool._DISK_RETRY_S", 0.05)
    sink.stop()
    pipeline = make_pipeline(spool_max_bytes=200_000)
    for block in range(5):
        emit(pipeline, block * 50, 50, "gone")
        assert wait_until_spooled(pipeline)
    shutil.rmtree(tmp_path / "spool")
    deadline = time.monotonic() + 10
    fresh = 0
    # Until a segment is full nobody notices; then spans wait in memory, then on disk again.
    while not list(tmp_path.rglob("*.seg")) and time.monotonic() < deadline:
        emit(pipeline, fresh, 50, "fresh")
        fresh += 50
        time.sleep(0.02)
    assert len(list(tmp_path.rglob("*.lock"))) == 1
    sink.start()
    assert pipeline.flush(20)
    stats = pipeline.stats()
    assert stats.emitted == 250 + fresh
    assert stats.delivered == len(sink.names()) == stats.emitted - stats.dropped_total
    assert set(stats.dropped) <= {"unreadable"}


def test_a_segment_that_cannot_be_opened_is_put_aside_and_delays_nobody(sink: Sink, tmp_path: Path) -> None:
    leave_behind(sink, tmp_path, 20)
    lock = next(tmp_path.rglob("*.lock"))
    lock.with_name(f"{lock.stem}-000000.seg").symlink_to("/etc/passwd")
    pipeline = take_up(sink, tmp_path)
    assert numbers(sink) == set(range(20))
    assert pipeline.shutdown(2)
    assert [path.suffix for path in tmp_path.rglob("*-*") if path.is_symlink()] == [".unreadable"]


def test_folder_and_files_are_for_their_user_alone(
    sink: Sink, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    sink.stop()
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert wait_until_spooled(pipeline)
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.parent.stat().st_mode & 0o777 for path in files} == {0o700}


def test_two_services_and_two_endpoints_never_share_a_folder(
    sink: Sink, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    sink.stop()
    emit(make_pipeline(), 0, 1)
    emit(make_pipeline(resource={"service.name": "other"}), 0, 1)
    emit(make_pipeline(endpoint="http://127.0.0.1:9"), 0, 1)
    emit(make_pipeline(resource={"service.name": "../../etc/../x/"}), 0, 1)
    assert sink.wait(lambda: len(list((tmp_path / "spool").glob("*"))) == 4)
    assert not [path for path in tmp_path.iterdir() if path.name != "spool"]


def test_two_processes_in_one_folder_send_each_span_once(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    first, second = make_pipeline(), make_pipeline()
    for block in range(20):
        emit(first, block * 50, 50, "one")
        emit(second, block * 50, 50, "two")
    assert first.flush(10)
    assert second.flush(10)
    assert len(sink.names()) == 2_000
    assert max(sink.names().values()) == 1
    assert first.stats().delivered == second.stats().delivered == 1_000
    assert first.stats().adopted.emitted == second.stats().adopted.emitted == 0


@pytest.mark.parametrize("step_s", [3600, -3600, 10 * 365 * 86_400])
def test_a_clock_that_jumps_changes_neither_retries_nor_replay(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    real, real_ns = time.time, time.time_ns
    sink.stop()
    first = Pipeline(config(sink.endpoint, tmp_path))
    emit(first, 0, 50, "before")
    assert wait_until_spooled(first)
    monkeypatch.setattr(time, "time", lambda: real() + step_s)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + step_s * 1_000_000_000)
    emit(first, 50, 50, "before")
    assert wait_until_spooled(first)
    first.shutdown(0)
    sink.start()
    second = take_up(sink, tmp_path)
    assert numbers(sink) == set(range(100))
    assert second.shutdown(2)


@pytest.mark.parametrize("seed", range(3))
def test_a_disk_that_fails_now_and_then_costs_nothing_and_sends_nothing_twice(
    sink: Sink,
    make_pipeline: Callable[..., Pipeline],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    dice = random.Random(seed)
    real_write, real_open = os.pwrite, os.open
    sick = threading.Event()
    sick.set()

    def write(fd: int, data: Any, offset: int) -> int:
        if sick.is_set() and dice.random() < 0.15:
            raise OSError(errno.EIO, "Input/output error")
        if sick.is_set() and dice.random() < 0.3 and len(data) > 1:
            data = data[: len(data) // 2]  # a short write is no error: the rest comes next
        return real_write(fd, data, offset)

    def create(path: Any, flags: int, mode: int = 0o777) -> int:
        if sick.is_set() and str(path).endswith(".seg") and flags & os.O_CREAT and dice.random() < 0.3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_open(path, flags, mode)

    monkeypatch.setattr("promptspan._spool._DISK_RETRY_S", 0.01)
    monkeypatch.setattr("promptspan._segment.os.pwrite", write)
    monkeypatch.setattr("promptspan._segment.os.open", create)
    sink.mode = status(503)
    pipeline = make_pipeline(spool_max_bytes=4_000_000)
    # Segments that hold a few spans, so that one append goes over several of them.
    pipeline._store._segment_bytes = 4_096  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    for block in range(30):
        emit(pipeline, block * 50, 50)
        time.sleep(0.005)
    assert wait_until_taken(pipeline)
    stats = pipeline.stats()
    assert stats.spooled > 0
    assert stats.queued > 0
    sick.clear()
    sink.start_over()
    assert pipeline.flush(20)
    assert dict(sink.names()) == {f"span-{number:06d}": 1 for number in range(1_500)}
    assert (pipeline.stats().delivered, pipeline.stats().dropped_total) == (1_500, 0)


FILLED = """
import json, subprocess, sys, time
from pathlib import Path
from faults.notes import balanced, config, emit, finished, SpanNote, wait_until_taken
from promptspan import _spool
from promptspan._pipeline import Pipeline

_spool._DISK_RETRY_S = 0.05
place = Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k,mode=700,ro", "tmpfs", place], check=True)
pipeline = Pipeline(config(sys.argv[1], place))

def facts():
    assert wait_until_taken(pipeline)
    stats = pipeline.stats()
    assert balanced(stats)
    return [stats.spooled, stats.queued, stats.dropped_total]

emit(pipeline, 0, 100)
read_only = facts()
subprocess.run(["mount", "-o", "remount,rw", place], check=True)
time.sleep(0.06)
emit(pipeline, 100, 2_000)
full = facts()
print(json.dumps([read_only, full]), flush=True)
sys.stdin.readline()
assert pipeline.flush(20)
print(json.dumps(facts()), flush=True)
"""


def test_a_real_disk_that_is_read_only_and_then_full_loses_nothing(sink: Sink, tmp_path: Path) -> None:
    """A file system of 200 KB, in a namespace of the process's own."""
    allowed = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("this user may not make a mount namespace")
    tests = Path(__file__).resolve().parents[1]
    sink.mode = status(503)
    child = subprocess.Popen(
        ["unshare", "-rm", sys.executable, "-c", FILLED, sink.endpoint, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent / "sdk")])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        read_only, full = json.loads(child.stdout.readline())
        assert read_only == [0, 100, 0]
        assert full[0] > 100
        assert full[1] > 100
        assert [sum(full), full[2]] == [2_100, 0]
        sink.start_over()
        child.stdin.write("go\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == [0, 0, 0]
    assert child.returncode == 0
    assert len(sink.names()) == 2_100
    assert max(sink.names().values()) == 1
