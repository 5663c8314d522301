from __future__ import annotations

import http.server
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def demo(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "promptspan_server.demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@pytest.fixture
def wary() -> Iterator[str]:
    """A receiver that wants a token and was given none."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
            """Keep the tests' output quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_does_and_stops_cleanly_while_nobody_takes_its_spans(
    closed_port: int, number: signal.Signals
) -> None:
    running = demo("--endpoint", f"http://127.0.0.1:{closed_port}", "--rate", "50")
    assert running.stdout is not None
    assert "7 days" in running.stdout.readline()
    running.send_signal(number)
    _, complaints = running.communicate(timeout=20)
    assert (running.returncode, complaints) == (0, "")


def test_it_ends_by_itself_after_its_duration(closed_port: int) -> None:
    running = demo(
        "--endpoint", f"http://127.0.0.1:{closed_port}", "--duration", "0.3", "--history-days", "0"
    )
    _, complaints = running.communicate(timeout=20)
    assert (running.returncode, complaints) == (0, "")


def test_a_receiver_that_refuses_it_ends_it_with_one_line(wary: str) -> None:
    running = demo("--endpoint", wary)
    _, complaints = running.communicate(timeout=30)
    assert running.returncode == 2
    assert "401" in complaints
    assert complaints.count("\n") == 1


def test_an_endpoint_that_is_none_ends_it_with_one_line() -> None:
    running = demo("--endpoint", "localhost:4318")
    said, complaints = running.communicate(timeout=20)
    assert (running.returncode, said) == (2, "")
    assert "http://" in complaints
    assert complaints.count("\n") == 1
