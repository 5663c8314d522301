"""Through a Collector or straight into the store: the same rows."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import promptspan
from collector.collectors import TELEMETRYGEN, TOKEN, Collector, Rotel, built
from conftest import SHARED_DATA
from e2e.running import until
from promptspan import traced_prompt
from schema.bodies import Event, LogRecord, Span, logs, traces

if TYPE_CHECKING:
    from pathlib import Path

    from collector.conftest import Backend

TABLES = {
    "llm_calls": "span_id, trace_id",
    "spans": "span_id, trace_id",
    "llm_texts": "span_id, trace_id",
    "quarantine": "field, span_id, trace_id",
    "scores": "name, trace_id, span_id",
    "prompt_templates": "prompt_name, prompt_version",
}
TOTALS = """SELECT count(), countIf(billable), sum(input_tokens), sum(output_tokens), sum(cost_usd),
    arraySort(groupUniqArray(price_status)) FROM llm_costs"""
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Rows = dict[str, list[tuple[Any, ...]]]
Body = tuple[str, bytes]


def post(endpoint: str, body: bytes, signal: str = "traces") -> None:
    headers = {"Content-Type": "application/x-protobuf", **BEARER}
    answer = httpx.post(f"{endpoint}/v1/{signal}", content=body, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text


def own_bodies() -> list[Body]:
    """Every kind of value and table, with times that no clock has to set right and one that it has."""
    now = time.time_ns()
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 80,
        "gen_ai.usage.cache_read.input_tokens": 1024,
        "gen_ai.response.finish_reasons": ["stop", "length"],
        "gen_ai.prompt.name": "über-mail",
        "promptspan.prompt.template": "Summarise: {text}",
        "promptspan.prompt.template_hash": "ab" * 32,
        "promptspan.cost.reported_usd": "0.000123456",
        "promptspan.safety.flags": ["pii", "tox"],
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Grüße \\u2028 🎈"}]}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"ok"}]}]',
    }
    odd = {"big": 2**62, "real": 0.1, "tiny": 1e-9, "yes": True, "raw": b"\x00\xff", "none": None}
    nested = {"list": [1, 2.5, "three", False], "map": {"a": 1, "b": "two"}, "text": 'quo"te\n\ttab\\'}
    at = now - 60_000_000_000
    return [
        ("traces", traces(Span(call), Span({**call, **odd}), Span({**call, **nested}))),
        ("traces", traces(Span({**call, "gen_ai.usage.input_tokens": -5}), Span(call, duration_ns=0))),
        ("traces", traces(Span(call, start_ns=now - 400 * 86_400_000_000_000, status_code=2))),
        (
            "traces",
            traces(
                Span(
                    {"error.type": "timeout", **call},
                    status_message="late",
                    status_code=2,
                    events=[Event("exception", at, {"exception.type": "TimeoutError", "n": 3})],
                ),
                Span({"http.request.method": "GET"}, name="GET /", scope="http"),
            ),
        ),
        (
            "logs",
            logs(
                LogRecord(
                    {
                        # rotel drops the event's name; this is how older SDKs say it.
                        "event.name": "gen_ai.evaluation.result",
                        "gen_ai.evaluation.name": "relevance",
                        "gen_ai.evaluation.score.value": 0.5,
                    },
                    event_name="gen_ai.evaluation.result",
                    trace_id="0a" * 16,
                    span_id="0b" * 8,
                )
            ),
        ),
    ]


def captured() -> list[Body]:
    """What other instrumentations sent, where the recorded data is beside this checkout."""
    folder = SHARED_DATA / "captures"
    if not folder.is_dir():
        return []
    entries = json.loads((folder / "manifest.json").read_text())["entries"]
    return [
        (signal, (folder / entry[signal]).read_bytes())
        for entry in entries
        for signal in ("traces", "logs")
        if entry.get(signal)
    ]


def empty(store: Backend) -> None:
    with store.client() as client:
        for table in (*TABLES, "sdk_losses", "instrumentations"):
            client.command(f"TRUNCATE TABLE {table}")


def rows(store: Backend) -> Rows:
    found = {
        table: store.rows(f"SELECT * FROM {table} FINAL ORDER BY {order}") for table, order in TABLES.items()
    }
    return {**found, "totals": store.rows(TOTALS)}


def rows_by(store: Backend, endpoint: str, bodies: list[Body], expected: Rows | None = None) -> Rows:
    """The tables after these bodies came this way: once as many rows are there as expected."""
    empty(store)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(post, endpoint, body, signal) for signal, body in bodies]:
            done.result()
    found = rows(store)
    deadline = time.monotonic() + 30
    while expected and any(len(found[table]) < len(expected[table]) for table in expected):
        assert time.monotonic() < deadline, {table: len(found[table]) for table in expected}
        time.sleep(0.1)
        found = rows(store)
    return found


@pytest.fixture(scope="module")
def direct(store: Backend) -> tuple[list[Body], Rows]:
    """Bodies, and what they became by the direct way."""
    bodies = own_bodies() + captured()
    return bodies, rows_by(store, store.endpoint, bodies)


def without_maps(found: Rows) -> Rows:
    return {
        table: [tuple(value for value in row if not isinstance(value, dict)) for row in table_rows]
        for table, table_rows in found.items()
    }


def assert_same(expected: Rows, found: Rows) -> None:
    for table, wanted in expected.items():
        lost = [row for row in wanted if row not in found[table]]
        added = [row for row in found[table] if row not in wanted]
        assert (lost, added) == ([], []), table


def test_the_collector_makes_the_same_rows_as_the_direct_way(
    store: Backend, collector: Collector, direct: tuple[list[Body], Rows]
) -> None:
    bodies, expected = direct
    assert all(len(expected[table]) >= 1 for table in TABLES)
    assert_same(expected, rows_by(store, collector.endpoint, bodies, expected))


def test_rotel_makes_the_same_rows_as_the_direct_way(
    store: Backend, tmp_path: Path, direct: tuple[list[Body], Rows]
) -> None:
    bodies, expected = direct
    rotel = Rotel(tmp_path, store.clickhouse_port)
    try:
        found = rows_by(store, rotel.endpoint, bodies, expected)
    finally:
        rotel.stop()
    # It writes lists, bytes and whole floats of attributes in its own way: that one column may differ.
    assert_same(without_maps(expected), without_maps(found))


def test_spans_of_telemetrygen_arrive_by_grpc_and_by_http(store: Backend, collector: Collector) -> None:
    built(TELEMETRYGEN)
    for port, way in ((collector.grpc_port, []), (collector.otlp_port, ["--otlp-http"])):
        service = f"telemetrygen-{port}"
        done = subprocess.run(
            [
                TELEMETRYGEN,
                "traces",
                f"--otlp-endpoint=127.0.0.1:{port}",
                "--otlp-insecure",
                *way,
                f'--otlp-header=Authorization="Bearer {TOKEN}"',
                f"--service={service}",
                "--traces=500",
                "--child-spans=3",
                "--rate=0",
                '--telemetry-attributes=gen_ai.operation.name="chat"',
                '--telemetry-attributes=gen_ai.request.model="gpt-4o-mini"',
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

        def stored(table: str, of: str = service) -> int:
            return int(store.value(f"SELECT count() FROM {table} FINAL WHERE service = {{s:String}}", s=of))

        # The one insert reaches its tables one after the other.
        until(lambda: stored("spans") == stored("llm_calls") == 2000, "500 traces of four spans")


def test_spans_of_our_sdk_arrive_with_its_token(
    store: Backend, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTSPAN_TOKEN", TOKEN)
    promptspan.configure(
        service_name="sdk-by-collector", endpoint=collector.endpoint, spool=tmp_path / "spool"
    )

    @traced_prompt(prompt="greeting", version="3", feature="post")
    def greet(name: str) -> str:
        return f"hello {name}"

    for number in range(50):
        greet(str(number))
    assert promptspan.flush(30)
    promptspan.shutdown()
    found = "FROM llm_calls FINAL WHERE service = 'sdk-by-collector'"
    until(lambda: store.value(f"SELECT count() {found}") == 50, "fifty calls")
    assert store.rows(f"SELECT DISTINCT prompt_name, prompt_version, feature {found}") == [
        ("greeting", "3", "post")
    ]
    until(
        lambda: (
            store.value("SELECT max(emitted) FROM sdk_losses FINAL WHERE service = 'sdk-by-collector'") > 0
        ),
        "the SDK's own ledger",
    )


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_without_the_token_nothing_is_taken(collector: Collector, headers: dict[str, str]) -> None:
    answer = httpx.post(
        f"{collector.endpoint}/v1/traces",
        content=b"",
        headers={"Content-Type": "application/x-protobuf", **headers},
        trust_env=False,
    )
    assert answer.status_code == 401
