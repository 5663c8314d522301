"""Errors as ClickHouse's HTTP interface gives them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptspan_server.store.errors import StoreError

# Error code to status, as ClickHouse maps them; the rest is 500.
_STATUS = {
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    194: 401,
    # Malformed text, values and syntax trees.
    **dict.fromkeys((6, 25, 26, 27, 36, 38, 41, 53, 62, 69, 72, 117, 168), 400),
    **dict.fromkeys((8, 15, 37, 44, 137, 321, 427, 441, 675, 676), 400),
    # Unknown names of all sorts.
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 372, 511), 404),
    **dict.fromkeys((373,), 500),
    229: 413,
    48: 501,
    **dict.fromkeys((76, 209, 439, 734, 745), 503),
    # ClickHouse says 500; a client that retries on 503 is what is wanted here.
    202: 503,
    381: 411,
    159: 408,
}
_MAX_BLOCK_BYTES = 16 * 1024


def status_of(error: StoreError) -> int:
    """The HTTP status for an error."""
    return _STATUS.get(error.code, 500)


def error_text(error: StoreError, version: str) -> str:
    """The body of a failed response."""
    return f"Code: {error.code}. DB::Exception: {error.message} ({error.name}) (version {version})\n"


def new_tag() -> str:
    """A tag that marks an exception inside a response: 16 letters that no data can hold by accident."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(16))


def exception_block(error: StoreError, version: str, tag: str) -> bytes:
    """What ends a response whose status was sent before the query failed."""
    text = error_text(error, version).strip().encode()[: _MAX_BLOCK_BYTES - 128]
    return b"\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n" % (
        tag.encode(),
        text,
        len(text),
        tag.encode(),
    )
