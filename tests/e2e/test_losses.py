"""The SDK in trouble, the real store behind it: nothing counts twice, and what is lost is seen everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promptspan
from e2e.gate import Gate
from e2e.running import until
from faults.notes import SpanNote, config, finished
from faults.sink import refuse_poison, running_sink
from promptspan import current_span, traced_prompt
from promptspan._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Generator

    from e2e.running import Store


@traced_prompt(name="losing", version="1")
def ask(note: str = "") -> dict[str, Any]:
    if note:
        current_span().set_attribute("note", note)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100},
    }


@contextmanager
def sending(gate: Gate, spool: Path, **options: Any) -> Generator[str]:
    """The SDK under a service name of its own."""
    service = f"losing-{uuid.uuid4().hex[:8]}"
    promptspan.configure(service_name=service, endpoint=gate.endpoint, spool=spool, **options)
    try:
        yield service
    finally:
        promptspan.shutdown(10)


def doctor(store: Store, spool: Path) -> dict[str, list[str]]:
    """What `promptspan doctor` says, by check."""
    command = [
        str(Path(sys.executable).with_name("promptspan")),
        "doctor",
        f"--dsn=http://127.0.0.1:{store.clickhouse_port}/default",
        f"--endpoint={store.endpoint}",
        f"--spool={spool}",
        "--format=json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said: dict[str, list[str]] = {}
    for check in json.loads(done.stdout)["checks"]:
        said.setdefault(check["check"], []).append(f"{check['status']} {check['detail']}")
    return said


def refused(spool: Path) -> None:
    """Another service of this machine, one of whose spans its receiver refuses."""
    with running_sink() as sink:
        sink.mode = refuse_poison
        pipeline = Pipeline(config(sink.endpoint, spool))
        for name in ("fine-1", "poison-1", "fine-2"):
            pipeline.submit(SpanNote(finished(name)))
        assert pipeline.flush(10)
        assert pipeline.shutdown(5)


def test_calls_whose_acknowledgement_is_lost_are_stored_and_billed_once(store: Store, tmp_path: Path) -> None:
    with Gate(store.otlp_port) as gate, sending(gate, tmp_path) as service:
        gate.swallow = 3
        for _ in range(500):
            ask()
        assert promptspan.flush(30)
        assert gate.swallow == 0
        assert promptspan.stats().delivered == promptspan.stats().emitted == 500
    counted = """SELECT count(), sum(input_tokens), sum(output_tokens)
        FROM llm_calls WHERE service = {service:String}"""
    assert store.rows(counted, service=service) == [(500, 500_000, 50_000)]
    billed = "SELECT count(), sum(cost_usd) FROM llm_costs WHERE service = {service:String} AND billable"
    # gpt-4o-mini: 0.15 USD a million input tokens, 0.60 USD a million output tokens.
    [(calls, cost)] = store.rows(billed, service=service)
    assert (calls, float(cost)) == (500, 500 * (1_000 * 0.15 + 100 * 0.60) / 1e6)


def test_what_a_full_spool_lost_is_seen_in_the_store_and_by_doctor(store: Store, tmp_path: Path) -> None:
    with (
        Gate(store.otlp_port, is_open=False) as gate,
        sending(gate, tmp_path, spool_max_bytes=200_000) as service,
    ):
        for burst in range(30):
            if burst == 29:  # what is written from now on knows of the failure
                until(lambda: promptspan.stats().last_error is not None, "the sender has tried")
            for _ in range(50):
                ask("x" * 500)
            while promptspan.stats().queued:
                time.sleep(0.002)
        lost = promptspan.stats().dropped["spool_full"]
        assert lost > 300
        waiting = " ".join(doctor(store, tmp_path)["spool"])
        assert f"{promptspan.stats().spooled} spans of {service} wait" in waiting
        assert "the receiver: HttpError" in waiting or "Connection refused" in waiting

        gate.open()
        assert promptspan.flush(30)
        stats = promptspan.stats()
        assert (stats.emitted, stats.delivered, dict(stats.dropped)) == (
            1_500,
            1_500 - lost,
            {"spool_full": lost},
        )
    stored = store.value("SELECT count() FROM llm_calls WHERE service = {service:String}", service=service)
    assert stored == 1_500 - lost
    reported = store.rows(
        """SELECT sum(emitted), sum(delivered), maxMap(dropped) FROM sdk_losses FINAL
        WHERE service = {service:String}""",
        service=service,
    )
    assert reported == [(1_500, 1_500 - lost, {"spool_full": lost})]
    refused(tmp_path)
    said = doctor(store, tmp_path)
    assert f"{service}: {lost} spool_full" in said["SDK losses"][0]
    assert "spool" not in said  # nothing waits any more
    [aside] = said["refused spans"]
    assert aside.startswith(f"WARN 1 spans that the receiver refused are in {tmp_path}")
    assert "'poison-1' (HTTP 400)" in aside
