from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from promptspan_server.ingest.json_otlp import JsonError, to_protobuf


def traces(span: dict[str, Any]) -> ExportTraceServiceRequest:
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    return ExportTraceServiceRequest.FromString(to_protobuf(body.encode(), "traces"))


def only_span(request: ExportTraceServiceRequest) -> Any:
    return request.resource_spans[0].scope_spans[0].spans[0]


def value_of(value: Any) -> Any:
    return only_span(traces({"attributes": [{"key": "k", "value": value}]})).attributes[0].value


def test_a_whole_span_arrives_as_it_was() -> None:
    span = only_span(
        traces(
            {
                "traceId": "5b8efff798038103d269b633813fc60c",
                "spanId": "EEE19B7EC3C1B174",
                "parentSpanId": "",
                "traceState": "a=b",
                "name": "chat",
                "kind": 3,
                "startTimeUnixNano": "1544712660000000000",
                "endTimeUnixNano": 1544712661000000000,
                "droppedAttributesCount": 1,
                "flags": 257,
                "events": [{"timeUnixNano": "1", "name": "e", "attributes": []}],
                "links": [{"traceId": "00" * 16, "spanId": "01" * 8}],
                "status": {"code": 2, "message": "bad"},
            }
        )
    )
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.span_id.hex() == "eee19b7ec3c1b174"
    assert (span.name, span.kind, span.trace_state, span.flags) == ("chat", 3, "a=b", 257)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1544712660000000000, 1544712661000000000)
    assert (span.events[0].name, span.links[0].span_id, span.status.message) == ("e", b"\x01" * 8, "bad")


def test_values_of_all_types_arrive() -> None:
    assert value_of({"stringValue": "ü"}).string_value == "ü"
    assert value_of({"boolValue": False}).WhichOneof("value") == "bool_value"
    assert value_of({"intValue": "-9223372036854775808"}).int_value == -(1 << 63)
    assert value_of({"intValue": 7.0}).int_value == 7
    assert value_of({"doubleValue": 1}).double_value == 1.0
    assert value_of({"doubleValue": "Infinity"}).double_value == float("inf")
    assert value_of({"bytesValue": base64.b64encode(b"\x00\xff").decode()}).bytes_value == b"\x00\xff"
    assert value_of({"bytesValue": "_-8"}).bytes_value == b"\xff\xef"
    nested = value_of({"arrayValue": {"values": [{"intValue": 1}, {"kvlistValue": {"values": []}}]}})
    assert nested.array_value.values[0].int_value == 1
    assert nested.array_value.values[1].WhichOneof("value") == "kvlist_value"


def test_enums_come_as_numbers_or_as_their_names() -> None:
    assert only_span(traces({"kind": "SPAN_KIND_CLIENT"})).kind == 3
    assert only_span(traces({"status": {"code": "STATUS_CODE_ERROR"}})).status.code == 2


def test_unknown_fields_and_nulls_are_ignored() -> None:
    assert (
        only_span(traces({"name": "x", "invented": {"a": [1]}, "status": None, "traceId": None})).name == "x"
    )


def test_a_lone_surrogate_costs_one_character() -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a\\ud800b"}]}]}]}'
    assert only_span(ExportTraceServiceRequest.FromString(to_protobuf(body, "traces"))).name == "a?b"


def test_logs_arrive() -> None:
    record = {"timeUnixNano": "5", "severityNumber": 9, "body": {"stringValue": "text"}, "eventName": "e"}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    read = ExportLogsServiceRequest.FromString(to_protobuf(body, "logs"))
    found = read.resource_logs[0].scope_logs[0].log_records[0]
    assert (found.time_unix_nano, found.severity_number, found.body.string_value) == (5, 9, "text")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"resourceSpans": 7}',
        b'{"resourceSpans": [7]}',
        b'{"resourceSpans": {"a": 1}}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 5}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 5}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "soon"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": -1}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": 1e99}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": true}]}]}]}',
        b'{"resourceSpans":' * 100_000,
        b"[" * 1_000_000,
    ],
    ids=range(17),
)
def test_another_shape_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(JsonError) as raised:
        to_protobuf(body, "traces")
    assert 10 < len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


def test_values_nested_without_end_are_refused() -> None:
    value = b'{"arrayValue":{"values":[' * 200 + b"]}}" * 200
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":%s}]}]}]}]}' % value
    with pytest.raises(JsonError, match="deeper"):
        to_protobuf(body, "traces")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.one_of(
        texts.map(lambda v: {"stringValue": v}),
        st.booleans().map(lambda v: {"boolValue": v}),
        st.integers(-(1 << 63), (1 << 63) - 1).map(lambda v: {"intValue": str(v)}),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda v: {"doubleValue": v}),
        st.binary(max_size=8).map(lambda v: {"bytesValue": base64.b64encode(v).decode()}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: {"arrayValue": {"values": v}}),
        st.lists(inner, max_size=3).map(
            lambda v: {"kvlistValue": {"values": [{"key": str(i), "value": x} for i, x in enumerate(v)]}}
        ),
    ),
    max_leaves=6,
)


@given(st.lists(values, max_size=4), texts, st.integers(0, (1 << 64) - 1))
def test_it_reads_what_the_reference_mapping_of_protobuf_reads(
    attributes: list[dict[str, Any]], name: str, moment: int
) -> None:
    listed = [{"key": str(number), "value": value} for number, value in enumerate(attributes)]
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": listed},
                "scopeSpans": [
                    {"spans": [{"name": name, "startTimeUnixNano": str(moment), "attributes": listed}]}
                ],
            }
        ]
    }
    reference = json_format.ParseDict(request, ExportTraceServiceRequest())
    ours = ExportTraceServiceRequest.FromString(to_protobuf(json.dumps(request).encode(), "traces"))
    assert ours == reference


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts,
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "resourceSpans",
                        "scopeSpans",
                        "spans",
                        "attributes",
                        "key",
                        "value",
                        "intValue",
                        "traceId",
                        "name",
                        "status",
                    ]
                ),
                c,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(document: Any) -> None:
    try:
        ExportTraceServiceRequest.FromString(to_protobuf(json.dumps(document).encode(), "traces"))
    except JsonError:
        return
