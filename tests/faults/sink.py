"""A loopback OTLP/HTTP receiver that fails in the ways real ones do, and remembers every span it got."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = "application/x-protobuf"


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    message: ExportTraceServiceRequest
    at: float
    size: int

    @property
    def names(self) -> list[str]:
        """Names of its spans."""
        return [
            span.name
            for resource in self.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@dataclass
class Reply:
    """What to answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": PROTOBUF})


Mode = Callable[["Handler", Received], Reply | None]
"""Decides on one request: a reply, or ``None`` if it dealt with the connection itself."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        """Take one request and answer as the mode says."""
        sink = cast("SinkServer", self.server).sink
        body = self.rfile.read(int(self.headers["Content-Length"]))
        size = len(body)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        received = Received(
            {name.lower(): value for name, value in self.headers.items()},
            ExportTraceServiceRequest.FromString(body),
            time.monotonic(),
            size,
        )
        with sink.changed:
            sink.attempts.append(received)
            sink.changed.notify_all()
        reply = sink.mode(self, received)
        if reply is None:
            self.close_connection = True
            return
        if 200 <= reply.status < 300 and reply.headers.get("Content-Type") == PROTOBUF:
            sink.accept(received)
        self.answer(reply)

    def answer(self, reply: Reply) -> None:
        """Write a reply."""
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class SinkServer(ThreadingHTTPServer):
    """Knows its sink."""

    daemon_threads = True
    request_queue_size = 256
    sink: Sink

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests break off; that is the point."""


class Sink:
    """The receiver: start and stop it on one port as often as needed."""

    def __init__(self) -> None:
        self.mode: Mode = ok
        self.attempts: list[Received] = []
        self.accepted: list[Received] = []
        self.changed = threading.Condition()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._server: SinkServer | None = None

    @property
    def endpoint(self) -> str:
        """What to configure."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._server = SinkServer(("127.0.0.1", self.port), Handler)
        self._server.sink = self
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def start_over(self) -> None:
        """Take everything from now on, and forget what was before."""
        self.mode = ok
        with self.changed:
            self.attempts.clear()
            self.accepted.clear()

    def accept(self, received: Received) -> None:
        """Count a request as stored."""
        with self.changed:
            self.accepted.append(received)
            self.changed.notify_all()

    def names(self) -> Counter[str]:
        """How often each span was stored, by name."""
        with self.changed:
            return Counter(name for received in self.accepted for name in received.names)

    def wait(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
        """Wait until something holds, looking after every request."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.05))
        return True

    def wait_for_spans(self, count: int, timeout_s: float = 15.0) -> bool:
        """Wait until so many different spans are stored."""
        return self.wait(lambda: len(self.names()) >= count, timeout_s)

    def wait_for_attempts(self, count: int, timeout_s: float = 15.0) -> bool:
        """Wait until so many requests were made."""
        return self.wait(lambda: len(self.attempts) >= count, timeout_s)


@contextmanager
def running_sink() -> Generator[Sink]:
    """A sink that listens."""
    sink = Sink()
    sink.start()
    try:
        yield sink
    finally:
        sink.stop()


def ok(handler: Handler, received: Received) -> Reply:
    """Take everything."""
    del handler, received
    return Reply()


def status(code: int, **headers: str) -> Mode:
    """Answer with one status, always."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def mode(handler: Handler, received: Received) -> Reply:
        del handler, received
        return Reply(code, b"", {"Content-Type": "text/plain", **named})

    return mode


def html(handler: Handler, received: Received) -> Reply:
    """A portal that says 200 to everything."""
    del handler, received
    return Reply(200, b"<html><body>please log in</body></html>", {"Content-Type": "text/html"})


def partial(rejected: int, message: str = "no thanks") -> Mode:
    """Take a request but for some spans."""

    def mode(handler: Handler, received: Received) -> Reply:
        del handler, received
        reply = ExportTraceServiceResponse()
        reply.partial_success.rejected_spans = rejected
        reply.partial_success.error_message = message
        return Reply(200, reply.SerializeToString())

    return mode


def hang(handler: Handler, received: Received) -> None:
    """Never answer."""
    del received
    handler.connection.settimeout(20)
    try:
        handler.connection.recv(1)  # returns when the client gives up
    except OSError:
        return


def drip(handler: Handler, received: Received) -> None:
    """Answer one byte at a time, for as long as anybody listens."""
    del received
    pause = threading.Event()
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not pause.wait(0.02):
            handler.wfile.write(b".")
            handler.wfile.flush()
    except OSError:
        return


def lose_reply(handler: Handler, received: Received) -> None:
    """Store the spans and break the connection before the reply."""
    cast("SinkServer", handler.server).sink.accept(received)


def bomb(handler: Handler, received: Received) -> Reply:
    """Half a gigabyte of zeros in a small packed reply."""
    del handler, received
    return Reply(200, BOMB, {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"})


def flood(handler: Handler, received: Received) -> None:
    """A reply without an end."""
    del received
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\r\n")
        for _ in range(100_000):
            handler.wfile.write(b"\0" * 65_536)
    except OSError:
        return


def refuse_poison(handler: Handler, received: Received) -> Reply:
    """Refuse each request that holds a span whose name begins with "poison"."""
    if any(name.startswith("poison") for name in received.names):
        return Reply(400, b"", {"Content-Type": "text/plain"})
    return ok(handler, received)


def in_turn(*modes: Mode) -> Mode:
    """One mode after the other; the last one stays."""
    left = list(modes)
    turn = threading.Lock()

    def mode(handler: Handler, received: Received) -> Reply | None:
        with turn:
            now = left.pop(0) if len(left) > 1 else left[0]
        return now(handler, received)

    return mode


def _make_bomb() -> bytes:
    packer_input = b"\0" * (1 << 20)
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(packer_input) for _ in range(50)]  # 50 MB in 50 KB
    return b"".join([*parts, packer.flush()])


BOMB = _make_bomb()
