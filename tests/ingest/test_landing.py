"""Raw OTLP bodies become rows of the exporter's columns, decoded by the engine itself."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from promptspan_server.ingest.landing import land
from promptspan_server.store.engine import Engine, StoreError
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import migrate
from schema.bodies import Event, LogRecord, Span, Value, logs, traces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from promptspan_server.ingest.landing import Signal


class _Landed:
    """A store whose landing tables are followed by tables that keep what the views yielded."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with engine.handle() as handle:
            migrate(HandleExecutor(handle))
            for table in ("otel_traces", "otel_logs"):
                handle.query(f"CREATE TABLE kept_{table} AS {table} ENGINE = MergeTree ORDER BY tuple()")
                handle.query(
                    f"CREATE MATERIALIZED VIEW keep_{table} TO kept_{table} AS SELECT * FROM {table}"
                )

    def land(self, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
        with self.engine.handle() as handle:
            land(handle, signal, bodies, token)

    def empty(self) -> None:
        with self.engine.handle() as handle:
            for table in ("otel_traces", "otel_logs"):
                handle.query(f"TRUNCATE TABLE kept_{table}")

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.engine.handle({"output_format_json_quote_64bit_integers": "0"}) as handle:
            data = handle.query(f"SELECT * FROM kept_{table} ORDER BY Timestamp", "JSONEachRow").data
        return [json.loads(line) for line in data.splitlines()]


@pytest.fixture(scope="module")
def module_landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Landed]:
    with Engine.open(tmp_path_factory.mktemp("landing") / "data") as engine:
        yield _Landed(engine)


@pytest.fixture
def landed(module_landed: _Landed) -> _Landed:
    module_landed.empty()
    return module_landed


def test_a_span_has_the_columns_that_the_exporter_writes(landed: _Landed) -> None:
    span = Span(
        {"a": "b"},
        name="chat m",
        scope="scope",
        scope_version="2",
        kind=4,
        start_ns=1_772_366_400_000_000_001,
        duration_ns=7,
        parent_span_id="0102030405060708",
        status_code=2,
        status_message="no",
        events=[Event("exception", 1_772_366_400_000_000_003, {"exception.type": "E"})],
    )
    landed.land("traces", [traces(span)], "t")
    (row,) = landed.rows("otel_traces")
    assert row == {
        "Timestamp": "2026-03-01 12:00:00.000000001",
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "ParentSpanId": "0102030405060708",
        "TraceState": "",
        "SpanName": "chat m",
        "SpanKind": "Producer",
        "ServiceName": "inbox",
        "ResourceAttributes": {"service.name": "inbox", "deployment.environment.name": "prod"},
        "ScopeName": "scope",
        "ScopeVersion": "2",
        "SpanAttributes": {"a": "b"},
        "Duration": 7,
        "StatusCode": "Error",
        "StatusMessage": "no",
        "Events.Timestamp": ["2026-03-01 12:00:00.000000003"],
        "Events.Name": ["exception"],
        "Events.Attributes": [{"exception.type": "E"}],
        "Links.TraceId": [],
        "Links.SpanId": [],
        "Links.TraceState": [],
        "Links.Attributes": [],
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ('é"\n', 'é"\n'),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (0.1, "0.1"),
        (b"\x00\x01", "AAE="),
        (None, ""),
        (["a", 'b"', ""], '["a","b\\"",""]'),
        ([1, 300, -7, 2**40], "[1,300,-7,1099511627776]"),
        ([True, False], "[true,false]"),
        ([0.5, -2.0], "[0.5,-2]"),
        ([], "[]"),
        ({}, "{}"),
        ({"n": 1, "s": "x", "b": False, "none": None}, '{"n":1,"s":"x","b":false,"none":null}'),
        (
            ["x" * 127, "y" * 128, "z" * 20_000],
            '["' + '","'.join(["x" * 127, "y" * 128, "z" * 20_000]) + '"]',
        ),
    ],
)
def test_any_value_becomes_the_text_that_the_exporter_writes(
    landed: _Landed, value: Value, text: str
) -> None:
    landed.land("traces", [traces(Span({"key": value}))], "t")
    assert landed.rows("otel_traces")[0]["SpanAttributes"] == {"key": text}


def test_what_is_nested_deeper_is_kept_as_the_bytes_of_its_protobuf(landed: _Landed) -> None:
    landed.land("traces", [traces(Span({"key": ["x", {"a": 1}]}))], "t")
    plain, nested = json.loads(landed.rows("otel_traces")[0]["SpanAttributes"]["key"])
    assert plain == "x"
    value = AnyValue.FromString(base64.b64decode(nested))
    assert value.kvlist_value.values[0].value.int_value == 1


def test_bodies_of_several_senders_land_together(landed: _Landed) -> None:
    now = time.time_ns()
    bodies = [
        traces(Span({}, start_ns=now + number), Span({}, start_ns=now + number)) for number in range(50)
    ]
    landed.land("traces", bodies, "t")
    assert len(landed.rows("otel_traces")) == 100


def test_a_log_record_has_the_columns_that_the_exporter_writes(landed: _Landed) -> None:
    record = LogRecord(
        {"n": 1}, "event.name", body={"k": [1]}, time_ns=1_772_366_400_000_000_001, trace_id="ab" * 16
    )
    landed.land("logs", [logs(record)], "t")
    (row,) = landed.rows("otel_logs")
    assert row["EventName"] == "event.name"
    assert row["LogAttributes"] == {"n": "1"}
    assert row["TraceId"] == "ab" * 16
    assert row["ServiceName"] == "inbox"
    assert row["Timestamp"] == "2026-03-01 12:00:00.000000001"
    assert row["Body"].startswith('{"k":')


@pytest.mark.parametrize("body", [b"\xff" * 40, b"\n\x7fshort", b"not protobuf at all"])
def test_a_malformed_body_is_refused_and_nothing_of_its_group_lands(landed: _Landed, body: bytes) -> None:
    good = traces(Span({"gen_ai.operation.name": "chat"}))
    with pytest.raises(StoreError):
        landed.land("traces", [good, body, good], "t")
    assert landed.rows("otel_traces") == []
    landed.land("traces", [good], "u")
    assert len(landed.rows("otel_traces")) == 1


@pytest.mark.parametrize("bodies", [[], [b""], [b"", b""]])
def test_nothing_lands_as_nothing(landed: _Landed, bodies: list[bytes]) -> None:
    landed.land("traces", bodies, "t")
    assert landed.rows("otel_traces") == []


def test_a_token_with_quotes_is_only_a_token(landed: _Landed) -> None:
    landed.land("traces", [traces(Span({}))], "it's \\ a 'token'")
    assert len(landed.rows("otel_traces")) == 1
