"""Uvicorn as both HTTP interfaces use it: patient with work, impatient with slow and endless requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Generator

_HEAD_S = 15.0
_KEEP_ALIVE_S = 30
_MAX_HEAD_BYTES = 2 << 20
_MAX_REQUESTS = 512
_BACKLOG = 512

_log = logging.getLogger(__name__)


class AbortResponseError(Exception):
    """Closes the connection in the middle of a response, so that no client takes it for complete."""


class _Protocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers do not arrive in time, or do not end."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES + 65536:
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_came()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(_HEAD_S, self._close_slow)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


class HttpServer(uvicorn.Server):
    """One listening HTTP interface inside a larger process, which keeps the signals to itself."""

    def __init__(self, app: Any, sock: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            # The application logs what matters; what is left is the text of `AbortResponseError`.
            log_level=logging.CRITICAL + 1,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=8,
            limit_concurrency=_MAX_REQUESTS,
            backlog=_BACKLOG,
        )
        super().__init__(config)
        self.ready = asyncio.Event()
        self._socket = sock

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening and set `ready`."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signal handlers alone."""
        yield

    async def run_on_socket(self) -> None:
        """Serve until `should_exit` is set and running requests have ended."""
        await self.serve(sockets=[self._socket])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
