"""`/metrics` over HTTP, for a Prometheus on this machine; elsewhere only with the token."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts.exposition import CONTENT_TYPE
from promptspan_server.store.access import host_name, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

# Several scrapers ask the store once.
KEPT_S = 5.0
_TIMEOUT_S = 10.0

_log = logging.getLogger("promptspan.alerts")


class MetricsServer:
    """A small HTTP server in a thread.

    Args:
        collect: Returns the text.
        host: Address to bind.
        port: Port to bind, 0 for any.
        token: What everyone must present as `Authorization: Bearer`; needed beyond loopback.

    Raises:
        ValueError: Another address than loopback without a token.
        OSError: The port cannot be bound.
    """

    def __init__(
        self, collect: Callable[[], str], port: int, host: str = "127.0.0.1", token: str | None = None
    ) -> None:
        if token is None and not is_loopback(host):
            raise ValueError(f"{host} is not loopback: set a token first (PROMPTSPAN_TOKEN)")
        self._collect = collect
        self._host = host
        self._token = token
        self._lock = threading.Lock()
        self._text = ""
        self._until = 0.0
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, headers: Any) -> tuple[int, str]:
        host = headers.get("host", "")
        if self._token is None and not is_loopback(host_name(host)):
            return 403, "This answers to loopback names.\n"  # a page whose name was rebound to us
        if self._token is not None:
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return 401, "A token is required: Authorization: Bearer <token>.\n"
        if path.partition("?")[0] != "/metrics":
            return 404, "There is /metrics here.\n"
        with self._lock:
            if time.monotonic() >= self._until:
                self._text = self._collect()
                self._until = time.monotonic() + KEPT_S
            return 200, self._text

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_S
            server_version = "promptspan"
            sys_version = ""

            def do_GET(self) -> None:
                try:
                    status, text = answer(self.path, self.headers)
                except Exception:  # noqa: BLE001 - a scrape must not end the server
                    _log.exception("metrics could not be collected")
                    status, text = 500, "Internal error.\n"
                body = text.encode("utf-8", "replace")
                self.send_response(status)
                self.send_header("content-type", CONTENT_TYPE)
                self.send_header("content-length", str(len(body)))
                self.send_header("x-content-type-options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing: it is asked every few seconds."""

        return Handler
