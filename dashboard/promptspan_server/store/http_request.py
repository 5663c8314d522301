"""What a request of the ClickHouse interface asks for, from its URL, its headers and its form."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from promptspan_server.store.errors import StoreError
from promptspan_server.store.native_revision import REVISION_WITH_CUSTOM_SERIALIZATION
from promptspan_server.store.sessions import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping

# Parameters of the interface itself, and settings of a server's HTTP side that mean nothing here.
_OWN = frozenset(
    {
        *(
            "query",
            "database",
            "default_format",
            "user",
            "password",
            "quota_key",
            "query_id",
            "role",
            "stacktrace",
        ),
        *("session_id", "session_timeout", "session_check", "close_session", "compress", "decompress"),
        *("wait_end_of_query", "buffer_size", "client_protocol_version", "add_http_cors_header"),
        *("enable_http_compression", "http_zlib_compression_level", "http_response_buffer_size"),
        *(
            "send_progress_in_http_headers",
            "http_headers_progress_interval_ms",
            "http_write_exception_in_output_format",
        ),
        *(
            "cancel_http_readonly_queries_on_client_close",
            "http_native_compression_disable_checksumming_on_decompress",
        ),
        *(
            "http_wait_end_of_query",
            "http_make_head_request",
            "log_comment",
            "async_insert",
            "wait_for_async_insert",
        ),
        *("http_send_timeout", "http_receive_timeout", "send_timeout", "receive_timeout"),
    }
)
# Without waiting for the end, this much is held back so that early errors have a status of their own.
_HOLD_BYTES = 1 << 20
# With `wait_end_of_query`, results up to this size are held; larger ones are streamed all the same.
_HOLD_TO_END_BYTES = 16 << 20
# A client of HTTP/1.0 gets its result in one piece, up to this size.
_HOLD_WHOLE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One request.

    Attributes:
        user: `default` or `reader`.
        reading: Nothing may be changed: the user is a reader, or the method is GET.
        query: The `query` parameter; the body may hold more of the statement, or its data.
        params: Values of `{name:Type}`.
        settings: Settings of the engine for this request.
        query_id: Given, or made here.
        default_format: For a statement that names no format.
        session_id: Empty without a session.
        newer_native: Native with the headers of newer protocol revisions.
        database: Where unqualified names are looked up; empty for the default one.
        chunked: The response may come in parts.
        hold_bytes: How much of a result is held back before the status is sent.
    """

    user: str
    reading: bool
    query: bytes
    params: Mapping[str, str]
    settings: Mapping[str, str]
    query_id: str
    default_format: str
    session_id: str = ""
    session_timeout_s: int = DEFAULT_TIMEOUT_S
    session_check: bool = False
    compress: bool = False
    decompress: bool = False
    accept_encoding: str = ""
    newer_native: bool = False
    chunked: bool = True
    hold_bytes: int = _HOLD_BYTES
    database: str = ""


def url_params(query_string: bytes) -> dict[str, str]:
    """Parameters of a URL. Values are Latin-1 text, one character for each byte."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return dict(pairs)


def query_request(
    user: str,
    method: str,
    headers: Mapping[str, str],
    params: Mapping[str, str],
    *,
    chunked: bool = True,
) -> QueryRequest:
    """Read a request.

    Args:
        user: Who asks.
        method: GET reads only.
        headers: By lower-case name.
        params: Of the URL and the form.
        chunked: The client understands a response in parts (HTTP/1.1).

    Raises:
        StoreError: A parameter that cannot be (374 INVALID_SESSION_TIMEOUT, 115...).
    """
    database = params.get("database") or headers.get("x-clickhouse-database", "")
    settings = {
        name: _text(value)
        for name, value in params.items()
        if name not in _OWN and not name.startswith("param_")
    }
    return QueryRequest(
        user=user,
        reading=user == "reader" or method != "POST",
        query=params.get("query", "").encode("latin-1"),
        params={name[6:]: _text(value) for name, value in params.items() if name.startswith("param_")},
        settings=settings,
        query_id=_text(params.get("query_id", "")) or str(uuid.uuid4()),
        default_format=params.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        session_id=_text(params.get("session_id", "")),
        session_timeout_s=_timeout(params.get("session_timeout", "")),
        session_check=params.get("session_check") == "1",
        compress=params.get("compress") == "1",
        decompress=params.get("decompress") == "1",
        accept_encoding=""
        if params.get("enable_http_compression") == "0"
        else headers.get("accept-encoding", ""),
        newer_native=_revision(params) >= REVISION_WITH_CUSTOM_SERIALIZATION,
        chunked=chunked,
        hold_bytes=_hold_bytes(params, chunked=chunked),
        database="" if database == "default" else _text(database),
    )


def _hold_bytes(params: Mapping[str, str], *, chunked: bool) -> int:
    if not chunked:
        return _HOLD_WHOLE_BYTES
    return _HOLD_TO_END_BYTES if params.get("wait_end_of_query") == "1" else _HOLD_BYTES


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")


def _timeout(value: str) -> int:
    if not value:
        return DEFAULT_TIMEOUT_S
    if not value.isdigit() or int(value) > MAX_TIMEOUT_S:
        raise StoreError(
            374, "INVALID_SESSION_TIMEOUT", f"Session timeout '{value}' is not 0 to {MAX_TIMEOUT_S}."
        )
    return int(value)


def _revision(params: Mapping[str, str]) -> int:
    value = params.get("client_protocol_version", "")
    return int(value) if value.isdigit() else 0
