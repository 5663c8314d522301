"""Spans as a receiver of OTLP gets them, in the form of ``opentelemetry-sdk``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


def spans_of(request: ExportTraceServiceRequest) -> list[ReadableSpan]:
    """All spans of one request."""
    return [
        _span(
            span, Resource(_attributes(resource.resource.attributes)), scope.scope.name, scope.scope.version
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _span(span: Span, resource: Resource, scope: str, version: str) -> ReadableSpan:
    flags, state = TraceFlags(span.flags & 0xFF), TraceState.from_header([span.trace_state])

    def context(span_id: bytes) -> SpanContext:
        ids = int.from_bytes(span.trace_id, "big"), int.from_bytes(span_id, "big")
        return SpanContext(*ids, is_remote=False, trace_flags=flags, trace_state=state)

    return ReadableSpan(
        name=span.name,
        context=context(span.span_id),
        parent=context(span.parent_span_id) if span.parent_span_id else None,
        resource=resource,
        attributes=_attributes(span.attributes),
        events=[
            Event(event.name, _attributes(event.attributes), event.time_unix_nano) for event in span.events
        ],
        kind=SpanKind(span.kind - 1),
        status=Status(StatusCode(span.status.code), span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=InstrumentationScope(scope, version),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    found = [(pair.key, _value(pair.value)) for pair in pairs]
    assert len(dict(found)) == len(found), "an attribute was written twice"
    return dict(found)


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    assert kind in ("string_value", "bool_value", "int_value", "double_value"), kind
    return getattr(value, kind)
