from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from promptspan._http import Reply
from promptspan._verdict import judge

PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(s, "later") for s in (408, 429, 500, 501, 502, 503, 504, 599)]
    + [(s, "refused") for s in (400, 413, 422)]
    + [(s, "wrong") for s in (301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 406, 411, 415, 431, 451)]
    + [(s, "taken") for s in (200, 202)],
)
def test_each_status_has_one_meaning(status: int, kind: str) -> None:
    assert judge(Reply(status, PROTOBUF, b"")).kind == kind


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("5", 5.0),
        ("3600", 60.0),
        ("99999999999999999999", 60.0),
        ("Mon, 23 Nov 2026 05:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 04:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 60.0),
        ("garbage", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("", None),
        ("Mon, 99 Nov 99999 05:00:30 GMT", None),
        ("Mon, 23 Nov 2026 05:00:30", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(value: str, seconds: float | None) -> None:
    headers = {"retry-after": value, "date": "Mon, 23 Nov 2026 05:00:00 GMT"}
    assert judge(Reply(503, headers, b"")).retry_after_s == seconds


def test_a_retry_after_date_without_a_date_to_compare_is_ignored() -> None:
    assert judge(Reply(503, {"retry-after": "Mon, 23 Nov 2026 05:00:30 GMT"}, b"")).retry_after_s is None


@given(st.integers(0, (1 << 63) - 1), st.text(max_size=100))
def test_a_partial_success_is_read_as_it_was_written(rejected: int, message: str) -> None:
    reply = ExportTraceServiceResponse()
    reply.partial_success.rejected_spans = rejected
    reply.partial_success.error_message = message
    verdict = judge(Reply(200, PROTOBUF, reply.SerializeToString()))
    assert (verdict.kind, verdict.rejected, verdict.reason) == ("taken", rejected, message)


def test_a_negative_number_of_rejected_spans_is_none() -> None:
    reply = ExportTraceServiceResponse()
    reply.partial_success.rejected_spans = -3
    assert judge(Reply(200, PROTOBUF, reply.SerializeToString())).rejected == 0


@given(
    st.binary(max_size=60), st.sampled_from(["application/x-protobuf", "application/json", "text/html", ""])
)
def test_no_reply_whatever_raises(body: bytes, content_type: str) -> None:
    assert judge(Reply(200, {"content-type": content_type}, body)).kind in {"taken", "wrong"}


@pytest.mark.parametrize(
    "body",
    [b'{"partialSuccess":[]}', b'{"partialSuccess":{"rejectedSpans":"x"}}', b"null", b"1", b"[" * 100_000],
)
def test_json_of_another_shape_is_no_acceptance(body: bytes) -> None:
    assert judge(Reply(200, {"content-type": "application/json"}, body)).kind == "wrong"
