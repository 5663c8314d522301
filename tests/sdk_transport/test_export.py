from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from faults.notes import SpanNote, config, emit, finished
from faults.sink import Sink, hang
from promptspan._export import emit_to_provider, readable_span
from promptspan._pipeline import Pipeline
from promptspan._span import STATUS_ERROR, STATUS_OK, FinishedSpan, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def full_span() -> FinishedSpan:
    """A span with something in every field."""
    span = finished(
        "chat gpt-x", {"gen_ai.request.model": "gpt-x", "n": 7, "f": 0.5, "b": True, "l": ["stop", "end"]}
    )
    span.parent_span_id = 77
    span.trace_state = "vendor=1"
    span.events = [SpanEvent("exception", 123, {"exception.type": "ValueError"})]
    span.status_code = STATUS_ERROR
    span.status_message = "it failed"
    return span


def test_an_exporter_gets_every_field(make_pipeline: Callable[..., Pipeline]) -> None:
    exporter = InMemorySpanExporter()
    pipeline = make_pipeline(exporter=exporter)
    span = full_span()
    pipeline.submit(SpanNote(span))
    assert pipeline.flush(5)
    (found,) = exporter.get_finished_spans()
    assert found.name == "chat gpt-x"
    assert found.kind is SpanKind.CLIENT
    assert found.context is not None
    assert (found.context.trace_id, found.context.span_id) == (span.trace_id, span.span_id)
    assert found.context.trace_state.to_header() == "vendor=1"
    assert found.parent is not None
    assert (found.parent.trace_id, found.parent.span_id) == (span.trace_id, 77)
    assert dict(found.attributes or {}) == {**span.attributes, "l": ("stop", "end")}
    assert (found.start_time, found.end_time) == (span.start_unix_nano, span.end_unix_nano)
    assert found.status.status_code is StatusCode.ERROR
    assert found.status.description == "it failed"
    assert [(event.name, event.timestamp) for event in found.events] == [("exception", 123)]
    assert dict(found.events[0].attributes or {}) == {"exception.type": "ValueError"}
    assert found.instrumentation_scope is not None
    assert (found.instrumentation_scope.name, found.instrumentation_scope.version) == (
        "promptspan",
        "0.0.test",
    )
    assert found.resource.attributes["service.name"] == "faults"
    assert json.loads(found.to_json() or "")["name"] == "chat gpt-x"
    assert pipeline.stats().delivered == 1


def test_a_status_that_is_fine_carries_no_text() -> None:
    span = finished("x")
    span.status_code = STATUS_OK
    span.status_message = "all well"
    found = readable_span(span, Resource({}), "1")
    assert found.status.status_code is StatusCode.OK
    assert found.status.description is None


def test_both_ways_out_bring_the_same_span_to_a_receiver(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    ours = make_pipeline()
    theirs = make_pipeline(exporter=OTLPSpanExporter(endpoint=f"{sink.endpoint}/v1/traces"))
    for pipeline in (ours, theirs):
        pipeline.submit(SpanNote(full_span()))
        assert pipeline.flush(10)
    first, second = (received.message.resource_spans[0] for received in sink.accepted)
    one, two = first.scope_spans[0].spans[0], second.scope_spans[0].spans[0]
    # Their flags also say that it is known whether the parent is remote.
    two.flags = one.flags = 0
    one.attributes.sort(key=lambda pair: pair.key)
    two.attributes.sort(key=lambda pair: pair.key)
    one.start_time_unix_nano = two.start_time_unix_nano
    one.end_time_unix_nano = two.end_time_unix_nano
    assert one == two
    assert first.scope_spans[0].scope == second.scope_spans[0].scope


def test_a_value_that_an_exporter_cannot_write_costs_itself(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline(exporter=OTLPSpanExporter(endpoint=f"{sink.endpoint}/v1/traces"))
    bad: dict[str, Any] = {
        "fine": 1,
        "surrogate": "a\ud800b",
        "k\ud800": "v",
        "huge": 1 << 70,
        "nan": float("nan"),
        "odd": object(),
        "mixed": [1, "a"],
        "none": None,
        "nested": [[1]],
        "empty": [],
    }
    span = finished("bad\ud800", bad)
    span.status_code, span.status_message = STATUS_ERROR, "\udfff"
    pipeline.submit(SpanNote(span))
    emit(pipeline, 0, 5)
    assert pipeline.flush(10)
    assert len(sink.names()) == 6
    spans = sink.accepted[0].message.resource_spans[0].scope_spans[0].spans
    facts = {pair.key: pair.value for pair in spans[0].attributes}
    assert set(facts) == {"fine", "surrogate", "k\ufffd", "huge", "empty"}
    assert facts["surrogate"].string_value == "a\ufffdb"
    assert facts["huge"].string_value == str(1 << 70)


class Failing(SpanExporter):
    """Fails in the way it is told, and remembers."""

    def __init__(self, result: SpanExportResult | BaseException) -> None:
        self.result = result
        self.ended = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Fail."""
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        """The end."""
        self.ended.set()
        raise RuntimeError("no")


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, RuntimeError("no")], ids=["says so", "raises"])
def test_what_an_exporter_does_not_take_is_counted_as_lost(
    make_pipeline: Callable[..., Pipeline], result: SpanExportResult | BaseException
) -> None:
    exporter = Failing(result)
    pipeline = make_pipeline(exporter=exporter)
    emit(pipeline, 0, 10)
    assert pipeline.flush(5)
    assert dict(pipeline.stats().dropped) == {"export_failed": 10}
    pipeline.shutdown(2)
    assert exporter.ended.wait(5)


def test_the_console_exporter_works(make_pipeline: Callable[..., Pipeline]) -> None:
    console = io.StringIO()
    pipeline = make_pipeline(exporter=ConsoleSpanExporter(out=console))
    emit(pipeline, 0, 1)
    assert pipeline.flush(5)
    assert json.loads(console.getvalue())["name"] == "span-000000"


def test_without_an_exporter_the_sdk_of_opentelemetry_is_not_loaded() -> None:
    code = "import promptspan._export, sys; print('opentelemetry.sdk.trace' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_the_applications_own_provider_gets_a_standard_span_without_content() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "app"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = finished("ours", {"gen_ai.input.messages": "secret", "gen_ai.request.model": "gpt-x"})
    assert emit_to_provider(span, provider, "1", hidden=lambda key: key == "gen_ai.input.messages")
    with provider.get_tracer("app").start_as_current_span("theirs"):
        pass
    ours, theirs = exporter.get_finished_spans()
    assert dict(ours.attributes or {}) == {"gen_ai.request.model": "gpt-x"}
    assert ours.resource == theirs.resource
    assert ours.context is not None
    assert ours.context.span_id == span.span_id
    provider.shutdown()


def test_a_batching_processor_of_the_application_exports_ours_with_its_own() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    emit_to_provider(finished("ours"), provider, "1")
    dropped = finished("sampled out")
    dropped.trace_flags = 0
    emit_to_provider(dropped, provider, "1")
    provider.force_flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["ours"]
    provider.shutdown()


def test_a_provider_that_records_nothing_is_left_alone() -> None:
    assert not emit_to_provider(finished("x"), trace.NoOpTracerProvider(), "1")
    assert not emit_to_provider(finished("x"), trace.ProxyTracerProvider(), "1")


def test_an_exporter_that_hangs_does_not_hold_the_end(sink: Sink) -> None:
    sink.mode = hang
    pipeline = Pipeline(
        config(sink.endpoint, None, exporter=OTLPSpanExporter(f"{sink.endpoint}/v1/traces", timeout=2))
    )
    emit(pipeline, 0, 3)
    assert sink.wait_for_attempts(1)
    assert not pipeline.shutdown(0.2)
    assert pipeline.stats().queued == 3
