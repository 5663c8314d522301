from __future__ import annotations

import gzip
import http.server
import json
import threading
from typing import TYPE_CHECKING

import pytest

from promptspan_server.demo.delivery import RefusedError, deliver, mark

if TYPE_CHECKING:
    from collections.abc import Iterator


class Receiver:
    """Answers with the statuses it was given, then with 200; keeps what it acknowledged."""

    def __init__(self, statuses: list[int]) -> None:
        self.kept: list[bytes] = []
        self.tokens: list[str | None] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = statuses.pop(0) if statuses else 200
                receiver.tokens.append(self.headers["Authorization"])
                if status == 200:
                    packed = self.headers["Content-Encoding"] == "gzip"
                    receiver.kept.append(gzip.decompress(body) if packed else body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
                """Keep the tests' output quiet."""

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    made = Receiver(list(getattr(request, "param", [])))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize("receiver", [[503, 429]], indirect=True)
def test_a_body_is_sent_until_it_is_acknowledged(receiver: Receiver) -> None:
    sent = deliver([b"one", b"two"], endpoint=receiver.endpoint, token="t", stop=threading.Event())
    assert sent == 2
    assert receiver.kept == [b"one", b"two"]
    assert set(receiver.tokens) == {"Bearer t"}


@pytest.mark.parametrize("receiver", [[400]], indirect=True)
def test_a_refusal_is_not_repeated(receiver: Receiver) -> None:
    with pytest.raises(RefusedError, match="400"):
        deliver([b"one"], endpoint=receiver.endpoint, token=None, stop=threading.Event())


def test_the_wait_for_a_receiver_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    assert deliver([b"one"], endpoint="http://127.0.0.1:9", token=None, stop=stop) == 0


@pytest.mark.parametrize("receiver", [[503]], indirect=True)
def test_a_deployment_is_noted_where_the_spans_go(receiver: Receiver) -> None:
    marker = {"kind": "deploy", "text": "version 7"}
    assert mark(marker, endpoint=receiver.endpoint, token="t", stop=threading.Event())
    assert json.loads(receiver.kept[0]) == marker


@pytest.mark.parametrize("receiver", [[404]], indirect=True)
def test_who_knows_no_markers_gets_the_spans_all_the_same(receiver: Receiver) -> None:
    assert not mark({"text": "x"}, endpoint=receiver.endpoint, token=None, stop=threading.Event())
