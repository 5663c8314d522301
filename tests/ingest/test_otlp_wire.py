from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.otlp import logs, traces
from promptspan_server.ingest.otlp_wire import MAX_ITEMS, MalformedError, count_items
from promptspan_server.ingest.rpc_status import status_json, status_protobuf, varint


def test_spans_and_records_are_counted_across_resources_and_scopes() -> None:
    assert count_items(b"") == 0
    assert count_items(traces(*range(1, 8))) == 7
    assert count_items(traces(1, 2) + traces(3)) == 3
    assert count_items(logs("a", "b")) == 2


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    extra = b"\xf8\x07\x96\x01" + b"\xf9\x07" + bytes(8) + b"\xfa\x07\x03abc" + b"\xfd\x07" + bytes(4)
    assert count_items(extra + traces(1, 2) + extra) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 200,
        b"\x0a",
        b"\x0a\x05abc",
        b"\x00\x01",
        b"\x0b",
        b"\x0e\x00",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x02\x12\x05",
        b"not protobuf at all",
        b'{"resourceSpans": []}',
        traces(1, 2, 3)[:-7],
    ],
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        count_items(body)


def test_millions_of_empty_spans_are_refused_before_they_are_counted() -> None:
    scope = b"\x12\x00" * (MAX_ITEMS + 1)
    scopes = b"\x12" + varint(len(scope)) + scope
    with pytest.raises(MalformedError, match="more than"):
        count_items(b"\x0a" + varint(len(scopes)) + scopes)


@given(st.binary(max_size=300))
def test_any_bytes_are_counted_or_malformed(body: bytes) -> None:
    try:
        assert count_items(body) >= 0
    except MalformedError:
        return


@given(st.lists(st.integers(1, 1 << 60), max_size=20), st.data())
def test_what_the_reference_reads_is_counted_as_it_counts(ids: list[int], data: st.DataObject) -> None:
    body = traces(*ids)
    cut = data.draw(st.integers(0, len(body)))
    try:
        reference = ExportTraceServiceRequest.FromString(body[:cut])
    except DecodeError:
        return
    expected = sum(
        len(scope.spans) for resource in reference.resource_spans for scope in resource.scope_spans
    )
    assert count_items(body[:cut]) == expected


def test_the_status_is_one_that_grpc_tools_read() -> None:
    from google.rpc import error_details_pb2, status_pb2

    status = status_pb2.Status.FromString(status_protobuf(14, "später", retry_after_s=200))
    assert (status.code, status.message) == (14, "später")
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 200
    assert status_json(3, 'a "b"') == b'{"code": 3, "message": "a \\"b\\""}'
