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

from replay import answers
from replay.asked import PROVIDERS, Asked, BadRequestError, Endpoint, read_request
from replay.billing import Billed
from replay.faults import fault_reply
from replay.recordings import Recordings
from replay.sse import cut_anywhere

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
    from types import TracebackType

    from starlette.requests import Request
    from typing_extensions import Self

    from promptspan_server.demo.recording import Fault, Recording

# A parameter of the path is the model, and in Google's the method too.
_PATHS: dict[str, Endpoint] = {
    "/v1/chat/completions": "chat_completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "messages",
    "/v1/models/{model:path}": "generate_content",
    "/v1beta/models/{model:path}": "generate_content",
    "/model/{model}/converse": "converse",
    "/model/{model}/converse-stream": "converse",
    "/model/{model}/invoke": "invoke",
    "/model/{model}/invoke-with-response-stream": "invoke",
    "/mistral/v1/chat/completions": "mistral",
    "/v2/chat": "cohere",
    "/api/chat": "ollama_chat",
    "/api/generate": "ollama_generate",
    "/api/embed": "ollama_embed",
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
            provider = PROVIDERS[endpoint]
            with self._lock:
                self.requests += 1
                serial = next(self._serial)
                planned = self._planned.pop(0) if self._planned else None
            try:
                body: object = json.loads(await request.body())
                asked = read_request(endpoint, body, path=request.url.path)
            except (BadRequestError, ValueError) as error:
                return self._error(provider, "bad_request", str(error))
            with self._lock:
                recording = self._recordings.answer(provider=provider, model=asked.model, text=asked.text)
            recording = replace(
                recording, finish_reason=answers.in_words_of(provider, recording.finish_reason)
            )
            fault = planned or recording.fault
            if fault == "timeout":
                await self._hang(request)
                return self._error(provider, "server_error", None)
            if fault is not None and fault != "dropped":
                return self._error(provider, fault, None)
            response_id = f"{answers.ID_PREFIX.get(endpoint, '')}replay{serial:08d}"
            headers = answers.headers(asked, recording, response_id)
            if asked.stream:
                stream = self._stream(asked, recording, response_id, started, dropped=fault == "dropped")
                return StreamingResponse(stream, media_type=answers.media_type(endpoint), headers=headers)
            await asyncio.sleep(self._latency(recording.latency_ms / 1000))
            if fault == "dropped":
                return _HangUp()
            answer = answers.whole(asked, recording, response_id)
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

    async def _stream(
        self, asked: Asked, recording: Recording, response_id: str, started: float, *, dropped: bool
    ) -> AsyncIterator[bytes]:
        packets = list(cut_anywhere(answers.events(asked, recording, response_id), seed=response_id))
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
        embeds = asked.endpoint in ("embeddings", "ollama_embed")
        usage = answers.embedded_usage(asked) if embeds else recording.usage
        self.billed.append(
            Billed(
                endpoint=asked.endpoint,
                response_id=response_id,
                request_model=asked.model,
                response_model=asked.model if embeds else recording.response_model,
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_5m_tokens=usage.cache_write_5m_tokens,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                audio_input_tokens=usage.audio_input_tokens,
                audio_output_tokens=usage.audio_output_tokens,
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
