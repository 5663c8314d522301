"""The store goes away under load and comes back: nothing is lost, nothing is there twice."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

import promptspan
from e2e.running import Store, start_store, until
from promptspan import traced_prompt

if TYPE_CHECKING:
    from pathlib import Path

# The full length is ten minutes: PROMPTSPAN_TEST_DOWN_S=600.
LONG_S = float(os.environ.get("PROMPTSPAN_TEST_DOWN_S", "60"))


@pytest.mark.long
@pytest.mark.parametrize(("down_s", "pace_s"), [(3, 0.005), (LONG_S, 0.01)], ids=["short", "long"])
def test_calls_made_while_the_store_is_down_are_all_there_once_when_it_is_back(
    tmp_path: Path, down_s: float, pace_s: float
) -> None:
    running = start_store(tmp_path / "data")
    port = Store(running).otlp_port
    promptspan.configure(service_name="load", endpoint=f"http://127.0.0.1:{port}", spool=tmp_path / "spool")
    calls = 0
    enough = threading.Event()

    @traced_prompt(prompt="down", version="1")
    def call(number: int) -> int:
        return number

    def work() -> None:
        nonlocal calls
        while not enough.wait(pace_s):
            call(calls)
            calls += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        until(lambda: Store(running).value("SELECT count() FROM llm_calls") > 0, "the first calls")
        running.kill()
        before = calls
        time.sleep(down_s)  # how long it is down is what varies
        assert calls > before
        running = start_store(tmp_path / "data", otlp_port=port)
        until(lambda: Store(running).value("SELECT count() FROM llm_calls") > before, "calls after the start")
    finally:
        enough.set()
        worker.join()
        # What gathered meanwhile takes a while, beside whatever else runs here.
        assert promptspan.flush(60 + down_s)
        promptspan.shutdown()
    store = Store(running)
    assert store.rows("SELECT count(), uniqExact(span_id) FROM llm_calls FINAL") == [(calls, calls)]
    assert running.stop() == 0
