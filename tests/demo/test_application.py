from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import promptspan
from promptspan_server.demo.application import Application
from promptspan_server.demo.history import PastCall, bodies
from promptspan_server.demo.recording import Recording, load_recordings
from promptspan_server.demo.traffic import PlannedCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.sdk.trace import ReadableSpan


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    promptspan.configure(service_name="demo-test", exporter=kept, spool=None, capture_content=True)
    yield kept
    promptspan.shutdown()


def request(recording: Recording, **changes: Any) -> PlannedCall:
    feature = {
        "inbox-summary": "inbox",
        "search-rewrite": "product-search",
        "contract-extract": "contract-register",
    }
    known: dict[str, Any] = {
        "recording": recording,
        "feature": feature[recording.prompt],
        "tenant": "t",
        "user": "u",
        "session": "s",
        "stream": recording.prompt == "search-rewrite",
        "include_usage": True,
        "leaves_early": False,
    }
    return PlannedCall(**(known | changes))


def model_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    assert promptspan.flush(5)
    return [
        span
        for span in exporter.get_finished_spans()
        if (span.attributes or {}).get("gen_ai.operation.name") == "chat"
    ]


def plain(value: AnyValue) -> Any:
    kind = str(value.WhichOneof("value"))
    if kind == "array_value":
        return tuple(plain(item) for item in value.array_value.values)
    return getattr(value, kind)


def facts(span: ReadableSpan) -> tuple[Any, ...]:
    known = span.attributes or {}
    return tuple(
        known.get(key)
        for key in (
            "gen_ai.prompt.name",
            "gen_ai.prompt.version",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
        )
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_every_recording_becomes_a_span_with_the_tokens_it_was_billed(
    exporter: InMemorySpanExporter, stream: bool
) -> None:
    application = Application(latency_scale=0)
    answered = [recording for recording in load_recordings() if recording.fault is None]
    for recording in answered:
        streamed = recording.prompt == "search-rewrite" or (stream and recording.provider == "anthropic")
        await application.handle(request(recording, stream=streamed))
    billed = Counter(
        (
            recording.prompt,
            recording.version,
            recording.provider,
            recording.request_model,
            recording.usage.input_tokens,
            recording.usage.output_tokens,
        )
        for recording in answered
    )
    assert Counter(map(facts, model_spans(exporter))) == billed


async def test_who_asks_is_on_the_span_and_the_user_only_as_a_hash(exporter: InMemorySpanExporter) -> None:
    recording = load_recordings()[-1]
    await Application(latency_scale=0).handle(request(recording))
    [span] = model_spans(exporter)
    known = span.attributes or {}
    assert (known["promptspan.tenant"], known["session.id"]) == ("t", "s")
    assert known["user.id"] not in {None, "u"}


async def test_a_providers_error_is_an_error_of_its_span_and_not_of_the_application(
    exporter: InMemorySpanExporter,
) -> None:
    failing = [recording for recording in load_recordings() if recording.fault is not None]
    application = Application(latency_scale=0)
    for recording in failing:
        await application.handle(request(recording))
    statuses = Counter((span.attributes or {})["error.type"] for span in model_spans(exporter))
    assert sum(statuses.values()) == len(failing) > 0


async def test_a_reader_who_leaves_early_leaves_an_incomplete_call(exporter: InMemorySpanExporter) -> None:
    recording = next(recording for recording in load_recordings() if recording.prompt == "search-rewrite")
    await Application(latency_scale=0).handle(request(recording, leaves_early=True))
    [span] = model_spans(exporter)
    assert (span.attributes or {})["promptspan.status"] == "incomplete"


async def test_a_search_is_a_workflow_with_the_model_call_inside(exporter: InMemorySpanExporter) -> None:
    recording = next(recording for recording in load_recordings() if recording.prompt == "search-rewrite")
    await Application(latency_scale=0).handle(request(recording))
    [inner] = model_spans(exporter)
    [outer] = [span for span in exporter.get_finished_spans() if span is not inner]
    assert (outer.attributes or {})["gen_ai.operation.name"] == "invoke_workflow"
    assert "gen_ai.usage.input_tokens" not in (outer.attributes or {})
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id


@pytest.mark.parametrize(
    ("prompt", "changes"),
    [
        ("inbox-summary", {}),
        ("search-rewrite", {}),
        ("search-rewrite", {"leaves_early": True}),
        ("contract-extract", {}),
        ("contract-extract", {"stream": True, "leaves_early": True}),
    ],
)
async def test_a_past_call_reads_as_the_live_one_does(
    exporter: InMemorySpanExporter, prompt: str, changes: dict[str, Any]
) -> None:
    plans = [
        request(recording, **changes)
        for recording in load_recordings()
        if recording.prompt == prompt and not (recording.fault and changes)
    ]
    application = Application(latency_scale=0)
    for plan in plans:
        await application.handle(plan)
    live = model_spans(exporter)
    now = datetime(2026, 3, 4, tzinfo=timezone.utc)
    [body] = bodies(iter([PastCall(now, str(number), plan) for number, plan in enumerate(plans)]))
    [scope] = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans
    their_own = {"gen_ai.response.id", "gen_ai.response.time_to_first_chunk", "promptspan.prompt.template"}
    for past, span in zip(scope.spans, live, strict=True):
        told = {one.key: one.value for one in past.attributes if one.key not in their_own}
        seen = dict(span.attributes or {})
        assert set(told) <= set(seen)
        for key, value in told.items():
            if key not in {"gen_ai.input.messages", "gen_ai.output.messages"}:
                assert plain(value) == seen[key], key
            else:
                assert json.loads(value.string_value) == json.loads(str(seen[key])), key
