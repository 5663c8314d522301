"""Notes as the recorder would leave them, and pipelines around a sink."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from promptspan._span import KIND_CLIENT, AttributeValue, FinishedSpan
from promptspan._transport_config import TransportConfig

if TYPE_CHECKING:
    from pathlib import Path

    from promptspan._pipeline import Pipeline
    from promptspan._stats import Stats, Tally


def finished(name: str, attributes: dict[str, AttributeValue] | None = None) -> FinishedSpan:
    """A span of a model call."""
    now = time.time_ns()
    if attributes is None:
        attributes = {"gen_ai.request.model": "gpt-x", "gen_ai.usage.input_tokens": 7}
    span_id = int.from_bytes(name.encode("utf-8", "replace")[-8:].rjust(8, b"\1"), "big")
    return FinishedSpan(
        name=name,
        kind=KIND_CLIENT,
        trace_id=span_id | 1 << 100,
        span_id=span_id,
        parent_span_id=0,
        trace_flags=1,
        trace_state="",
        start_unix_nano=now - 1_000_000,
        end_unix_nano=now,
        attributes=attributes,
    )


class SpanNote:
    """A note of a finished span."""

    def __init__(self, span: FinishedSpan, size_bytes: int = 500) -> None:
        self.span = span
        self.size_bytes = size_bytes

    def build(self) -> FinishedSpan | None:
        """The span."""
        return self.span


def config(endpoint: str, spool_dir: Path | None, **changes: Any) -> TransportConfig:
    """A quick configuration for tests: short pauses, no lingering."""
    settings: dict[str, Any] = {
        "endpoint": endpoint,
        "spool_dir": spool_dir,
        "resource": {"service.name": "faults"},
        "linger_s": 0.02,
        "retry_initial_s": 0.02,
        "retry_max_s": 0.2,
        "timeout_s": 5.0,
        "sdk_version": "0.0.test",
        **changes,
    }
    return TransportConfig(**settings)


def emit(pipeline: Pipeline, first: int, count: int, prefix: str = "span") -> None:
    """Submit spans with running numbers for names."""
    for number in range(first, first + count):
        pipeline.submit(SpanNote(finished(f"{prefix}-{number:06d}")))


def balanced(tally: Stats | Tally) -> bool:
    """Whether the ledger's sums agree."""
    return tally.emitted == tally.delivered + tally.spooled + tally.queued + tally.dropped_total


def wait_until_spooled(pipeline: Pipeline, timeout_s: float = 10.0) -> bool:
    """Wait until nothing waits in the queue any more."""
    deadline = time.monotonic() + timeout_s
    while pipeline.stats().queued:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def wait_until_taken(pipeline: Pipeline, timeout_s: float = 10.0) -> bool:
    """Wait until the writer has put away all that was emitted, on disk or in memory."""
    deadline = time.monotonic() + timeout_s
    ledger = pipeline._ledger  # pyright: ignore[reportPrivateUsage]
    while ledger._waiting() or ledger.own.places["hands"]:  # pyright: ignore[reportPrivateUsage]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
