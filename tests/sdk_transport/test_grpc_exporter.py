"""OpenTelemetry's own OTLP exporter over gRPC, as an application would give it to ``configure()``."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import promptspan

grpc = pytest.importorskip("grpc")
otlp = pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.lock = threading.Lock()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  # the service's name for it
        with self.lock:
            self.spans += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, int]]:
    server: Any = grpc.server(ThreadPoolExecutor(2))
    receiver = Receiver()
    add: Any = vars(trace_service_pb2_grpc)["add_TraceServiceServicer_to_server"]
    add(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield receiver, port
    server.stop(0).wait(5)


def test_spans_reach_a_receiver_over_grpc_with_every_attribute(receiver: tuple[Receiver, int]) -> None:
    received, port = receiver
    exporter = otlp.OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True)
    promptspan.configure(service_name="inbox", exporter=exporter, spool=None)

    @promptspan.traced_prompt(prompt="sums", version="7", tags=["a", "b"])
    def ask() -> Any:
        return {
            "object": "chat.completion",
            "model": "gpt-4o",
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Four."}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3},
        }

    try:
        ask()
        assert promptspan.flush(20)
        (span,) = received.spans
        facts = {pair.key: pair.value for pair in span.attributes}
        assert facts["gen_ai.usage.input_tokens"].int_value == 12
        assert facts["gen_ai.prompt.version"].string_value == "7"
        assert [item.string_value for item in facts["promptspan.tags"].array_value.values] == ["a", "b"]
        assert span.name == "chat gpt-4o"
        assert promptspan.stats().delivered == 1
    finally:
        promptspan.shutdown(5)
