"""OTLP over HTTP: protobuf and JSON, for traces and logs.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp. Metrics are not stored and answered 404, so that a
sender learns it at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from promptspan_server.ingest.batcher import Batcher, OverloadedError, RefusedError
from promptspan_server.ingest.json_otlp import JsonError, to_protobuf
from promptspan_server.ingest.markers import MAX_BODY_BYTES as MAX_MARKER_BYTES
from promptspan_server.ingest.otlp_wire import MalformedError, count_items
from promptspan_server.ingest.rpc_status import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    status_json,
    status_protobuf,
)
from promptspan_server.store.access import Access, DeniedError
from promptspan_server.store.http_body import BodyError, ClientGoneError, Incoming, decoded, discard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from promptspan_server.ingest.batcher import Signal

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 32 << 20
RETRY_AFTER_S = 1

_PATHS: dict[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs"}
_MARKERS = "/v1/markers"
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
# What all senders together may have in memory while it arrives.
_MAX_ARRIVING_BYTES = 128 << 20
_ARRIVE_S = 60.0

_log = logging.getLogger(__name__)


class OtlpHttp:
    """An ASGI application."""

    def __init__(
        self,
        batchers: Mapping[Signal, Batcher],
        access: Access,
        markers: Callable[[bytes], str] | None = None,
    ) -> None:
        """Take telemetry, and markers beside it.

        Args:
            batchers: Where bodies go.
            access: Who may come in.
            markers: Records the marker of a body and returns its id; raises ValueError for what is none.
        """
        self._batchers = batchers
        self._access = access
        self._markers = markers
        self._arriving_bytes = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        incoming = Incoming(receive)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        answer = _Answer(send, kind if kind == _JSON else _PROTOBUF)
        try:
            await self._route(scope, headers, kind, incoming, answer)
        except DeniedError as denied:
            code = UNAUTHENTICATED if denied.status == 401 else PERMISSION_DENIED
            await answer.fail(denied.status, code, denied.reason)
        except BodyError as error:
            await discard(incoming)
            await answer.fail(error.status, INVALID_ARGUMENT, error.reason)
        except (MalformedError, JsonError, RefusedError) as error:
            await answer.fail(400, INVALID_ARGUMENT, str(error))
        except OverloadedError as error:
            await answer.fail(503, UNAVAILABLE, str(error))
        except ClientGoneError:
            return
        except Exception:  # noqa: BLE001 - a fault of ours is this request's alone
            _log.exception("An OTLP request failed")
            await answer.fail(503, UNAVAILABLE, "Internal error of the store.")

    async def _route(
        self, scope: MutableMapping[str, Any], headers: Headers, kind: str, receive: Receive, answer: _Answer
    ) -> None:
        self._access.check_page(headers)
        path = scope["path"]
        if path == _MARKERS and self._markers is not None:
            await self._mark(scope, headers, kind, receive, answer)
            return
        signal = _PATHS.get(path)
        if signal is None:
            known = "this store takes traces and logs: /v1/traces, /v1/logs"
            reason = f"Metrics are not stored; {known}." if path == "/v1/metrics" else f"Not found; {known}."
            await answer.fail(404, NOT_FOUND, reason)
            return
        if scope["method"] != "POST":
            await answer.fail(405, INVALID_ARGUMENT, f"{path} takes POST.")
            return
        self._access.check_bearer(headers.get("authorization"))
        if kind not in {_PROTOBUF, _JSON}:
            raise BodyError(415, f"Content-Type {kind or 'none'!r} is not {_PROTOBUF} or {_JSON}.")
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise BodyError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        body = await self._read(headers, receive)
        items = 0
        if kind == _JSON:
            body = await _in_thread_if_large(to_protobuf, body, signal)
        if body:
            items = await _in_thread_if_large(count_items, body)
        if items:
            done = self._batchers[signal].submit(body, items)
            del body
            await asyncio.wrap_future(done)
        await answer.succeed()

    async def _mark(
        self, scope: MutableMapping[str, Any], headers: Headers, kind: str, receive: Receive, answer: _Answer
    ) -> None:
        assert self._markers is not None
        if scope["method"] != "POST":
            await answer.fail(405, INVALID_ARGUMENT, f"{_MARKERS} takes POST.")
            return
        self._access.check_bearer(headers.get("authorization"))
        if kind != _JSON:
            raise BodyError(415, f"Content-Type {kind or 'none'!r} is not {_JSON}.")
        body = await self._read(headers, receive, MAX_MARKER_BYTES)
        try:
            identity = await asyncio.to_thread(self._markers, body)
        except ValueError as error:
            await answer.fail(400, INVALID_ARGUMENT, str(error))
            return
        await answer.succeed(json.dumps({"id": identity}).encode())

    async def _read(self, headers: Headers, receive: Receive, most_bytes: int = MAX_BODY_BYTES) -> bytes:
        encoding = headers.get("content-encoding", "")
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in decoded(receive, encoding, most_bytes, within_s=_ARRIVE_S):
                pieces.append(piece)
                size += len(piece)
                self._arriving_bytes += len(piece)
                if self._arriving_bytes > _MAX_ARRIVING_BYTES:
                    raise OverloadedError("Too many large bodies arrive at once.")
            return b"".join(pieces)
        finally:
            self._arriving_bytes -= size


class _Answer:
    """The response, in the content type of the request."""

    def __init__(self, send: Send, kind: str) -> None:
        self._send = send
        self._kind = kind

    async def succeed(self, said: bytes | None = None) -> None:
        # An empty Export*ServiceResponse: nothing was rejected.
        await self._put(200, said or (b"{}" if self._kind == _JSON else b""), {})

    async def fail(self, status: int, code: int, reason: str) -> None:
        more: dict[str, str] = {}
        if status == 503:
            more["retry-after"] = str(RETRY_AFTER_S)
        if status == 401:
            more["www-authenticate"] = "Bearer"
        if status in {408, 413}:
            more["connection"] = "close"
        body = status_json(code, reason) if self._kind == _JSON else status_protobuf(code, reason)
        await self._put(status, body, more)

    async def _put(self, status: int, body: bytes, more: Mapping[str, str]) -> None:
        headers = {"content-type": self._kind, "content-length": str(len(body)), **more}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


async def _in_thread_if_large(run: Callable[..., Any], body: bytes, *more: object) -> Any:
    # Small bodies are done before a thread has woken; large ones must not stop all other senders.
    if len(body) < 1 << 18:
        return run(body, *more)
    return await asyncio.to_thread(run, body, *more)
