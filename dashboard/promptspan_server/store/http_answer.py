"""The response of one request, with a bound on how long its client may let it wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from promptspan_server.store.http_server import AbortResponseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from promptspan_server.store.http_request import QueryRequest

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]

_SEND_S = 60.0


class Answer:
    """Sends a response, whole or in parts.

    Attributes:
        begun: The status has been sent.
        request: What is answered, once it has been read.
    """

    def __init__(self, send: Send, *, head_only: bool) -> None:
        self.begun = False
        self.request: QueryRequest | None = None
        self._send = send
        self._head_only = head_only

    async def whole(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send everything."""
        await self.begin(status, {**headers, "content-length": str(len(body))})
        await self.end(b"" if self._head_only else body)

    async def begin(self, status: int, headers: dict[str, str]) -> None:
        """Send status and headers."""
        self.begun = True
        raw = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items()]
        await self._put({"type": "http.response.start", "status": status, "headers": raw})

    async def part(self, data: bytes) -> None:
        """Send a piece of the body; waits for a slow client, and gives up on one that reads nothing."""
        await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last piece."""
        await self._put({"type": "http.response.body", "body": data, "more_body": False})

    async def _put(self, message: Message) -> None:
        try:
            async with asyncio.timeout(_SEND_S):
                await self._send(message)
        except TimeoutError:
            raise AbortResponseError from None
