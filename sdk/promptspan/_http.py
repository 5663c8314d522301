"""One POST over HTTP/1.1: a single monotonic deadline for all of it, and a cap on the reply.

Written on sockets because the usual clients do neither: their timeouts start anew with every byte that comes
in, and they unpack whatever a reply claims to hold. And ``http.client`` takes 40 ms to import.
"""

from __future__ import annotations

import socket
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ._process import not_while_forking

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

MAX_REPLY_BYTES = 64 * 1024

_BLOCK_BYTES = 16 * 1024


class HttpError(Exception):
    """No usable reply: connection, time, or a reply that is not HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply.

    Attributes:
        status: HTTP status code.
        headers: Names in lower case; of repeated ones the last.
        body: Unpacked, at most 64 KB.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """A keep-alive connection to one URL; used by one thread at a time."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """Prepare the fixed part of each request; connects at the first one.

        Raises:
            ValueError: Not an http or https URL, or a header that would break the request.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url!r}")
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any("\r" in line or "\n" in line or "\0" in line for line in lines):
            raise ValueError("a header or the URL holds a line break")
        lines.append("Accept-Encoding: identity")
        self._head = "\r\n".join(lines).encode("latin-1", "replace")
        self._socket: socket.socket | None = None
        self._context: ssl.SSLContext | None = None
        self._deadline = 0.0
        self._read = 0

    def post(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Reply:
        """Send one request and read its reply, all within ``timeout_s`` seconds.

        Raises:
            HttpError: Refused, broken, too slow, too large or not HTTP. The connection is closed then.
        """
        self._deadline = time.monotonic() + timeout_s
        extra = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
        head = self._head + f"{extra}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1")
        kept = self._socket is not None
        try:
            try:
                return self._exchange(head, body)
            except (ConnectionError, _ClosedEarlyError):
                # The other side may close a kept connection at any time; a new one gets one try.
                if not kept:
                    raise
                self.close()
                return self._exchange(head, body)
        except (OSError, ValueError, _ClosedEarlyError) as error:
            self.close()
            raise HttpError(f"{type(error).__name__}: {error}") from error
        except HttpError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        sock, self._socket = self._socket, None
        if sock is not None:
            try:
                sock.close()
            except OSError:
                return

    def _exchange(self, head: bytes, body: bytes) -> Reply:
        sock = self._socket or self._connect()
        self._read = 0
        view = memoryview(head + body)
        try:
            while view:
                sock.settimeout(self._left())
                view = view[sock.send(view[: 4 * _BLOCK_BYTES]) :]
        except ConnectionError:
            # A server that refuses a large body may answer and close before it has read all of it.
            try:
                reply = self._reply(sock)
            except (HttpError, OSError, ValueError, _ClosedEarlyError):
                reply = None
            if reply is None:
                raise
            self.close()
            return reply
        return self._reply(sock)

    def _connect(self) -> socket.socket:
        sock = socket.create_connection((self._host, self._port), self._left())
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock.settimeout(self._left())
                sock = self._tls_context().wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        return sock

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            with not_while_forking():
                import ssl

                self._context = ssl.create_default_context()
        return self._context

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise HttpError("no complete reply in time")
        return left

    def _receive(self, sock: socket.socket) -> bytes:
        sock.settimeout(self._left())
        block = sock.recv(_BLOCK_BYTES)
        self._read += len(block)
        if self._read > MAX_REPLY_BYTES:
            raise HttpError("the reply is over 64 KB")
        return block

    def _reply(self, sock: socket.socket) -> Reply:
        status, headers, rest = 100, dict[str, str](), b""
        while 100 <= status < 200:
            status, headers, rest = self._headers(sock, rest)
        if status in {204, 304}:
            body = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunked(sock, rest)
        elif "content-length" in headers:
            body = self._exactly(sock, rest, _length(headers["content-length"], 10))
        else:
            body = self._to_end(sock, rest)
            headers["connection"] = "close"
        if headers.get("connection", "").lower() == "close":
            self.close()
        if headers.get("content-encoding", "identity").lower() == "gzip":
            body = _unzipped(body)
        return Reply(status, headers, body)

    def _headers(self, sock: socket.socket, data: bytes) -> tuple[int, dict[str, str], bytes]:
        while (end := data.find(b"\r\n\r\n")) < 0:
            block = self._receive(sock)
            if not block:
                raise _ClosedEarlyError("closed before a reply") if not data else HttpError("cut reply")
            data += block
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        version, _, tail = first.partition(" ")
        code = tail.partition(" ")[0]
        if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()) or len(code) != 3:
            raise HttpError("the reply is not HTTP/1")
        headers = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(":") for line in lines)
            if colon
        }
        if version == "HTTP/1.0":
            headers.setdefault("connection", "close")
        return int(code), headers, data[end + 4 :]

    def _more(self, sock: socket.socket, data: bytes) -> bytes:
        block = self._receive(sock)
        if not block:
            raise HttpError("cut reply")
        return data + block

    def _exactly(self, sock: socket.socket, data: bytes, size: int) -> bytes:
        while len(data) < size:
            data = self._more(sock, data)
        if len(data) > size:
            self.close()  # bytes nobody asked for: the next reply could not be told from them
        return data[:size]

    def _to_end(self, sock: socket.socket, data: bytes) -> bytes:
        while block := self._receive(sock):
            data += block
        return data

    def _chunked(self, sock: socket.socket, data: bytes) -> bytes:
        body = b""
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data = self._more(sock, data)
            size = _length(data[:end].decode("latin-1").partition(";")[0].strip(), 16)
            data = data[end + 2 :]
            if not size:
                break
            while len(data) < size + 2:
                data = self._more(sock, data)
            body += data[:size]
            data = data[size + 2 :]
        while not (data.startswith(b"\r\n") or b"\r\n\r\n" in data):
            data = self._more(sock, data)
        return body


class _ClosedEarlyError(Exception):
    """The other side closed the connection before it sent a byte of a reply."""


def _length(text: str, base: int) -> int:
    size = int(text, base)
    if not 0 <= size <= MAX_REPLY_BYTES:
        raise HttpError("the reply is over 64 KB")
    return size


def _unzipped(body: bytes) -> bytes:
    """Unpack a reply that was packed although nobody asked for it; a bomb stops at the cap."""
    unpack = zlib.decompressobj(31)
    try:
        data = unpack.decompress(body, MAX_REPLY_BYTES)
    except zlib.error as error:
        raise HttpError(f"bad gzip: {error}") from error
    if unpack.unconsumed_tail:
        raise HttpError("the reply is over 64 KB")
    return data
