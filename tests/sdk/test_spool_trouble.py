"""A spool that waits says why, also where nothing more is written to it."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from promptspan._pipeline import Pipeline
from promptspan._span import KIND_CLIENT, NOTHING_SHARED, STATUS_OK, FinishedSpan
from promptspan._spool_report import waiting_in
from promptspan._transport_config import TransportConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _OneCall:
    size_bytes = 100

    def build(self) -> FinishedSpan:
        now = time.time_ns()
        ids = (1, 2, 0, 1)
        return FinishedSpan("chat", KIND_CLIENT, *ids, "", now, now, {}, [], STATUS_OK, "", NOTHING_SHARED)


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_one_span_that_waits_is_enough_to_know_which_endpoint_fails_why_and_since_when(
    tmp_path: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        before = time.time()
        pipeline = Pipeline(TransportConfig(endpoint=f"http://user:pass@{host}", spool_dir=tmp_path))
        try:
            pipeline.submit(_OneCall())
            _until(lambda: pipeline.stats().last_error is not None, "the sender has tried")
            stats = pipeline.stats()
            assert stats.endpoint == f"http://{host}/v1/traces"
            assert stats.failing_since is not None
            assert before <= stats.failing_since <= time.time()
            said = f"http://{host}/v1/traces: {stats.last_error}, since 20".encode()
            _until(lambda: any(said in folder.resource for folder in waiting_in(tmp_path)), "told on disk")
        finally:
            pipeline.shutdown(0.1)
    (left,) = waiting_in(tmp_path)
    assert left.spans == 1
    assert said in left.resource  # also when the process has ended
    assert b"user:pass" not in left.resource
