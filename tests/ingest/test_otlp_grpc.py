from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from ingest.otlp import logs, traces
from ingest.test_otlp_http import Sink
from promptspan_server.ingest.batcher import Batcher
from promptspan_server.ingest.otlp_grpc import OtlpGrpc
from promptspan_server.store.access import Access
from promptspan_server.store.engine import Engine, StoreError

if TYPE_CHECKING:
    from collections.abc import Generator

    from promptspan_server.ingest.batcher import Signal

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    with Engine.open(tmp_path_factory.mktemp("grpc")) as opened:
        yield opened


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture(params=[None])
def port(engine: Engine, sink: Sink, request: pytest.FixtureRequest) -> Generator[int]:
    batchers: dict[Signal, Batcher] = {
        "traces": Batcher(engine, "traces", sink, wait_s=0),
        "logs": Batcher(engine, "logs", sink, wait_s=0),
    }
    server = OtlpGrpc(batchers, Access("127.0.0.1", request.param), "127.0.0.1", 0)
    server.start()
    yield server.port
    server.stop(1.0)
    for batcher in batchers.values():
        batcher.close()


def call(port: int, method: str, body: bytes, **options: Any) -> Any:
    grpc_options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=grpc_options) as opened:
        channel: Any = opened
        export = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        return export(body, timeout=30, **options)


def failure(port: int, method: str, body: bytes, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as raised:
        call(port, method, body, **options)
    return raised.value


def test_traces_and_logs_are_acknowledged(port: int, sink: Sink) -> None:
    assert call(port, TRACES, traces(1, 2)) == b""
    assert call(port, LOGS, logs("a")) == b""
    assert call(port, TRACES, b"") == b""
    assert sink.bodies == [("traces", traces(1, 2)), ("logs", logs("a"))]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_read(port: int, sink: Sink, compression: grpc.Compression) -> None:
    body = traces(*range(1, 300))
    assert call(port, TRACES, body, compression=compression) == b""
    assert sink.bodies == [("traces", body)]


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_exporter_of_opentelemetry_delivers(port: int, sink: Sink, compression: grpc.Compression) -> None:
    exporter = OTLPSpanExporter(endpoint=f"127.0.0.1:{port}", insecure=True, compression=compression)
    provider = TracerProvider()
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    with provider.get_tracer("t").start_as_current_span("real"):
        pass
    provider.shutdown()
    assert sink.items() == 1
    assert b"real" in sink.bodies[0][1]


def test_metrics_are_not_implemented_and_say_so(port: int) -> None:
    assert failure(port, METRICS, b"").code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "body",
    [b"\xff" * 50, traces(1, 2)[:-7], b"\x1f\x8bnot gzip", b"\x78\x9cnot deflate", gzip.compress(b"\xff")],
)
def test_malformed_messages_are_refused_and_others_are_served(port: int, sink: Sink, body: bytes) -> None:
    refused = failure(port, TRACES, body)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(refused.details()) > 10
    assert call(port, TRACES, traces(1)) == b""
    assert sink.items() == 1


def test_messages_that_are_or_become_too_large_are_refused(port: int, sink: Sink) -> None:
    assert failure(port, TRACES, bytes(17 << 20)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    bomb = failure(port, TRACES, bytes(100 << 20), compression=grpc.Compression.Gzip)
    assert bomb.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert call(port, TRACES, traces(1)) == b""
    assert sink.items() == 1


def test_trouble_of_the_store_asks_for_a_retry(port: int, sink: Sink) -> None:
    sink.error = StoreError(241, "MEMORY_LIMIT_EXCEEDED", "no room")
    refused = failure(port, TRACES, traces(1))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    metadata = dict(refused.trailing_metadata())
    retry = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 1


@pytest.mark.parametrize("port", ["secret"], indirect=True)
def test_with_a_token_only_those_who_present_it_are_served(port: int, sink: Sink) -> None:
    assert failure(port, TRACES, traces(1)).code() is grpc.StatusCode.UNAUTHENTICATED
    wrong = (("authorization", "Bearer wrong"),)
    assert failure(port, TRACES, traces(1), metadata=wrong).code() is grpc.StatusCode.PERMISSION_DENIED
    assert sink.bodies == []
    right = (("authorization", "Bearer secret"),)
    assert call(port, TRACES, traces(1), metadata=right) == b""


def test_a_port_in_use_is_an_error(engine: Engine, port: int) -> None:
    with pytest.raises(OSError, match=str(port)):
        OtlpGrpc({}, Access("127.0.0.1"), "127.0.0.1", port)
