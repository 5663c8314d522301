from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from promptspan_server.demo.chat_completions import completion, completion_chunks
from promptspan_server.demo.messages import message, message_events
from promptspan_server.demo.recording import RecordedUsage, Recording, estimate_tokens
from replay.asked import Asked, BadRequestError, Endpoint, read_request
from replay.billing import Billed
from replay.faults import fault_reply
from replay.recordings import Recordings
from replay.responses_api import embeddings, response, response_events
from replay.sse import cut_anywhere, data_event, named_event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
    from types import TracebackType

    from starlette.requests import Request
    from typing_extensions import Self

    from promptspan_server.demo.recording import Fault

_TO_ANTHROPIC = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}
_TO_OPENAI = {words: reason for reason, words in _TO_ANTHROPIC.items()}
_PATHS: dict[str, Endpoint] = {
    "/v1/chat/completions": "chat_completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "messages",
}
_ID_PREFIX = {
    "chat_completions": "chatcmpl-",
    "responses": "resp_",
    "embeddings": "embd-",
    "messages": "msg_",
}


class ReplayProvider:
    """The double, serving on a loopback port of its own while the context is open.

    `billed` grows by one record for every answer, before its last byte leaves. Requests that fail with an
    error status and streams that the caller leaves early are not billed. `latency` turns the recorded seconds
    into those to wait.
    """

    def __init__(
        self,
        recordings: Recordings | Iterable[Recording] = (),
        *,
        latency: Callable[[float], float] = lambda _: 0.0,
        retry_after_s: float = 0.01,
    ) -> None:
        self.billed: list[Billed] = []
        self.requests = 0
        self._recordings = recordings if isinstance(recordings, Recordings) else Recordings(recordings)
        self._latency = latency
        self._retry_after_s = retry_after_s
        self._planned: list[Fault] = []
        self._serial = itertools.count(1)
        self._lock = threading.Lock()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        routes = [Route(path, self._handler(endpoint), methods=["POST"]) for path, endpoint in _PATHS.items()]
        self._serving = threading.Event()
        app = Starlette(routes=routes, lifespan=self._lifespan)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, log_config=None, log_level="critical", access_log=False, ws="none", http="h11"
            )
        )
        self._thread = threading.Thread(target=self._run, name="replay-provider", daemon=True)

    @property
    def url(self) -> str:
        """Base of all endpoints; `base_url` of the Anthropic client."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def openai_url(self) -> str:
        """`base_url` of the OpenAI client."""
        return f"{self.url}/v1"

    def fail_next(self, *faults: Fault) -> None:
        """Plan faults for the next requests, one each, before what the recordings say."""
        with self._lock:
            self._planned.extend(faults)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._serving.wait(10):
            raise RuntimeError("the replay provider did not start within ten seconds")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncGenerator[None]:
        self._serving.set()
        yield

    def _handler(self, endpoint: Endpoint) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            started = time.perf_counter()
            provider = "anthropic" if endpoint == "messages" else "openai"
            with self._lock:
                self.requests += 1
                serial = next(self._serial)
                planned = self._planned.pop(0) if self._planned else None
            try:
                body: object = json.loads(await request.body())
                asked = read_request(endpoint, body)
            except (BadRequestError, ValueError) as error:
                return self._error(provider, "bad_request", str(error))
            with self._lock:
                recording = self._recordings.answer(provider=provider, model=asked.model, text=asked.text)
            recording = _in_words_of(provider, recording)
            fault = planned or recording.fault
            if fault == "timeout":
                await self._hang(request)
                return self._error(provider, "server_error", None)
            if fault is not None and fault != "dropped":
                return self._error(provider, fault, None)
            response_id = f"{_ID_PREFIX[endpoint]}replay{serial:08d}"
            headers = {"x-request-id": f"req_{serial:08d}", "request-id": f"req_{serial:08d}"}
            if asked.stream and endpoint != "embeddings":
                stream = self._stream(asked, recording, response_id, started, dropped=fault == "dropped")
                return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
            await asyncio.sleep(self._latency(recording.latency_ms / 1000))
            if fault == "dropped":
                return _HangUp()
            answer = self._whole(asked, recording, response_id)
            self._bill(asked, recording, response_id, started, reported=True)
            return JSONResponse(answer, headers=headers)

        return handle

    @staticmethod
    async def _hang(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def _error(self, provider: str, fault: Fault, text: str | None) -> Response:
        status, headers, body = fault_reply(provider, fault, retry_after_s=self._retry_after_s, message=text)
        return JSONResponse(body, status_code=status, headers=headers)

    def _whole(self, asked: Asked, recording: Recording, response_id: str) -> dict[str, Any]:
        created = int(time.time())
        if asked.endpoint == "messages":
            return message(recording, response_id=response_id)
        if asked.endpoint == "responses":
            return response(recording, response_id=response_id, created=created)
        if asked.endpoint == "embeddings":
            tokens = _embedded(asked).input_tokens
            return embeddings(asked.texts, model=asked.model, input_tokens=tokens, encoding=asked.encoding)
        return completion(recording, response_id=response_id, created=created)

    def _events(self, asked: Asked, recording: Recording, response_id: str) -> list[bytes]:
        created = int(time.time())
        if asked.endpoint == "messages":
            return [named_event(event) for event in message_events(recording, response_id=response_id)]
        if asked.endpoint == "responses":
            found = response_events(recording, response_id=response_id, created=created)
            return [named_event(event) for event in found]
        chunks = completion_chunks(
            recording, response_id=response_id, created=created, include_usage=asked.include_usage
        )
        return [*(data_event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]

    async def _stream(
        self, asked: Asked, recording: Recording, response_id: str, started: float, *, dropped: bool
    ) -> AsyncIterator[bytes]:
        packets = list(cut_anywhere(self._events(asked, recording, response_id), seed=response_id))
        if dropped:
            packets = packets[: max(1, len(packets) // 2)]
        first_s = self._latency(recording.ttft_ms / 1000)
        whole_s = max(first_s, self._latency(recording.latency_ms / 1000))
        for number, packet in enumerate(packets):
            due = started + first_s + (whole_s - first_s) * number / max(1, len(packets) - 1)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if number == len(packets) - 1:
                told = asked.endpoint != "chat_completions" or asked.include_usage
                self._bill(asked, recording, response_id, started, reported=told and not dropped)
            yield packet
        if dropped:
            raise ConnectionResetError("the recording says that the connection drops here")

    def _bill(
        self, asked: Asked, recording: Recording, response_id: str, started: float, *, reported: bool
    ) -> None:
        usage = _embedded(asked) if asked.endpoint == "embeddings" else recording.usage
        self.billed.append(
            Billed(
                endpoint=asked.endpoint,
                response_id=response_id,
                request_model=asked.model,
                response_model=asked.model if asked.endpoint == "embeddings" else recording.response_model,
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_5m_tokens=usage.cache_write_5m_tokens,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                latency_s=time.perf_counter() - started,
                streamed=asked.stream,
                reported=reported,
            )
        )


class _HangUp(StreamingResponse):
    """Headers, half a body, and no more."""

    def __init__(self) -> None:
        super().__init__(self._half(), media_type="application/json")

    @staticmethod
    async def _half() -> AsyncIterator[bytes]:
        yield b'{"id": "'
        raise ConnectionResetError("the recording says that the connection drops here")


def _embedded(asked: Asked) -> RecordedUsage:
    return RecordedUsage(input_tokens=sum(map(estimate_tokens, asked.texts)), output_tokens=0)


def _in_words_of(provider: str, recording: Recording) -> Recording:
    words = _TO_ANTHROPIC if provider == "anthropic" else _TO_OPENAI
    return replace(recording, finish_reason=words.get(recording.finish_reason, recording.finish_reason))
