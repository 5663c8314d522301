"""OTLP over gRPC. Messages stay bytes: the engine decodes them, and Python only looks at their outline.

Source: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTimeError
from typing import TYPE_CHECKING, Any

import grpc

from promptspan_server.ingest.batcher import Batcher, OverloadedError, RefusedError
from promptspan_server.ingest.otlp_wire import MalformedError, count_items
from promptspan_server.ingest.rpc_status import UNAVAILABLE, status_protobuf
from promptspan_server.store.access import Access, DeniedError
from promptspan_server.store.codecs import BadEncodingError, TooLargeError, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.ingest.batcher import Signal

MAX_MESSAGE_BYTES = 16 << 20
_MAX_PLAIN_BYTES = 32 << 20
_THREADS = 24
_MAX_CALLS = 32
_DONE_S = 60.0
_RETRY_AFTER_S = 1
_METHODS: dict[str, Signal] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
}

_log = logging.getLogger(__name__)


class OtlpGrpc:
    """A gRPC server on threads of its own."""

    def __init__(self, batchers: Mapping[Signal, Batcher], access: Access, host: str, port: int) -> None:
        """Listen, without serving yet.

        Raises:
            OSError: The address cannot be used.
        """
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # gRPC would inflate a compressed message whole before it looks at its size.
            ("grpc.enable_per_message_decompression", 0),
            ("grpc.max_concurrent_streams", _MAX_CALLS),
            ("grpc.http2.max_ping_strikes", 0),
        ]
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="otlp-grpc")
        self._server = grpc.server(self._threads, options=options, maximum_concurrent_rpcs=_MAX_CALLS)
        self._server.add_generic_rpc_handlers((_Handler(batchers, access),))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(str(error)) from None
        if self.port == 0:
            raise OSError(f"cannot listen on {address}")

    def start(self) -> None:
        """Serve."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Refuse new calls, let running ones end."""
        self._server.stop(grace_s).wait(grace_s + 1)
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, batchers: Mapping[Signal, Batcher], access: Access) -> None:
        self._batchers = batchers
        self._access = access

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        signal = _METHODS.get(handler_call_details.method)
        if signal is None:
            return None
        batcher = self._batchers[signal]

        def export(message: bytes, context: Any) -> bytes:
            return self._export(batcher, message, context)

        return grpc.unary_unary_rpc_method_handler(export)

    def _export(self, batcher: Batcher, message: bytes, context: Any) -> bytes:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        try:
            self._access.check_bearer(metadata.get("authorization"))
            body = _plain(message)
            items = count_items(body) if body else 0
            if items:
                batcher.submit(body, items).result(_DONE_S)
        except DeniedError as denied:
            code = (
                grpc.StatusCode.UNAUTHENTICATED if denied.status == 401 else grpc.StatusCode.PERMISSION_DENIED
            )
            context.abort(code, denied.reason)
        except (MalformedError, BadEncodingError, RefusedError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except TooLargeError:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"The message is larger than {_MAX_PLAIN_BYTES} bytes."
            )
        except OverloadedError as error:
            _unavailable(context, str(error))
        except NotInTimeError:
            _unavailable(context, "The store is behind with its inserts.")
        # An empty Export*ServiceResponse: nothing was rejected.
        return b""


def _plain(message: bytes) -> bytes:
    # An OTLP request begins with field 1 (0x0A); these two first bytes can only be compression.
    if message[:2] == b"\x1f\x8b":
        return decode("gzip", message, _MAX_PLAIN_BYTES)
    if message[:1] == b"\x78":
        return decode("deflate", message, _MAX_PLAIN_BYTES)
    return message


def _unavailable(context: Any, reason: str) -> None:
    status = status_protobuf(UNAVAILABLE, reason, retry_after_s=_RETRY_AFTER_S)
    context.set_trailing_metadata((("grpc-status-details-bin", status),))
    context.abort(grpc.StatusCode.UNAVAILABLE, reason)
