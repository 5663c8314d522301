"""A thousand captures of real instrumentations against what the providers' double billed.

What a span carries in any form is right; what it does not carry is NULL and listed in captures_gaps.txt.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from promptspan_server.ingest.json_otlp import to_protobuf
from schema.bodies import traces
from schema.own_captures import Capture, answers, begin, captures, gaps, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema.bodies import Span, Value
    from schema.conftest import Store
    from schema.truth import Json

CAPTURES = list(captures())
SETUPS = sorted({capture.name.split("/")[0] for capture in CAPTURES})
# One of each way of writing.
DIALECTS = {
    "openllmetry__0.40",
    "openllmetry__default",
    "openinference__default",
    "langfuse__openai_dropin",
    "logfire__default",
    "litellm__otel",
    "otel-genai__content",
}
SOME = [capture for capture in CAPTURES if capture.name.split("/")[0] in DIALECTS]


@pytest.fixture(scope="module")
def billed(module_store: Store) -> dict[str, list[Json]]:
    module_store.empty()
    start = begin()
    module_store.land(*[capture.body(start) for capture in CAPTURES])
    return answers(module_store)


@pytest.mark.parametrize("setup", SETUPS)
def test_captures_say_what_was_called(billed: dict[str, list[Json]], setup: str) -> None:
    mine = [capture for capture in CAPTURES if capture.name.startswith(f"{setup}/")]
    assert mine
    found = {capture.name: gaps(capture, billed.get(capture.name, [])) for capture in mine}
    known = listed()
    assert found == {capture.name: known.get(capture.name, set()) for capture in mine}


def test_the_list_of_gaps_names_captures_that_there_are() -> None:
    assert listed().keys() <= {capture.name for capture in CAPTURES}


def test_the_collectors_columns_say_the_same(store: Store, billed: dict[str, list[Json]]) -> None:
    # The exporter writes every value as a string.
    start = begin()
    rows = [_columns(span, capture.name) for capture in SOME for span in capture.spans(start)]
    store.command("INSERT INTO otel_traces FORMAT JSONEachRow " + "\n".join(json.dumps(row) for row in rows))
    _say_the_same(SOME, answers(store), billed)


def test_otlp_json_says_the_same(store: Store, billed: dict[str, list[Json]]) -> None:
    start = begin()
    store.land(*[to_protobuf(_as_json(capture.body(start)), "traces") for capture in SOME])
    _say_the_same(SOME, answers(store), billed)


@pytest.mark.parametrize("written", ["as strings", "as rotel's lists"])
def test_values_of_other_types_say_the_same(
    store: Store, billed: dict[str, list[Json]], written: str
) -> None:
    change: Callable[[Value], Value] = _string if written == "as strings" else _rotel
    start = begin()
    changed = [(capture, [_with(span, change) for span in capture.spans(start)]) for capture in SOME]
    store.land(*[traces(*spans, resource={"service.name": capture.name}) for capture, spans in changed])
    _say_the_same(SOME, answers(store), billed)


def _say_the_same(
    mine: Sequence[Capture], found: Mapping[str, list[Json]], billed: Mapping[str, list[Json]]
) -> None:
    for capture in mine:
        assert [_timeless(row) for row in found.get(capture.name, [])] == [
            _timeless(row) for row in billed.get(capture.name, [])
        ], capture.name


def _timeless(row: Json) -> Json:
    return row | {"ttft_ms": row["ttft_ms"] is not None}


def _as_json(body: bytes) -> bytes:
    request: Any = MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
    for resource in request["resourceSpans"]:
        for group in resource.get("scopeSpans", ()):
            for span in group["spans"]:
                for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
                    span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(request).encode()


def _with(span: Span, change: Callable[[Value], Value]) -> Span:
    return replace(span, attributes={key: change(value) for key, value in span.attributes.items()})


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _string(value: Value) -> Value:
    return str(value).lower() if isinstance(value, (bool, int, float)) else value


def _rotel(value: Value) -> Value:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        return value
    return json.dumps({"values": [{"stringValue": item} for item in value]})


def _columns(span: Span, service: str) -> dict[str, Any]:
    return {
        "Timestamp": f"{span.start_ns / 1e9:.9f}",
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "ParentSpanId": span.parent_span_id,
        "SpanName": span.name,
        "SpanKind": ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")[span.kind],
        "ServiceName": service,
        "ResourceAttributes": {"service.name": service},
        "ScopeName": span.scope,
        "ScopeVersion": span.scope_version,
        "SpanAttributes": {key: _text(value) for key, value in span.attributes.items()},
        "Duration": span.duration_ns,
        "StatusCode": ("Unset", "Ok", "Error")[span.status_code],
        "StatusMessage": span.status_message,
        "Events.Timestamp": [f"{event.at_ns / 1e9:.9f}" for event in span.events],
        "Events.Name": [event.name for event in span.events],
        "Events.Attributes": [
            {key: _text(value) for key, value in event.attributes.items()} for event in span.events
        ],
    }
