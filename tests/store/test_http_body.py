from __future__ import annotations

import asyncio
from typing import Any

from promptspan_server.store.http_body import Incoming, discard


def messages(*bodies: bytes) -> Any:
    """ASGI's `receive` for a client that sends these pieces and then waits for the answer."""
    pieces = [
        {"type": "http.request", "body": body, "more_body": number < len(bodies) - 1}
        for number, body in enumerate(bodies)
    ]

    async def receive() -> dict[str, Any]:
        if pieces:
            return pieces.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("nothing comes any more")

    return receive


async def test_a_client_whose_refused_body_was_read_to_its_end_is_answered_at_once() -> None:
    incoming = Incoming(messages(b"not gzip"))
    await incoming()
    await asyncio.wait_for(discard(incoming), 5)


async def test_what_a_refused_client_still_sends_is_read_to_its_end() -> None:
    incoming = Incoming(messages(b"one", b"two", b"three"))
    await incoming()
    await asyncio.wait_for(discard(incoming), 5)
    assert incoming.ended
