from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.notes import balanced, config, emit, finished
from faults.sink import Sink, ok, status
from promptspan._pipeline import Pipeline
from promptspan._stats import Ledger
from promptspan._transport_config import TransportConfig, default_spool_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan._span import FinishedSpan

SDK = Path(__file__).resolve().parents[2] / "sdk"


def own_threads() -> list[str]:
    """Names of the threads that a pipeline has started."""
    names = ("promptspan-writer", "promptspan-sender")
    return [thread.name for thread in threading.enumerate() if thread.name in names]


def test_making_a_pipeline_starts_and_opens_nothing(sink: Sink, tmp_path: Path) -> None:
    before, files = own_threads(), list(Path("/proc/self/fd").iterdir())
    pipeline = Pipeline(config(sink.endpoint, tmp_path / "spool"))
    assert own_threads() == before
    assert not (tmp_path / "spool").exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(files)
    assert pipeline.flush(1)
    assert pipeline.shutdown(1)
    assert own_threads() == before


def test_importing_the_pipeline_loads_no_heavy_module_and_starts_no_thread() -> None:
    heavy = ["http.client", "requests", "ssl", "google.protobuf", "opentelemetry.sdk", "email"]
    code = (
        "import sys, threading; import promptspan._pipeline; "
        f"print([name for name in {heavy!r} if name in sys.modules], threading.active_count())"
    )
    paths = [str(SDK), *(path for path in sys.path if path.endswith("site-packages"))]
    found = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "[] 1\n"


def test_threads_end_with_the_pipeline(sink: Sink, tmp_path: Path) -> None:
    before = own_threads()
    pipeline = Pipeline(config(sink.endpoint, tmp_path))
    emit(pipeline, 0, 10)
    assert len(own_threads()) == len(before) + 2
    assert pipeline.shutdown(5)
    assert sink.wait(lambda: own_threads() == before)
    assert len(sink.names()) == 10


def test_spans_after_the_shutdown_are_counted_as_lost(sink: Sink, tmp_path: Path) -> None:
    pipeline = Pipeline(config(sink.endpoint, tmp_path))
    emit(pipeline, 0, 5)
    assert pipeline.shutdown(5)
    emit(pipeline, 5, 3)
    stats = pipeline.stats()
    assert (stats.emitted, stats.delivered, dict(stats.dropped)) == (8, 5, {"shutdown": 3})
    assert pipeline.shutdown(1)
    assert pipeline.flush(1)


def test_a_flush_after_the_end_does_not_wait_for_threads_that_are_gone(sink: Sink, tmp_path: Path) -> None:
    sink.stop()
    pipeline = Pipeline(config(sink.endpoint, tmp_path))
    emit(pipeline, 0, 5)
    assert not pipeline.shutdown(1)
    assert sink.wait(lambda: not own_threads())
    start = time.monotonic()
    assert not pipeline.flush(300)
    assert not pipeline.shutdown(300)
    assert time.monotonic() - start < 100


def test_a_pipeline_that_is_shut_down_unused_stays_quiet(sink: Sink, tmp_path: Path) -> None:
    pipeline = Pipeline(config(sink.endpoint, tmp_path / "spool"))
    assert pipeline.shutdown(1)
    emit(pipeline, 0, 2)
    assert dict(pipeline.stats().dropped) == {"shutdown": 2}
    assert not (tmp_path / "spool").exists()


def test_submit_never_raises(
    make_pipeline: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline()
    pipeline.submit(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert "could not be handed over" in caplog.text
    emit(pipeline, 0, 1)
    assert pipeline.flush(5)


class Blocking:
    """A note that takes as long as it is told."""

    size_bytes = 1_000

    def __init__(self, go: threading.Event) -> None:
        self.go = go

    def build(self) -> FinishedSpan | None:
        """The span, at last."""
        assert self.go.wait(20)
        return finished("slow")


def test_a_full_queue_turns_the_newest_away_and_counts_them(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    go = threading.Event()
    pipeline = make_pipeline(queue_max_bytes=50_000)
    pipeline.submit(Blocking(go))
    deadline = time.monotonic() + 5
    while pipeline._queue and time.monotonic() < deadline:  # pyright: ignore[reportPrivateUsage]
        time.sleep(0.001)
    emit(pipeline, 0, 500)  # 500 bytes each: a hundred fit
    stats = pipeline.stats()
    assert stats.emitted == 501
    assert balanced(stats)
    go.set()
    assert pipeline.flush(10)
    stats = pipeline.stats()
    assert dict(stats.dropped) == {"queue_full": 400}
    assert stats.delivered == 101
    assert {f"span-{number:06d}" for number in range(100)} <= set(sink.names())
    # And the room is there again.
    emit(pipeline, 1_000, 100)
    assert pipeline.flush(10)
    assert pipeline.stats().delivered == 201


def test_a_note_without_a_span_leaves_no_trace(make_pipeline: Callable[..., Pipeline]) -> None:
    class Empty:
        size_bytes = 1

        def build(self) -> None:
            return None

    pipeline = make_pipeline()
    pipeline.submit(Empty())
    emit(pipeline, 0, 1)
    assert pipeline.flush(5)
    assert (pipeline.stats().emitted, pipeline.stats().delivered) == (1, 1)


def test_the_ledger_agrees_at_any_moment_under_load(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline(queue_max_bytes=200_000)
    stop = threading.Event()
    odd: list[object] = []

    def watch() -> None:
        while not stop.is_set():
            stats = pipeline.stats()
            if not balanced(stats):
                odd.append(stats)

    def produce(which: int) -> None:
        for block in range(40):
            emit(pipeline, block * 50, 50, f"p{which}")
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    producers = [threading.Thread(target=produce, args=(which,)) for which in range(4)]
    for thread in (watcher, *producers):
        thread.start()
    for thread in producers:
        thread.join()
    flushed = pipeline.flush(20)
    stop.set()
    watcher.join()
    assert flushed
    assert not odd
    stats = pipeline.stats()
    assert stats.emitted == 8_000
    assert stats.delivered == len(sink.names()) == 8_000 - stats.dropped_total


def test_a_flush_is_a_promise_about_what_came_before(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline(linger_s=60.0)
    emit(pipeline, 0, 5)
    assert pipeline.flush(10)
    assert len(sink.names()) == 5
    sink.mode = status(503)
    emit(pipeline, 5, 5)
    assert not pipeline.flush(0.2)
    sink.mode = ok
    assert pipeline.flush(10)
    assert len(sink.names()) == 10


def test_a_submit_from_within_a_build_or_a_log_handler_does_not_hang(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline()

    class Nested:
        size_bytes = 1

        def build(self) -> FinishedSpan:
            emit(pipeline, 0, 1, "inner")
            pipeline.stats()
            return finished("outer")

    pipeline.submit(Nested())
    assert sink.wait_for_spans(2)


def test_the_mirror_sees_each_span_and_cannot_do_harm(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    seen: list[str] = []

    def mirror(span: FinishedSpan) -> None:
        seen.append(span.name)
        if span.name == "span-000001":
            raise SystemExit(1)

    pipeline = make_pipeline(mirror=mirror)
    emit(pipeline, 0, 1)
    assert pipeline.flush(5)
    emit(pipeline, 1, 1)
    assert pipeline.flush(5)
    emit(pipeline, 2, 1)
    assert pipeline.flush(5)
    assert sink.wait(lambda: len(seen) == 3)
    assert pipeline.stats().delivered == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hands", "memory", "disk"]),
            st.sampled_from(["memory", "disk", "delivered", "drop"]),
            st.integers(0, 9),
        ),
        max_size=30,
    )
)
@settings(max_examples=50)
def test_no_sequence_of_moves_upsets_the_ledger(moves: list[tuple[str, str, int]]) -> None:
    ledger = Ledger(lambda: 3)
    for source, target, count in moves:
        ledger.own.enter(count, source)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        if target == "drop":
            ledger.own.drop(count, source, "because")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        else:
            ledger.own.move(count, source, target)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stats = ledger.stats()
    assert balanced(stats)
    assert stats.emitted == 3 + sum(count for _, _, count in moves)


def test_the_spool_is_where_the_user_keeps_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert default_spool_dir() == Path("/somewhere/promptspan/spool")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert TransportConfig().spool_dir == Path("/home/me/.local/state/promptspan/spool")


def test_an_endpoint_that_is_no_url_is_refused_when_configured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an http"):
        Pipeline(config("localhost:4318", tmp_path))
