"""The providers' double: answers from a script, on loopback, and remembers what it billed."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from schema.capturing import replies as say
from schema.capturing import replies_of_others as others
from schema.capturing.replies import Json, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_IDS = {
    "chat": "chatcmpl-",
    "completions": "cmpl-",
    "responses": "resp_",
    "messages": "msg_",
    "embeddings": "",
}


# How paths end: the API, and whether it streams where the body does not say so.
_PATHS: dict[str, tuple[str, bool | None]] = {
    "/mistral/v1/chat/completions": ("mistral", None),
    "/groq/openai/v1/chat/completions": ("groq", None),
    "/v2/chat": ("cohere", None),
    "/api/chat": ("ollama", None),
    "/chat/completions": ("chat", None),
    "/completions": ("completions", None),
    "/responses": ("responses", None),
    "/embeddings": ("embeddings", None),
    "/messages": ("messages", None),
    "/invoke": ("invoke", False),
    "/converse": ("converse", False),
    "/converse-stream": ("converse", True),
    ":generateContent": ("gemini", False),
    ":streamGenerateContent": ("gemini", True),
}
_MODEL = re.compile(r"/models?/(.+?)(?:/(?:invoke|converse|converse-stream)|:(?:g|streamG)enerateContent)$")
_TYPES = {"converse": "application/vnd.amazon.eventstream", "ollama": "application/x-ndjson"}


class Double:
    """Serves until closed. `play` sets the answers of the next requests, in order.

    `billed` is what was answered: the reply, the API, and if usage was sent.
    """

    def __init__(self) -> None:
        self._script: deque[Reply] = deque()
        self._serial = 0
        self.billed: list[Json] = []
        self.seed = ""
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                double.answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def play(self, replies: Iterable[Reply], seed: str) -> None:
        self._script = deque(replies)
        self._serial = 0
        self.seed = seed
        self.billed = []

    def close(self) -> None:
        self._server.shutdown()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        body: Json = json.loads(raw or b"{}")
        path = handler.path.split("?")[0]
        reply = self._script.popleft() if self._script else Reply()
        self._serial += 1
        api, streams = next((told for end, told in _PATHS.items() if path.endswith(end)), (path, None))
        response_id = f"{_IDS.get(api, 'r-')}{self.seed}{self._serial:02d}"
        # Ollama streams unless told otherwise.
        stream = bool(body.get("stream", api == "ollama")) if streams is None else streams
        named = _MODEL.search(unquote(path))
        record: Json = {
            "api": api,
            "response_id": response_id,
            "reply": reply,
            "model": named[1] if named else body.get("model", ""),
            "stream": stream,
            "body": body,
            "sent_usage": False,
        }
        self.billed.append(record)
        if reply.status != 200:
            self._whole(handler, say.failure(reply, api), status=reply.status)
            return
        if not stream:
            record["sent_usage"] = reply.tells_usage
            self._whole(handler, self._body(api, reply, response_id, body))
            return
        options: Json = body.get("stream_options") or {}
        told = api != "chat" or bool(options.get("include_usage"))
        record["told"] = told and reply.tells_usage
        self._stream(handler, self._packets(api, reply, response_id, told=told), record)

    @staticmethod
    def _packets(api: str, reply: Reply, response_id: str, *, told: bool) -> list[bytes]:
        if api == "converse":
            return others.converse_events(reply)
        events: list[Json] = {
            "chat": lambda: say.chat_chunks(reply, response_id, include_usage=told),
            "mistral": lambda: others.chat_chunks(reply, response_id),
            "groq": lambda: others.chat_chunks(reply, response_id, usage_in="x_groq"),
            "responses": lambda: say.response_events(reply, response_id),
            "messages": lambda: say.message_events(reply, response_id),
            "gemini": lambda: others.gemini_chunks(reply, response_id),
            "ollama": lambda: others.ollama_chunks(reply),
            "cohere": lambda: others.cohere_events(reply, response_id),
        }[api]()
        if api == "ollama":
            return [json.dumps(event).encode() + b"\n" for event in events]
        named = api in {"messages", "responses", "cohere"}
        lines = [
            (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n"
            for event in events
        ]
        if api in {"chat", "mistral", "groq"}:
            lines.append("data: [DONE]\n\n")
        return [line.encode() for line in lines]

    @staticmethod
    def _body(api: str, reply: Reply, response_id: str, body: Json) -> Json:
        if api == "embeddings":
            asked: Any = body.get("input")
            count = len(asked) if isinstance(asked, list) else 1  # pyright: ignore[reportUnknownArgumentType]
            return say.embeddings(reply, count, body.get("encoding_format", "float"))
        if api in {"converse", "ollama"}:  # without an id
            return others.converse(reply) if api == "converse" else others.ollama(reply)
        return {
            "chat": say.chat_completion,
            "mistral": say.chat_completion,
            "groq": say.chat_completion,
            "completions": say.text_completion,
            "responses": say.response,
            "messages": say.message,
            "invoke": say.message,
            "gemini": others.gemini,
            "cohere": others.cohere,
        }[api](reply, response_id)

    @staticmethod
    def _whole(handler: BaseHTTPRequestHandler, body: Json, status: int = 200) -> None:
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.send_header("request-id", "req_1")
        handler.end_headers()
        handler.wfile.write(data)

    @staticmethod
    def _stream(handler: BaseHTTPRequestHandler, packets: Sequence[bytes], record: Json) -> None:
        reply: Reply = record["reply"]
        handler.send_response(200)
        handler.send_header("content-type", _TYPES.get(record["api"], "text/event-stream"))
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        try:
            for number, packet in enumerate(packets):
                if number == reply.break_after:
                    handler.connection.close()
                    return
                time.sleep(reply.pace_s)
                handler.wfile.write(f"{len(packet):x}\r\n".encode() + packet + b"\r\n")
                handler.wfile.flush()
            record["sent_usage"] = record.get("told", reply.tells_usage)
            handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
