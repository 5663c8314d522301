"""The few calls of chDB's extension module that the engine uses, with their types.

The extension is used without chDB's Python wrapper: the wrapper has no `classify_query`, and it takes a
block without rows for the end of a stream, which loses the header of an empty result.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping


class QueryResult(Protocol):
    """A result, or one block of a streamed one."""

    def bytes(self) -> bytes:
        """The formatted data."""
        ...

    def size(self) -> int:
        """Length of the formatted data."""
        ...

    def rows_read(self) -> int:
        """Rows of the result."""
        ...

    def storage_rows_read(self) -> int:
        """Rows read from tables."""
        ...

    def storage_bytes_read(self) -> int:
        """Bytes read from tables."""
        ...

    def rows_written(self) -> int:
        """Rows written, those of materialized views included."""
        ...

    def bytes_written(self) -> int:
        """Bytes written, those of materialized views included."""
        ...

    def elapsed(self) -> float:
        """Seconds."""
        ...


class Connection(Protocol):
    """One session of the embedded engine. All calls release the interpreter lock while the engine works."""

    def query(self, query_str: str | bytes, format: str, *, params: Mapping[str, str]) -> QueryResult:  # noqa: A002
        """Run a statement to its end."""
        ...

    def send_query(self, query_str: str | bytes, format: str, *, params: Mapping[str, str]) -> Any:  # noqa: A002
        """Start a SELECT whose blocks are fetched one by one."""
        ...

    def streaming_fetch_result(self, result: Any) -> QueryResult | None:
        """The next block; one without rows is the last."""
        ...

    def streaming_cancel_query(self, result: Any) -> None:
        """Stop a streamed SELECT."""
        ...

    def classify_query(self, sql: str) -> Mapping[str, Any]:
        """What the statement would do, by the engine's own parser, without running it."""
        ...

    def close(self) -> None:
        """End the session; the engine stops with its last session."""
        ...


def connect(address: str) -> Connection:
    """Open a session on `path` or `path?config-file=...`. The first one starts the engine (1 to 2 s).

    Raises:
        RuntimeError: The engine refused; its text has ClickHouse's code.
    """
    native = importlib.import_module("chdb._chdb")
    return cast("Connection", native.connect(address))
