"""OTLP requests of our own making."""

from __future__ import annotations

import time

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# Recent: spans have a short life in the store.
START_NS = time.time_ns() - 60_000_000_000


def traces(*ids: int) -> bytes:
    """A request with one span for each id."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in ids:
        span = scope.spans.add()
        span.trace_id = number.to_bytes(16, "big")
        span.span_id = number.to_bytes(8, "big")
        span.name = f"chat {number}"
        span.start_time_unix_nano = START_NS + number
        span.end_time_unix_nano = START_NS + number + 1_000_000
        attribute = span.attributes.add()
        attribute.key = "gen_ai.request.model"
        attribute.value.string_value = "m"
    return request.SerializeToString()


def logs(*texts: str) -> bytes:
    """A request with one record for each text."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for text in texts:
        record = scope.log_records.add()
        record.time_unix_nano = START_NS
        record.body.string_value = text
    return request.SerializeToString()
