"""A loopback OTLP/HTTP sink in a process of its own: takes everything at once and counts spans.

Prints its port, then for each line that it reads the number of spans since the last one.
"""

from __future__ import annotations

import gzip
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def members(body: bytes, field: int) -> list[bytes]:
    """The length-delimited members of one message that have this field number."""
    found: list[bytes] = []
    at = 0
    while at < len(body):
        tag, at = varint(body, at)
        kind = tag & 7
        if kind == 2:
            size, at = varint(body, at)
            if tag >> 3 == field:
                found.append(body[at : at + size])
            at += size
        elif kind == 0:
            _, at = varint(body, at)
        else:
            at += 8 if kind == 1 else 4
    return found


def spans_in(body: bytes) -> int:
    """How many spans an ``ExportTraceServiceRequest`` holds."""
    return sum(len(members(scope, 2)) for resource in members(body, 1) for scope in members(resource, 2))


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    spans = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/v1/traces"):
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            count = spans_in(body)
            with Sink.lock:
                Sink.spans += count
        self.answer(b"" if self.path.endswith("/v1/traces") else b"{}")

    def do_GET(self) -> None:
        self.answer(b"{}")

    do_PATCH = do_PUT = do_POST  # noqa: N815  # the server looks them up by these names

    def answer(self, body: bytes) -> None:
        kind = "application/x-protobuf" if self.path.endswith("/v1/traces") else "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        with Sink.lock:
            count, Sink.spans = Sink.spans, 0
        print(count, flush=True)
