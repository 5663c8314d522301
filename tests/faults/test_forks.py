"""Rows 21 and 22 of the matrix: children of a process with a pipeline work, never hang, repeat nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import pytest

import promptspan
from faults.notes import balanced, config, emit
from faults.sink import Sink, hang, ok
from faults.workers import PIPELINE, pool_initialiser, work_in_pool
from promptspan._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Python 3.12 warns of any fork in a process with threads; being safe there is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(work: Callable[[], None]) -> int:
    """Fork, work and leave without any exit handler; returns the child's id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(60)  # a hang ends as a failure
        work()
        code = 0
    finally:
        os._exit(code)


def joined(child: int) -> int:
    """The child's exit status."""
    return os.waitpid(child, 0)[1]


def safe(pipeline: Pipeline) -> None:
    """Wait until all is on disk or delivered."""
    while pipeline.stats().queued:
        time.sleep(0.001)


@pytest.mark.parametrize("spooled", [True, False])
def test_a_forked_child_sends_its_own_spans_and_none_of_its_parents(
    sink: Sink, make_pipeline: Callable[..., Pipeline], tmp_path: Path, spooled: bool
) -> None:
    pipeline = make_pipeline(spool_dir=tmp_path / "spool" if spooled else None)
    emit(pipeline, 0, 300, "parent")  # still in the queue at the fork, in part

    def work() -> None:
        assert pipeline.stats().emitted == 0
        emit(pipeline, 0, 7, "child")
        assert pipeline.flush(20)
        assert balanced(pipeline.stats())

    assert joined(in_child(work)) == 0
    emit(pipeline, 300, 10, "parent")
    assert pipeline.flush(10)
    assert sink.wait_for_spans(317)
    assert max(sink.names().values()) == 1
    assert pipeline.stats().delivered == 310


def test_a_child_that_leaves_abruptly_leaves_its_spans_to_others(
    sink: Sink, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    sink.mode = hang
    pipeline = make_pipeline(timeout_s=0.3)
    emit(pipeline, 0, 20, "parent")

    def work() -> None:
        emit(pipeline, 0, 20, "child")
        safe(pipeline)

    assert joined(in_child(work)) == 0
    sink.mode = ok
    assert pipeline.flush(10)
    pipeline.shutdown(2)
    again = Pipeline(config(sink.endpoint, tmp_path / "spool"))
    emit(again, 0, 1, "again")
    assert sink.wait_for_spans(41)
    assert again.shutdown(2)
    assert len(sink.names()) == 41
    assert max(sink.names().values()) == 1


def test_a_lock_is_free_when_the_parent_is_gone_and_its_child_lives(sink: Sink, tmp_path: Path) -> None:
    sink.stop()
    reading, writing = os.pipe()
    alive = os.pipe()

    def parent() -> None:
        pipeline = Pipeline(config(sink.endpoint, tmp_path))
        emit(pipeline, 0, 10, "parent")
        safe(pipeline)
        in_child(lambda: linger(reading, writing, alive[1]))
        os.read(alive[0], 1)

    assert joined(in_child(parent)) == 0
    sink.start()
    pipeline = Pipeline(config(sink.endpoint, tmp_path))
    emit(pipeline, 0, 1, "next")
    try:
        assert sink.wait_for_spans(11)
    finally:
        os.close(writing)  # lets the grandchild go
        for fd in (reading, *alive):
            os.close(fd)
        pipeline.shutdown(2)


def linger(reading: int, writing: int, alive: int) -> None:
    """Live until the other end is closed."""
    os.close(writing)
    os.write(alive, b"!")
    os.read(reading, 1)


def test_fork_at_any_moment_hangs_nobody(sink: Sink, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    stop = threading.Event()
    emitted = [0, 0]

    def busy(which: int) -> None:
        while not stop.is_set():
            emit(pipeline, emitted[which], 20, f"busy{which}")
            emitted[which] += 20
            time.sleep(0.001)

    threads = [threading.Thread(target=busy, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        for number in range(25):

            def work(number: int = number) -> None:
                emit(pipeline, 0, 3, f"child{number}")
                assert pipeline.flush(20)

            assert joined(in_child(work)) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert pipeline.flush(20)
    assert sink.wait_for_spans(75 + sum(emitted))
    assert max(sink.names().values()) == 1


@pytest.mark.parametrize("forks", [25, pytest.param(1_000, marks=pytest.mark.long)])
def test_many_children_that_leave_abruptly_lose_nothing(sink: Sink, tmp_path: Path, forks: int) -> None:
    pipeline = Pipeline(config(sink.endpoint, tmp_path))
    emit(pipeline, 0, 10, "parent")
    assert pipeline.flush(10)
    for number in range(forks):

        def work(number: int = number) -> None:
            emit(pipeline, 0, 2, f"child{number}")
            safe(pipeline)

        assert joined(in_child(work)) == 0
    pipeline.shutdown(5)
    again = Pipeline(config(sink.endpoint, tmp_path))
    emit(again, 0, 1, "again")
    assert sink.wait_for_spans(11 + 2 * forks, 60)
    assert again.shutdown(5)
    assert len(sink.names()) == 11 + 2 * forks
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.parametrize("spooled", [True, False])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_deliver_what_they_emitted_last(
    sink: Sink, tmp_path: Path, method: str, spooled: bool
) -> None:
    spool = tmp_path if spooled else None
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with context.Pool(2, pool_initialiser, (sink.endpoint, spool)) as pool:
            assert sorted(pool.map(work_in_pool, range(20), chunksize=1)) == list(range(20))
            pool.close()
            pool.join()
    assert len(sink.names()) == 200
    assert max(sink.names().values()) == 1


def test_workers_forked_from_a_configured_parent_deliver(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline(linger_s=60.0)
    emit(pipeline, 0, 5, "parent")
    PIPELINE[:] = [pipeline]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        assert sorted(pool.map(work_in_pool, range(20))) == list(range(20))
    assert pipeline.flush(10)
    assert len(sink.names()) == 205
    assert max(sink.names().values()) == 1


def test_orphans_are_adopted_once_when_several_processes_start_at_the_same_moment(
    sink: Sink, tmp_path: Path
) -> None:
    sink.stop()
    for number in range(6):

        def die(number: int = number) -> None:
            pipeline = Pipeline(config(sink.endpoint, tmp_path))
            emit(pipeline, 0, 100, f"dead{number}")
            safe(pipeline)

        assert joined(in_child(die)) == 0
    sink.start()
    left = list(tmp_path.rglob("*.seg"))
    assert len(left) == 6
    reading, writing = os.pipe()

    def start(number: int) -> None:
        os.close(writing)
        os.read(reading, 1)  # all at once
        pipeline = Pipeline(config(sink.endpoint, tmp_path))
        emit(pipeline, 0, 1, f"live{number}")
        assert pipeline.flush(20)
        deadline = time.monotonic() + 20
        while any(path.exists() for path in left) and time.monotonic() < deadline:
            time.sleep(0.01)
        pipeline.shutdown(2)

    children = [in_child(lambda number=number: start(number)) for number in range(5)]
    os.close(writing)
    os.close(reading)
    assert [joined(child) for child in children] == [0] * 5
    assert len(sink.names()) == 605
    assert max(sink.names().values()) == 1
    assert not list(tmp_path.rglob("*.lock"))


def test_workers_of_a_server_that_loads_the_application_first_send_what_they_serve(
    sink: Sink, tmp_path: Path
) -> None:
    """As gunicorn does it: configured and used before the fork, workers killed and started anew."""
    promptspan.configure(service_name="preload", endpoint=sink.endpoint, spool=tmp_path)
    try:

        @promptspan.traced_prompt(name="served")
        def serve(number: int) -> int:
            return number

        serve(0)
        assert promptspan.flush(10)

        def work() -> None:
            assert promptspan.stats().emitted == 0
            for number in range(50):
                serve(number)
            while promptspan.stats().queued:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGKILL)

        def work_to_the_end() -> None:
            for number in range(50):
                serve(number)
            assert promptspan.shutdown(10)

        assert [joined(in_child(work)) for _ in range(3)] == [signal.SIGKILL] * 3
        assert [joined(in_child(work_to_the_end)) for _ in range(2)] == [0] * 2
        serve(1)
        assert promptspan.flush(10)
        assert sink.wait(lambda: ids(sink).total() >= 252), ids(sink).total()
        assert promptspan.stats().emitted == promptspan.stats().delivered == 2
    finally:
        promptspan.shutdown(10)
    assert ids(sink).total() == 252
    assert max(ids(sink).values()) == 1  # no process repeats another's span, nor another's random numbers


def ids(sink: Sink) -> Counter[bytes]:
    """How often each span was stored, by its id."""
    return Counter(
        span.span_id
        for received in sink.accepted
        for resource in received.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )
