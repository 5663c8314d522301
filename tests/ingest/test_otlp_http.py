from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
import socket
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import lz4.frame as lz4_frame
import pytest
import zstandard
from google.rpc import status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.otlp import logs, traces
from promptspan_server.ingest.batcher import Batcher
from promptspan_server.ingest.otlp_http import MAX_BODY_BYTES, OtlpHttp
from promptspan_server.ingest.otlp_wire import count_items
from promptspan_server.ingest.rpc_status import varint
from promptspan_server.store.access import Access
from promptspan_server.store.engine import Engine, StoreError
from promptspan_server.store.http_server import HttpServer, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from promptspan_server.ingest.batcher import Signal
    from promptspan_server.store.engine import Handle

lz4: Any = lz4_frame  # it has no types
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
SPAN = {
    "resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x", "traceId": "ab" * 16, "spanId": "cd" * 8}]}]}]
}


class Sink:
    """Takes what is landed, or fails as it is told."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.error: StoreError | None = None

    def __call__(self, handle: Handle, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
        if self.error is not None:
            raise self.error
        self.bodies += [(signal, body) for body in bodies]

    def items(self) -> int:
        return sum(count_items(body) for _, body in self.bodies)


@contextlib.contextmanager
def receiving(engine: Engine, sink: Sink, access: Access, **limits: int) -> Generator[int]:
    sock = listen("127.0.0.1", 0)
    started = threading.Event()
    servers: list[HttpServer] = []

    async def main() -> None:
        batchers: dict[Signal, Batcher] = {
            "traces": Batcher(engine, "traces", sink, wait_s=0, **limits),
            "logs": Batcher(engine, "logs", sink, wait_s=0),
        }
        servers.append(HttpServer(OtlpHttp(batchers, access), sock))
        started.set()
        await servers[0].run_on_socket()
        for batcher in batchers.values():
            batcher.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(10)
    yield sock.getsockname()[1]
    servers[0].should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    with Engine.open(tmp_path_factory.mktemp("otlp")) as opened:
        yield opened


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def port(engine: Engine, sink: Sink) -> Generator[int]:
    with receiving(engine, sink, Access("127.0.0.1")) as listening:
        yield listening


@pytest.fixture
def http(port: int) -> Generator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def traffic(http: httpx.Client, sink: Sink) -> tuple[httpx.Client, Sink]:
    return http, sink


def test_protobuf_and_json_are_acknowledged_in_their_own_content_type(http: httpx.Client, sink: Sink) -> None:
    answer = http.post("/v1/traces", content=traces(1, 2), headers=PROTOBUF)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (
        200,
        b"",
        PROTOBUF["content-type"],
    )
    answer = http.post(
        "/v1/traces", content=json.dumps(SPAN), headers={"content-type": "application/json; charset=utf-8"}
    )
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (
        200,
        {},
        "application/json",
    )
    answer = http.post("/v1/logs", content=logs("a"), headers=PROTOBUF)
    assert answer.status_code == 200
    assert [signal for signal, _ in sink.bodies] == ["traces", "traces", "logs"]
    assert sink.items() == 4


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("lz4", lz4.compress),
        ("identity", bytes),
        ("GZIP", gzip.compress),
    ],
)
def test_compressed_bodies_are_read(http: httpx.Client, sink: Sink, encoding: str, encode: Any) -> None:
    body = traces(*range(1, 200))
    answer = http.post("/v1/traces", content=encode(body), headers=PROTOBUF | {"content-encoding": encoding})
    assert answer.status_code == 200
    assert sink.bodies == [("traces", body)]


def test_an_empty_request_is_a_success_that_inserts_nothing(http: httpx.Client, sink: Sink) -> None:
    for content, headers in ((b"", PROTOBUF), (b"{}", JSON), (b'{"resourceSpans": []}', JSON)):
        assert http.post("/v1/traces", content=content, headers=headers).status_code == 200
    assert sink.bodies == []


@pytest.mark.parametrize(
    ("request_line", "headers", "content", "status"),
    [
        ("POST /v1/traces", PROTOBUF, traces(1, 2, 3)[:-7], 400),
        ("POST /v1/traces", PROTOBUF, b"\xff" * 200, 400),
        ("POST /v1/traces", JSON, b'{"resourceSpans": [', 400),
        ("POST /v1/traces", JSON, b'{"resourceSpans": 7}', 400),
        ("POST /v1/traces", PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(traces(1))[:-9], 400),
        ("POST /v1/traces", PROTOBUF | {"content-encoding": "gzip"}, traces(1), 400),
        ("POST /v1/traces", PROTOBUF | {"content-encoding": "zstd"}, b"x" * 50, 400),
        ("POST /v1/traces", PROTOBUF | {"content-encoding": "lz4"}, b"x" * 50, 400),
        ("POST /v1/traces", PROTOBUF | {"content-encoding": "br"}, b"x" * 50, 415),
        ("POST /v1/traces", {"content-type": "text/csv"}, traces(1), 415),
        ("POST /v1/traces", {}, traces(1), 415),
        ("POST /v1/metrics", PROTOBUF, b"", 404),
        ("POST /v1/nothing", PROTOBUF, b"", 404),
        ("GET /v1/traces", {}, b"", 405),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason_and_others_are_served(
    traffic: tuple[httpx.Client, Sink],
    request_line: str,
    headers: dict[str, str],
    content: bytes,
    status: int,
) -> None:
    http, sink = traffic
    method, path = request_line.split()
    answer = http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    if answer.headers["content-type"] == "application/json":
        reason = answer.json()["message"]
    else:
        reason = status_pb2.Status.FromString(answer.content).message
    assert len(reason) > 10
    assert http.post("/v1/traces", content=traces(9), headers=PROTOBUF).status_code == 200
    assert sink.items() == 1


ZEROS = bytes(200 << 20)


def within(body: bytes, times: int) -> bytes:
    """A message around a message, in the field that OTLP's outer levels use."""
    for number in range(times):
        body = (b"\x12" if number < times - 1 else b"\x0a") + varint(len(body)) + body
    return body


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zeros in gzip": ("gzip", lambda: gzip.compress(ZEROS, 1)),
    "zeros in zstd": ("zstd", lambda: zstandard.ZstdCompressor().compress(ZEROS)),
    "zeros in lz4": ("lz4", lambda: lz4.compress(ZEROS)),
    "five million empty spans": ("gzip", lambda: gzip.compress(within(b"\x12\x00" * 5_000_000, 2), 1)),
    "no body behind a great length": ("", bytes),
}


def resident_bytes() -> int:
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


@pytest.mark.parametrize("name", list(BOMBS))
def test_bombs_are_refused_while_they_are_small(http: httpx.Client, port: int, sink: Sink, name: str) -> None:
    encoding, make = BOMBS[name]
    content = make()
    before = resident_bytes()
    if content:
        answer = http.post("/v1/traces", content=content, headers=PROTOBUF | {"content-encoding": encoding})
        assert answer.status_code in {400, 413}
    else:
        with socket.create_connection(("127.0.0.1", port), 60) as raw:
            head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
            raw.sendall(f"{head}content-length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
            raw.shutdown(socket.SHUT_WR)
            answered = raw.recv(4096)
        assert answered == b"" or b" 413 " in answered
    assert resident_bytes() - before < 100 << 20
    assert http.post("/v1/traces", content=traces(9), headers=PROTOBUF).status_code == 200
    assert sink.items() == 1


def test_a_body_that_is_too_large_gets_its_answer_after_it_was_sent(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
        answer = http.post("/v1/traces", content=bytes(100_000_000), headers=PROTOBUF)
        assert answer.status_code == 413
        chunks = (bytes(1 << 20) for _ in range(100))
        answer = http.post("/v1/traces", content=chunks, headers=PROTOBUF)
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreError(241, "MEMORY_LIMIT_EXCEEDED", "no room"), 503),
        (StoreError(33, "CANNOT_READ_ALL_DATA", "cut"), 400),
    ],
)
def test_trouble_of_the_store_asks_for_a_retry_and_trouble_of_the_body_does_not(
    http: httpx.Client, sink: Sink, error: StoreError, status: int
) -> None:
    sink.error = error
    answer = http.post("/v1/traces", content=traces(1), headers=PROTOBUF)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) is (status == 503)
    sink.error = None
    assert http.post("/v1/traces", content=traces(1), headers=PROTOBUF).status_code == 200


def test_senders_that_an_overloaded_store_turns_away_come_back_and_lose_nothing(
    engine: Engine, sink: Sink
) -> None:
    held = threading.Event()
    turned_away: list[str] = []

    class Held(Sink):
        def __call__(self, handle: Handle, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
            held.wait(30)
            sink(handle, signal, bodies, token)

    def send(port: int, first: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
            for number in range(first, first + 5):
                body = traces(number)
                while (answer := http.post("/v1/traces", content=body, headers=PROTOBUF)).status_code != 200:
                    assert answer.status_code == 503
                    turned_away.append(answer.headers["retry-after"])
                    time.sleep(float(answer.headers["retry-after"]) / 10)

    size = len(traces(1))
    with receiving(engine, Held(), Access("127.0.0.1"), max_queued_bytes=4 * size) as port:
        senders = [threading.Thread(target=send, args=(port, number * 100)) for number in range(1, 13)]
        for sender in senders:
            sender.start()
        while len(turned_away) < 20:
            time.sleep(0.01)
        held.set()
        for sender in senders:
            sender.join(60)
    assert sorted(body for _, body in sink.bodies) == sorted(
        traces(number * 100 + more) for number in range(1, 13) for more in range(5)
    )


def test_a_slow_sender_keeps_no_one_waiting(port: int, http: httpx.Client) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for number, sender in enumerate(slow):
        if number % 2:
            sender.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: loc")
        else:
            sender.sendall(
                b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
                b"content-length: 1000\r\n\r\nabc"
            )
    assert http.post("/v1/traces", content=traces(1), headers=PROTOBUF).status_code == 200
    for sender in slow:
        sender.close()


def test_many_senders_at_once_are_all_acknowledged(port: int, sink: Sink) -> None:
    failures: list[int] = []

    def send(first: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
            for number in range(first, first + 10):
                status = http.post("/v1/traces", content=traces(number), headers=PROTOBUF).status_code
                if status != 200:
                    failures.append(status)

    senders = [threading.Thread(target=send, args=(number * 1000 + 1,)) for number in range(12)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert failures == []
    assert sink.items() == 120


def test_with_a_token_only_those_who_present_it_are_served(engine: Engine, sink: Sink) -> None:
    with (
        receiving(engine, sink, Access("127.0.0.1", "secret")) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        for path in ("/v1/traces", "/v1/logs"):
            assert http.post(path, content=traces(1), headers=PROTOBUF).status_code == 401
            for wrong in ("Bearer wrong", "Basic secret", "Bearer"):
                headers = PROTOBUF | {"authorization": wrong}
                assert http.post(path, content=traces(1), headers=headers).status_code == 403
        assert sink.bodies == []
        headers = PROTOBUF | {"authorization": "Bearer secret"}
        assert http.post("/v1/traces", content=traces(1), headers=headers).status_code == 200


def test_pages_of_other_origins_cannot_send(http: httpx.Client, sink: Sink) -> None:
    for foreign in (
        {"origin": "http://evil.example"},
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
    ):
        assert http.post("/v1/traces", content=traces(1), headers=PROTOBUF | foreign).status_code == 403
    assert sink.bodies == []


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200),
    st.sampled_from(["/v1/traces", "/v1/logs"]),
    st.sampled_from([PROTOBUF, JSON]),
    st.sampled_from(["", "gzip", "zstd", "lz4", "deflate"]),
)
def test_any_body_gets_an_answer(
    http: httpx.Client, body: bytes, path: str, headers: dict[str, str], encoding: str
) -> None:
    answer = http.post(
        path, content=body, headers=headers | ({"content-encoding": encoding} if encoding else {})
    )
    assert answer.status_code in {200, 400}


def test_any_bytes_on_the_wire_leave_the_server_serving(port: int, http: httpx.Client) -> None:
    rng = random.Random(7)
    head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    good = f"{head}content-length: 2\r\n\r\n{{}}".encode()
    for _ in range(60):
        request = bytearray(good)
        for _ in range(rng.randrange(1, 8)):
            request[rng.randrange(len(request))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            raw.sendall(bytes(request))
            raw.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + 20
            with contextlib.suppress(ConnectionError):
                while raw.recv(4096) and time.monotonic() < deadline:
                    pass
    assert http.post("/v1/traces", content=traces(1), headers=PROTOBUF).status_code == 200
