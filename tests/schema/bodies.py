"""OTLP bodies made by hand, with the official protobuf classes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

Value = str | bool | int | float | bytes | Sequence["Value"] | Mapping[str, "Value"] | None

_numbers = itertools.count(1)

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND


def span_number() -> str:
    """A span id that no other span of the test run has."""
    return f"{next(_numbers):016x}"


@dataclass
class Event:
    name: str
    at_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass
class Span:
    attributes: Mapping[str, Value]
    name: str = "chat gpt-4o"
    scope: str = "promptspan"
    scope_version: str = "1.0"
    kind: int = 3
    start_ns: int = field(default_factory=lambda: time.time_ns() - 60 * SECOND)
    duration_ns: int = 800 * MILLISECOND
    span_id: str = field(default_factory=span_number)
    parent_span_id: str = ""
    trace_id: str = field(default_factory=lambda: span_number() * 2)
    status_code: int = 0
    status_message: str = ""
    events: Sequence[Event] = ()


@dataclass
class LogRecord:
    attributes: Mapping[str, Value]
    event_name: str = ""
    body: Value = None
    time_ns: int = field(default_factory=time.time_ns)
    trace_id: str = ""
    span_id: str = ""


RESOURCE: Mapping[str, Value] = {"service.name": "inbox", "deployment.environment.name": "prod"}


def traces(*spans: Span, resource: Mapping[str, Value] = RESOURCE) -> bytes:
    """One ExportTraceServiceRequest."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in resource.items():
        pair = resource_spans.resource.attributes.add(key=key)
        _fill(pair.value, value)
    for span in spans:
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = span.scope
        scope_spans.scope.version = span.scope_version
        message = scope_spans.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_span_id),
            name=span.name,
            kind=span.kind,  # pyright: ignore[reportArgumentType]
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.start_ns + span.duration_ns,
        )
        message.status.code = span.status_code  # pyright: ignore[reportAttributeAccessIssue]
        message.status.message = span.status_message
        for key, value in span.attributes.items():
            _fill(message.attributes.add(key=key).value, value)
        for event in span.events:
            added = message.events.add(name=event.name, time_unix_nano=event.at_ns)
            for key, value in event.attributes.items():
                _fill(added.attributes.add(key=key).value, value)
    return request.SerializeToString()


def logs(*records: LogRecord, resource: Mapping[str, Value] = RESOURCE) -> bytes:
    """One ExportLogsServiceRequest."""
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    for key, value in resource.items():
        _fill(resource_logs.resource.attributes.add(key=key).value, value)
    scope_logs = resource_logs.scope_logs.add()
    for record in records:
        message = scope_logs.log_records.add(
            time_unix_nano=record.time_ns,
            event_name=record.event_name,
            trace_id=bytes.fromhex(record.trace_id),
            span_id=bytes.fromhex(record.span_id),
        )
        _fill(message.body, record.body)
        for key, value in record.attributes.items():
            _fill(message.attributes.add(key=key).value, value)
    return request.SerializeToString()


def _fill(target: AnyValue, value: Value) -> None:
    match value:
        case None:
            pass
        case bool():
            target.bool_value = value
        case int():
            target.int_value = value
        case float():
            target.double_value = value
        case str():
            target.string_value = value
        case bytes():
            target.bytes_value = value
        case Mapping():
            target.kvlist_value.SetInParent()
            for key, item in value.items():
                _fill(target.kvlist_value.values.add(key=key).value, item)
        case _:
            target.array_value.SetInParent()
            for item in value:
                _fill(target.array_value.values.add(), item)
