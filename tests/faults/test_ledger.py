"""Any sequence of trouble: the ledger agrees at every moment, and in the end with what the receiver has."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faults.notes import SpanNote, balanced, config, finished, wait_until_taken
from faults.sink import Sink, html, lose_reply, ok, refuse_poison, status
from promptspan._pipeline import Pipeline

MODES = {"ok": ok, "503": status(503), "401": status(401), "html": html, "lost reply": lose_reply}


class Trouble(RuleBasedStateMachine):
    """Processes that come after one another, with one spool and one receiver."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.sink = Sink()
        self.up = False
        self.repeats = False
        self.number = 0
        self.emitted = self.lost = 0
        self.pipeline: Pipeline | None = None

    @initialize(spooled=st.booleans())
    def start(self, spooled: bool) -> None:
        self.spool = Path(self.directory.name) if spooled else None
        self.open()

    def open(self) -> None:
        limits: dict[str, Any] = {"spool_max_bytes": 100_000, "queue_max_bytes": 50_000}
        self.pipeline = Pipeline(config(self.sink.endpoint, self.spool, **limits))

    @rule(count=st.integers(1, 60), size=st.sampled_from([10, 2_000]))
    def emit(self, count: int, size: int) -> None:
        assert self.pipeline is not None
        for _ in range(count):
            span = finished(f"span-{self.number:06d}", {"text": "x" * size})
            self.pipeline.submit(SpanNote(span, 300 + size))
            self.number += 1

    @rule()
    def poison(self) -> None:
        if self.sink.mode is ok:
            self.sink.mode = refuse_poison
        assert self.pipeline is not None
        self.pipeline.submit(SpanNote(finished(f"poison-{self.number:06d}"), 400))
        self.number += 1

    @rule(mode=st.sampled_from(sorted(MODES)))
    def receiver(self, mode: str) -> None:
        self.sink.mode = MODES[mode]
        self.repeats |= mode == "lost reply"

    @precondition(lambda self: self.up)
    @rule()
    def receiver_goes(self) -> None:
        self.sink.stop()
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def receiver_comes(self) -> None:
        self.sink.start()
        self.up = True

    @rule()
    def flush(self) -> None:
        assert self.pipeline is not None
        self.pipeline.flush(0.05)

    @rule()
    def writer_rests(self) -> None:
        assert self.pipeline is not None
        assert wait_until_taken(self.pipeline)

    @rule()
    def next_process(self) -> None:
        self.close()
        self.open()

    @invariant()
    def ledger_agrees(self) -> None:
        if self.pipeline is not None:
            stats = self.pipeline.stats()
            assert balanced(stats), stats
            assert balanced(stats.adopted), stats

    def close(self) -> None:
        assert self.pipeline is not None
        self.pipeline.shutdown(0.3)
        sender = self.pipeline._sender  # pyright: ignore[reportPrivateUsage]
        if sender is not None:
            sender.join(10)
        stats = self.pipeline.stats()
        assert stats.queued == 0, stats
        self.emitted += stats.emitted
        self.lost += stats.dropped_total + stats.adopted.dropped_total

    def teardown(self) -> None:
        try:
            if self.pipeline is not None:
                self.settle()
        finally:
            self.sink.stop()
            self.directory.cleanup()

    def settle(self) -> None:
        """The receiver takes everything again; then all that was emitted is there, or counted as lost."""
        self.sink.mode = refuse_poison
        if not self.up:
            self.sink.start()
        self.close()
        self.open()
        self.emit(1, 10)
        assert self.pipeline is not None
        pipeline = self.pipeline
        assert pipeline.flush(20)
        assert self.sink.wait(lambda: not pipeline.stats().adopted.spooled and self.nothing_left(), 20)
        self.close()
        assert self.emitted == self.number
        stored = len(self.sink.names())
        if self.repeats:  # what the receiver has and did not say may be counted as lost later
            assert self.emitted - self.lost <= stored <= self.emitted
        else:
            assert stored == self.emitted - self.lost
            assert not self.sink.names() or max(self.sink.names().values()) == 1

    def nothing_left(self) -> bool:
        orphans = list(Path(self.directory.name).rglob("*.lock"))
        return len(orphans) <= 1


@pytest.mark.parametrize("examples", [12, pytest.param(150, marks=pytest.mark.long)])
def test_no_sequence_of_trouble_loses_a_span_that_is_not_counted(examples: int) -> None:
    machine: Any = Trouble.TestCase
    machine.settings = settings(max_examples=examples, stateful_step_count=15, deadline=None)
    machine("runTest").runTest()
