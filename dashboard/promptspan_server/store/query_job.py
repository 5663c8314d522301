"""One statement on its way through the engine. Everything here blocks and runs on worker threads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from promptspan_server.store import external_tables, guard
from promptspan_server.store.engine import StoreError, escape_param
from promptspan_server.store.formats import joiner
from promptspan_server.store.native_revision import with_block_headers
from promptspan_server.store.reader import reader_settings, reader_statement
from promptspan_server.store.sql_lexer import tokens
from promptspan_server.store.statements import Insert, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.store.engine import Engine, Handle, Stream
    from promptspan_server.store.external_tables import ExternalTable
    from promptspan_server.store.formats import Joiner
    from promptspan_server.store.http_body import InsertSpool
    from promptspan_server.store.http_request import QueryRequest
    from promptspan_server.store.sessions import Session, Sessions

_NOT_STREAMED = "Streaming query is not supported"
# Statements without a result say nothing of a format.
_RESULTS = frozenset(
    {"SELECT", "WITH", "FROM", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "KILL"}
)
_VALUES_LOOK_BYTES = 1 << 20


class QueryJob:
    """Runs one request on a handle of its own, or on that of its session.

    Attributes:
        format: Output format of the result; empty for a statement without one.
        handle_id: For `Engine.kill`; empty until the handle is there.
        writes: It inserts data that have arrived; a stop lets it finish.
        rows_read: Rows read from tables so far, and so on for the other numbers.
    """

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        request: QueryRequest,
        *,
        outside: bool,
        external: Sequence[ExternalTable] = (),
    ) -> None:
        self.format = ""
        self.handle_id = ""
        self.writes = False
        self.rows_read = 0
        self.bytes_read = 0
        self.rows_written = 0
        self.bytes_written = 0
        self.result_rows = 0
        self.result_bytes = 0
        self.ended = False
        self._engine = engine
        self._sessions = sessions
        self._request = request
        self._outside = outside
        self._external = external
        self._session: Session | None = None
        self._handle: Handle | None = None
        self._stream: Stream | None = None
        self._joiner: Joiner | None = None
        self._started = time.monotonic()

    def run(self, sql: bytes) -> bytes:
        """Run a statement and return its result, or the first part of it (then `ended` is False).

        Raises:
            StoreError: It is refused, or fails before there is more than `hold_bytes` of its result.
        """
        request = self._request
        text = sql.decode("latin-1")
        if not text.strip():
            raise StoreError(62, "SYNTAX_ERROR", "Syntax error: Empty query")
        handle = self._open()
        guard.check(handle, sql, request.params, reading=request.reading, outside=self._outside)
        self._become_readonly(handle)
        if request.user == "reader":
            sql = reader_statement(sql)
        statement = describe(text)
        self.format = (statement.format or request.default_format) if _gives_result(text) else ""
        join = joiner(self.format, with_headers=request.newer_native) if statement.streams else None
        if join is not None and request.settings.get("extremes") != "1":
            try:
                self._stream = handle.stream(sql, self.format, request.params)
            except StoreError as error:
                if _NOT_STREAMED not in error.message:
                    raise
            else:
                self._joiner = join
                return self._held()
        return self._whole(handle, sql, text)

    def insert(self, statement: Insert, spool: InsertSpool) -> None:
        """Insert data that have arrived.

        Raises:
            StoreError: It is refused or fails; nothing of a document that fits in one block is inserted.
        """
        request = self._request
        if request.reading:
            raise StoreError(164, "READONLY", "Cannot execute query in readonly mode.")
        self.writes = True
        handle = self._open()
        guard.check(handle, statement.sql, request.params, reading=False, outside=self._outside)
        name = statement.format or _input_format(request.default_format)
        if name.lower() == "values" and not self._outside:
            small = spool.size <= _VALUES_LOOK_BYTES and guard.values_may_compute(spool.read(spool.size))
            handle.set({"input_format_values_interpret_expressions": "1" if small else "0"})
        done = handle.insert_file(statement.sql, name, spool.path, request.params)
        self.rows_written, self.bytes_written = done.rows_written, done.bytes_written
        self.rows_read, self.bytes_read = done.rows_written, done.bytes_written
        self.ended = True

    def more(self) -> bytes:
        """The next part of a streamed result; `ended` tells whether it was the last.

        Raises:
            StoreError: The query failed in the middle.
        """
        assert self._stream is not None
        assert self._joiner is not None
        block = next(self._stream, None)
        self._count()
        if block is None:
            self.ended = True
            data = self._joiner.end()
        else:
            data = self._joiner.block(block)
        self.result_bytes += len(data)
        return data

    def killed_rows(self, query_id: str, sql: bytes) -> bytes:
        """What `KILL QUERY` shows for a query that was stopped."""
        handle = self._open()
        statement = describe(sql.decode("latin-1"))
        self.format = statement.format or self._request.default_format
        result = handle.query(
            "SELECT 'waiting' AS kill_status, {id:String} AS query_id, 'default' AS user, '' AS query",
            self.format,
            {"id": escape_param(query_id)},
        )
        self.ended = True
        return result.data

    def elapsed_ns(self) -> int:
        """Nanoseconds since the request began."""
        return int((time.monotonic() - self._started) * 1e9)

    def close(self) -> None:
        """Stop what runs and give the handle back. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        session, self._session = self._session, None
        handle, self._handle = self._handle, None
        if session is not None:
            if handle is not None:
                for table in self._external:
                    external_tables.drop(handle, table)
            self._sessions.give_back(session, self._request.session_timeout_s)
        elif handle is not None:
            handle.close()

    def _open(self) -> Handle:
        request = self._request
        guard.check_settings(() if self._outside else request.settings)
        settings = dict(reader_settings(request.settings) if request.user == "reader" else request.settings)
        if request.database:
            settings["database"] = request.database
        if request.session_id and request.user != "reader":
            self._session = self._sessions.take(
                "default", request.session_id, must_exist=request.session_check
            )
            self._handle = self._session.handle
            self.handle_id = self._handle.id
            self._session.apply(settings)
        else:
            # Nothing that a reader may do outlives its request, so its sessions need no handle of their own.
            self._handle = self._engine.handle()
            self.handle_id = self._handle.id
            self._handle.set(settings)
        for table in self._external:
            external_tables.create(self._handle, table)
        return self._handle

    def _become_readonly(self, handle: Handle) -> None:
        # There is no way back, so a session that may write again relies on the guard alone.
        if self._request.reading and self._session is None:
            handle.set({"readonly": "1"})

    def _held(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while not self.ended and size < self._request.hold_bytes:
            parts.append(self.more())
            size += len(parts[-1])
        return b"".join(parts)

    def _whole(self, handle: Handle, sql: bytes, text: str) -> bytes:
        result = handle.query(sql, self.format or self._request.default_format, self._request.params)
        self.rows_read, self.bytes_read = result.rows_read, result.bytes_read
        self.rows_written, self.bytes_written = result.rows_written, result.bytes_written
        self.result_rows = result.result_rows
        self.ended = True
        if self._session is not None:
            self._session.forget(text)
        data = result.data
        if self._request.newer_native and self.format.lower() == "native":
            data = with_block_headers(data)
        self.result_bytes = len(data)
        return data

    def _count(self) -> None:
        assert self._stream is not None
        self.rows_read = self._stream.rows_read
        self.bytes_read = self._stream.bytes_read
        self.result_rows = self._stream.result_rows


def _gives_result(text: str) -> bool:
    first = next(iter(tokens(text)), None)
    return first is not None and first.text.upper() in _RESULTS


def _input_format(default_format: str) -> str:
    return "Values" if default_format == "TabSeparated" else default_format
