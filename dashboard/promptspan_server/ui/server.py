"""What `streamlit run` serves: the pages of `app.py`, with an index that knows its own address.

Opened on the address of a page, Streamlit's index looks for its server below that page first: two failing
requests and two errors in the console before anything shows. It can be told the right place; this does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from streamlit import config
from streamlit.starlette import App

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = [
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    # Addresses hold names of prompts and ids of traces: they are nobody else's business.
    (b"referrer-policy", b"same-origin"),
]


def place(base_path: str) -> bytes:
    """Return the element that tells the index where its server is.

    Args:
        base_path: `server.baseUrlPath`, where a proxy serves the dashboard below a path.
    """
    path = json.dumps(f"/{base_path.strip('/')}".rstrip("/")).replace("<", "\\u003c")
    names = ("BACKEND_BASE_URL", "HOST_CONFIG_BASE_URL", "MAIN_PAGE_BASE_URL")
    known = ",".join(f"{name}:own" for name in names)
    return f"<script>{{const own=location.origin+{path};window.__streamlit={{{known}}}}}</script>".encode()


class OwnPlace:
    """Adds the place of the server, and headers that protect the page, to every HTML document."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through; documents get their additions."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        if not any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            await self._app(scope, receive, send)
            return
        # The document is changed as text: it must not arrive compressed.
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, _Document(send))


class _Document:
    """Holds the head of a response back until it knows whether it is an HTML document."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            if not headers.get(b"content-type", b"").startswith(b"text/html"):
                await self._send(message)
                return
            self._start = message
            return
        if self._start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        own = place(str(config.get_option("server.baseUrlPath") or ""))
        body = self._body.replace(b"<head>", b"<head>" + own, 1)
        kept = [(n, v) for n, v in self._start["headers"] if n not in (b"content-length", b"etag")]
        headers = [*kept, *_HEADERS, (b"content-length", str(len(body)).encode())]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


app = App(Path(__file__).with_name("app.py"), middleware=[Middleware(OwnPlace)])
