"""Rows 8-12 and 26-29 of the matrix: only a real acceptance counts as delivered, whatever is answered."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from faults.notes import SpanNote, emit, finished, wait_until_spooled
from faults.sink import (
    Mode,
    Reply,
    Sink,
    bomb,
    drip,
    flood,
    hang,
    html,
    in_turn,
    lose_reply,
    ok,
    partial,
    refuse_poison,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from promptspan._pipeline import Pipeline


def reply(body: bytes, content_type: str | None, code: int = 200) -> Mode:
    """Answer so, always, without taking anything."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    return lambda handler, received: Reply(code, body, headers)


NOT_ACCEPTANCES = {
    "302": status(302, Location="http://127.0.0.1:9/elsewhere"),
    "307": status(307, Location="http://127.0.0.1:9/elsewhere"),
    "html with 200": html,
    "text with 200": reply(b"ok", "text/plain"),
    "protobuf that is none": reply(b"\xff\xff\xff", "application/x-protobuf"),
    "json that is no object": reply(b"[]", "application/json"),
    "broken json": reply(b"{", "application/json"),
    "a body of no type": reply(b"hello", None),
    "401": status(401),
    "403": status(403),
    "404": status(404),
    "405": status(405),
}


@pytest.mark.parametrize("mode", NOT_ACCEPTANCES.values(), ids=NOT_ACCEPTANCES.keys())
def test_what_is_no_acceptance_never_counts_as_delivered(
    sink: Sink,
    make_pipeline: Callable[..., Pipeline],
    caplog: pytest.LogCaptureFixture,
    mode: Mode,
) -> None:
    sink.mode = mode
    pipeline = make_pipeline()
    emit(pipeline, 0, 20)
    assert sink.wait_for_attempts(2)
    assert pipeline.stats().delivered == 0
    assert pipeline.stats().spooled == 20
    assert pipeline.stats().last_error
    sink.accepted.clear()
    sink.mode = ok
    assert pipeline.flush(10)
    assert len(sink.names()) == 20
    assert pipeline.stats().delivered == 20
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


ACCEPTANCES = {
    "empty json": reply(b"{}", "application/json; charset=utf-8"),
    "json with nothing rejected": reply(b'{"partialSuccess":{}}', "application/json"),
    "no content": reply(b"", None, 204),
    "empty without a type": reply(b"", None),
    "202": reply(b"", "application/x-protobuf", 202),
}


@pytest.mark.parametrize("mode", ACCEPTANCES.values(), ids=ACCEPTANCES.keys())
def test_other_ways_to_accept_are_understood(
    sink: Sink, make_pipeline: Callable[..., Pipeline], mode: Mode
) -> None:
    sink.mode = mode
    pipeline = make_pipeline()
    emit(pipeline, 0, 3)
    assert pipeline.flush(5)
    assert pipeline.stats().delivered == 3


@pytest.mark.parametrize(
    "mode",
    [partial(3), reply(b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}', "application/json")],
    ids=["protobuf", "json"],
)
def test_what_a_partial_success_rejects_is_counted_as_lost_and_said(
    sink: Sink, make_pipeline: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture, mode: Mode
) -> None:
    sink.mode = in_turn(mode, ok)
    pipeline = make_pipeline(linger_s=0.5)
    emit(pipeline, 0, 10)
    assert pipeline.flush(5)
    stats = pipeline.stats()
    assert (stats.emitted, stats.delivered, dict(stats.dropped)) == (10, 7, {"rejected": 3})
    assert "only part" in caplog.text


def test_a_partial_success_cannot_reject_more_than_was_sent(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.mode = partial(1_000_000)
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert pipeline.flush(5)
    assert dict(pipeline.stats().dropped) == {"rejected": 10}


@pytest.mark.parametrize("mode", [hang, drip], ids=["hangs", "drips"])
def test_a_slow_receiver_is_given_up_at_the_deadline_and_costs_nothing(
    sink: Sink, make_pipeline: Callable[..., Pipeline], mode: Mode
) -> None:
    sink.mode = in_turn(mode, ok)
    pipeline = make_pipeline(timeout_s=0.5)
    emit(pipeline, 0, 20)
    assert sink.wait_for_attempts(1)
    # Meanwhile new spans go to disk as always.
    emit(pipeline, 20, 200)
    assert wait_until_spooled(pipeline)
    assert pipeline.flush(10)
    assert len(sink.names()) == 220
    assert sink.attempts[1].at - sink.attempts[0].at >= 0.5


@pytest.mark.parametrize("mode", [bomb, flood], ids=["packed", "endless"])
def test_a_reply_bomb_is_not_read(sink: Sink, make_pipeline: Callable[..., Pipeline], mode: Mode) -> None:
    sink.mode = in_turn(ok, mode, mode, mode, ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 5)
    assert pipeline.flush(5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    emit(pipeline, 5, 5)
    assert pipeline.flush(10)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 8 * 1024  # KiB
    assert pipeline.stats().delivered == 10


def test_a_lost_acknowledgement_loses_nothing_and_repeats_the_same_bytes(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.mode = in_turn(lose_reply, lose_reply, ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 30)
    assert pipeline.flush(10)
    assert len(sink.names()) == 30
    assert pipeline.stats().delivered == 30
    # The store knows a repeated body by its hash, so the repetition must be exact.
    repeated = [received.message.SerializeToString() for received in sink.accepted[:2]]
    assert repeated[0] == repeated[1]


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline()
    for block in range(3):
        emit(pipeline, block * 10, 10)
        assert pipeline.flush(5)
        sink.stop()
        sink.start()
    assert pipeline.stats().delivered == 30
    assert max(sink.names().values()) == 1


@pytest.mark.parametrize("poisoned", [{0}, {499}, {250}, {17, 18, 300}])
def test_only_the_span_that_a_receiver_refuses_is_set_aside(
    sink: Sink,
    make_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
    poisoned: set[int],
) -> None:
    sink.mode = refuse_poison
    pipeline = make_pipeline(linger_s=0.3)
    for number in range(500):
        name = f"poison-{number}" if number in poisoned else f"fine-{number}"
        pipeline.submit(SpanNote(finished(name)))
    assert pipeline.flush(20)
    stats = pipeline.stats()
    assert dict(stats.dropped) == {"refused": len(poisoned)}
    assert stats.delivered == len(sink.names()) == 500 - len(poisoned)
    assert max(sink.names().values()) == 1
    kept = next((tmp_path / "spool").rglob("refused.otlp"))
    assert kept.stat().st_mode & 0o777 == 0o600
    assert {name for message in delimited(kept.read_bytes()) for name in names(message)} == {
        f"poison-{number}" for number in poisoned
    }


def delimited(data: bytes) -> list[ExportTraceServiceRequest]:
    """Messages with a varint of their length before each."""
    found: list[ExportTraceServiceRequest] = []
    at = 0
    while at < len(data):
        size = shift = 0
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(ExportTraceServiceRequest.FromString(data[at : at + size]))
        at += size
    return found


def names(message: ExportTraceServiceRequest) -> list[str]:
    """Names of the spans in a request."""
    return [
        span.name
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_a_lone_poison_is_told_from_an_endpoint_that_refuses_everything(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.mode = refuse_poison
    pipeline = make_pipeline()
    pipeline.submit(SpanNote(finished("poison-alone")))
    assert pipeline.flush(5)
    assert dict(pipeline.stats().dropped) == {"refused": 1}


@pytest.mark.parametrize("code", [400, 413, 422])
def test_an_endpoint_that_refuses_everything_empties_nothing(
    sink: Sink, make_pipeline: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture, code: int
) -> None:
    pipeline = make_pipeline()
    emit(pipeline, 0, 5, "fine")
    assert pipeline.flush(5)
    sink.mode = status(code)
    emit(pipeline, 5, 40, "fine")
    assert sink.wait_for_attempts(40)
    assert not pipeline.stats().dropped
    assert "does not take spans" in caplog.text
    sink.mode = ok
    assert pipeline.flush(10)
    assert pipeline.stats().delivered == len(sink.names()) == 45


def test_a_receiver_with_small_bodies_gets_small_batches(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    def at_most_100_kb(handler: Any, received: Any) -> Reply:
        return (
            Reply()
            if received.message.ByteSize() < 100_000
            else Reply(413, b"", {"Content-Type": "text/plain"})
        )

    sink.mode = at_most_100_kb
    pipeline = make_pipeline(linger_s=0.2)
    for number in range(600):
        pipeline.submit(SpanNote(finished(f"big-{number}", {"text": "x" * 1_000})))
    assert pipeline.flush(10)
    assert pipeline.stats().delivered == len(sink.names()) == 600
    refused = len(sink.attempts) - len(sink.accepted)
    for number in range(600, 1_200):
        pipeline.submit(SpanNote(finished(f"big-{number}", {"text": "x" * 1_000})))
    assert pipeline.flush(10)
    assert len(sink.names()) == 1_200
    # What was learnt is kept: no further refusals but a first one at most.
    assert len(sink.attempts) - len(sink.accepted) <= refused + 1


def test_a_receiver_that_answers_before_it_has_read_everything_is_understood(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline(compression="none", batch_max_bytes=3_500_000, linger_s=0.2)
    sink.mode = in_turn(status(413), status(413), ok)
    for number in range(30):
        pipeline.submit(SpanNote(finished(f"big-{number}", {str(i): "x" * 100_000 for i in range(8)}), 1_000))
    assert pipeline.flush(20)
    assert pipeline.stats().delivered == len(sink.names()) == 30
    assert all(received.message.ByteSize() < 4_000_000 for received in sink.attempts)


def test_a_bad_field_costs_itself_and_its_neighbours_arrive(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    bad: dict[str, Any] = {
        "gen_ai.request.model": "gpt-x",
        "surrogate": "a\ud800b",
        "huge int": 1 << 80,
        "nan": float("nan"),
        "cyclic": cyclic,
        "hostile": Hostile(),
        "ten megabytes": "x" * 10_000_000,
        "gen_ai.usage.input_tokens": 7,
    }
    pipeline = make_pipeline()
    emit(pipeline, 0, 5)
    pipeline.submit(SpanNote(finished("bad", bad)))
    emit(pipeline, 5, 5)
    assert pipeline.flush(5)
    assert len(sink.names()) == 11
    span = next(
        span
        for received in sink.accepted
        for span in received.message.resource_spans[0].scope_spans[0].spans
        if span.name == "bad"
    )
    facts = {a.key: a.value for a in span.attributes}
    assert facts["gen_ai.request.model"].string_value == "gpt-x"
    assert facts["gen_ai.usage.input_tokens"].int_value == 7
    assert facts["surrogate"].string_value == "a\ufffdb"
    assert facts["huge int"].string_value == str(1 << 80)
    assert len(facts["ten megabytes"].string_value) == 128 * 1024
    assert not {"nan", "cyclic", "hostile"} & set(facts)
    told = [value.string_value for value in facts["promptspan.sdk.dropped_fields"].array_value.values]
    assert [text.partition(":")[0] for text in told] == ["nan", "cyclic", "hostile"]


def test_a_note_that_cannot_be_built_is_counted_and_costs_no_other(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    class Broken:
        size_bytes = 10

        def __init__(self, error: BaseException) -> None:
            self.error = error

        def build(self) -> None:
            raise self.error

    pipeline = make_pipeline()
    emit(pipeline, 0, 3)
    pipeline.submit(Broken(RuntimeError("a")))
    pipeline.submit(Broken(SystemExit(3)))
    emit(pipeline, 3, 3)
    assert pipeline.flush(5)
    assert pipeline.stats().delivered == 6
    assert dict(pipeline.stats().dropped) == {"build_failed": 2}


def test_the_callers_thread_never_waits_for_a_hanging_receiver(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.mode = hang
    pipeline = make_pipeline()
    emit(pipeline, 0, 1)
    assert sink.wait_for_attempts(1)
    start = time.monotonic()
    emit(pipeline, 1, 2_000)
    # Not a measurement: a submit that waited for the network would take 5 s.
    assert time.monotonic() - start < 4
    assert wait_until_spooled(pipeline)
    sink.mode = ok
