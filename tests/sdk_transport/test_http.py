from __future__ import annotations

import gzip
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptspan._http import MAX_REPLY_BYTES, HttpClient, HttpError

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def server(*replies: bytes) -> Generator[tuple[str, list[bytes]]]:
    """A server that answers one request a connection with these bytes, and keeps what it was sent."""
    seen: list[bytes] = []

    def serve() -> None:
        for reply in replies:
            connection, _ = listener.accept()
            with connection:
                data = b""
                while b"\r\n\r\nbody" not in data:
                    block = connection.recv(65_536)
                    if not block:
                        break
                    data += block
                seen.append(data)
                try:
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(5)
                    while connection.recv(65_536):
                        continue
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces", seen
    # The thread ends with the listener, or with its last connection.


def post(reply: bytes, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """One exchange."""
    with server(reply) as (url, _):
        client = HttpClient(url, {})
        try:
            found = client.post(b"body", {}, timeout_s)
        finally:
            client.close()
        return found.status, found.body


GOOD = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc": (200, b"abc"),
    b"HTTP/1.1 200 OK\r\ncontent-length:3 \r\n\r\nabc": (200, b"abc"),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b""),
    b"HTTP/1.0 200 OK\r\n\r\nto the end": (200, b"to the end"),
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n": (200, b""),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
    b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n": (
        429,
        b"",
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n": (
        200,
        b"abcde",
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n": (200, b"a"),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello"): (200, b"hello"),
}


@pytest.mark.parametrize(("reply", "expected"), GOOD.items())
def test_replies_are_read(reply: bytes, expected: tuple[int, bytes]) -> None:
    assert post(reply) == expected


BAD = [
    b"",
    b"\r\n\r\n",
    b"hello, this is not http at all\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip",
    b"HTTP/1.1 200 OK\r\nA: " + b"x" * MAX_REPLY_BYTES + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * MAX_REPLY_BYTES,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"\0" * (1 << 20)),
]


@pytest.mark.parametrize("reply", BAD)
def test_replies_that_are_none_are_errors(reply: bytes) -> None:
    # An empty reply on a fresh connection is no reason to ask twice.
    with pytest.raises(HttpError):
        post(reply)


@given(st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_whatever_comes_back_is_a_reply_or_an_error(noise: bytes) -> None:
    try:
        status, _ = post(b"HTTP/1.1 200 OK\r\n" + noise)
    except HttpError:
        return
    assert status == 200


def test_a_request_names_its_host_and_its_length_once() -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (url, seen):
        client = HttpClient(url, {"X-Key": "v\u00e4lue"})
        client.post(b"body", {}, 5)
        client.close()
    head = seen[0].split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    assert head[0] == "POST /v1/traces HTTP/1.1"
    assert head[1] == "Host: " + url.split("/")[2]
    assert "X-Key: v\u00e4lue" in head
    assert head[-1] == "Content-Length: 4"


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "localhost:4318", "http://h:99999"])
def test_urls_that_are_none_are_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|line break|[Pp]ort"):
        HttpClient(url, {})


@pytest.mark.parametrize("headers", [{"A": "b\r\nC: d"}, {"A\n": "b"}, {"A": "b\0"}])
def test_headers_cannot_smuggle_others_in(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="line break"):
        HttpClient("http://localhost", headers)


def test_a_port_nobody_listens_on_is_an_error_and_not_a_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HttpError, match="Refused"):
        HttpClient(f"http://127.0.0.1:{port}", {}).post(b"", {}, 5)
