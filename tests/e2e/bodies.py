"""OTLP bodies with ids of one's own choosing."""

from __future__ import annotations

import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def number(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))


def model_call(span_id: int, *, prompt: str, input_tokens: int = 10, output_tokens: int = 2) -> Span:
    now = time.time_ns()
    return Span(
        trace_id=span_id.to_bytes(16, "big"),
        span_id=span_id.to_bytes(8, "big"),
        name="chat gpt-4o-mini",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now - 50_000_000,
        end_time_unix_nano=now,
        attributes=[
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            text("gen_ai.prompt.name", prompt),
            text("gen_ai.prompt.version", "1"),
            number("gen_ai.usage.input_tokens", input_tokens),
            number("gen_ai.usage.output_tokens", output_tokens),
        ],
    )


def request(*spans: Span, service: str = "e2e") -> bytes:
    resource = Resource(attributes=[text("service.name", service)])
    scope = ScopeSpans(scope=InstrumentationScope(name="e2e"), spans=spans)
    wrapped = ResourceSpans(resource=resource, scope_spans=[scope])
    return ExportTraceServiceRequest(resource_spans=[wrapped]).SerializeToString()
