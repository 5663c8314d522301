"""The embedded engine: the only module that opens the data directory.

One process owns a data directory. Each request gets a fresh handle (a session of its own, 0.3 ms); handles
run concurrently, one handle serialises.
"""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptspan_server.store.chdb_binding import connect
from promptspan_server.store.directory import DataDirectory
from promptspan_server.store.errors import StoreClosed, StoreError, StoreLocked, engine_error
from promptspan_server.store.spool import spooled
from promptspan_server.store.statements import split_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from promptspan_server.store.chdb_binding import Connection

__all__ = ["Engine", "Handle", "Result", "StoreClosed", "StoreError", "StoreLocked", "Stream"]

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_NOTHING: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave back.

    Attributes:
        data: The result, formatted.
        rows_read: Rows read from tables.
        bytes_read: Bytes read from tables, uncompressed.
        rows_written: Rows written, those of materialized views included.
        elapsed_s: Seconds in the engine.
        result_rows: Rows of the result.
        bytes_written: Bytes written, uncompressed.
    """

    data: bytes
    rows_read: int
    bytes_read: int
    rows_written: int
    elapsed_s: float
    result_rows: int = 0
    bytes_written: int = 0


class Stream:
    """The blocks of a SELECT. What it has read so far is in `rows_read`, `bytes_read`, `result_rows`."""

    def __init__(self, connection: Connection, streamed: object) -> None:
        self.rows_read = 0
        self.bytes_read = 0
        self.result_rows = 0
        self._connection = connection
        self._streamed = streamed
        self._blocks = 0
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        try:
            block = self._connection.streaming_fetch_result(self._streamed)
        except (RuntimeError, UnicodeDecodeError) as error:
            self._ended = True
            raise engine_error(_said(error)) from None
        if block is None:
            self._ended = True
            raise StopIteration
        self.rows_read += block.storage_rows_read()
        self.bytes_read += block.storage_bytes_read()
        self.result_rows += block.rows_read()
        self._blocks += 1
        if block.rows_read() == 0:
            self._ended = True
            # A result without rows still has the header of its format.
            if self._blocks > 1 or not block.size():
                raise StopIteration
        return block.bytes()

    def close(self) -> None:
        """Stop the query if it still runs. Idempotent."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(RuntimeError):
                self._connection.streaming_cancel_query(self._streamed)


class Handle:
    """A session of the engine: its own settings and temporary tables. Use it from one thread at a time.

    Parameters of queries are bound as `{name:Type}`. Their values are text in the escaped form of
    TabSeparated, exactly as ClickHouse's HTTP interface takes `param_name` (see `escape_param`).
    """

    def __init__(self, engine: Engine, connection: Connection) -> None:
        self.id = uuid.uuid4().hex
        self._engine = engine
        self._connection: Connection | None = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def query(
        self, sql: str | bytes, fmt: str = "TabSeparated", params: Mapping[str, str] | None = None
    ) -> Result:
        """Run one statement to its end and hold its whole result in memory.

        Args:
            sql: The statement; a FORMAT clause in it wins over `fmt`. Bytes need not be UTF-8.
            fmt: ClickHouse output format.
            params: Values of `{name:Type}`, escaped.

        Raises:
            StoreError: The engine refused or failed.
        """
        try:
            found = self._open().query(sql, fmt, params=params or _NOTHING)
        except (RuntimeError, UnicodeDecodeError) as error:
            raise engine_error(_said(error)) from None
        return Result(
            data=found.bytes(),
            rows_read=found.storage_rows_read(),
            bytes_read=found.storage_bytes_read(),
            rows_written=found.rows_written(),
            elapsed_s=found.elapsed(),
            result_rows=found.rows_read(),
            bytes_written=found.bytes_written(),
        )

    def stream(
        self, sql: str | bytes, fmt: str = "TabSeparated", params: Mapping[str, str] | None = None
    ) -> Stream:
        """Run a SELECT and yield it block by block as the engine makes it; closing the iterator stops it.

        Each block is a whole document of its format: the headers of formats that have some come with every
        block.

        Raises:
            StoreError: The engine refused; code 36 for a statement that is no SELECT.
        """
        connection = self._open()
        try:
            return Stream(connection, connection.send_query(sql, fmt, params=params or _NOTHING))
        except (RuntimeError, UnicodeDecodeError) as error:
            raise engine_error(_said(error)) from None

    def insert(self, sql: str, fmt: str, chunks: Iterable[bytes]) -> int:
        """Insert what the chunks hold and return when the engine has it and what its views made of it.

        Args:
            sql: `INSERT INTO t (columns) [SETTINGS ...]`, without FORMAT and without data.
            fmt: ClickHouse input format of the chunks.
            chunks: Pieces of one document of that format, cut anywhere.

        Returns:
            Rows written, those of materialized views included.

        Raises:
            StoreError: The engine refused. Nothing was inserted if the document fits in one block.
        """
        with spooled(chunks) as path:
            return self.insert_file(sql, fmt, path).rows_written

    def insert_file(
        self, sql: str | bytes, fmt: str, path: str, params: Mapping[str, str] | None = None
    ) -> Result:
        """Insert a document that is in a file; see `insert`.

        The engine's own streaming insert is not used: where several views hang on one table, with views
        behind them, it silently loses rows (chDB 4.4.0).
        """
        # As Latin-1 every byte is a character and comes back as it was.
        text = (sql.encode() if isinstance(sql, str) else sql).decode("latin-1")
        target, settings = split_settings(text)
        # Inside an INSERT the order is fixed: FROM INFILE, then SETTINGS, then FORMAT.
        # A new line: the statement may end in a comment.
        whole = f"{target}\nFROM INFILE '{path}' COMPRESSION 'none' {settings}\nFORMAT {fmt}"
        return self.query(whole.encode("latin-1"), params=params)

    def set(self, settings: Mapping[str, str]) -> None:
        """Change settings of this session.

        Raises:
            StoreError: An unknown setting or a bad value (codes 115, 36...).
        """
        if settings:
            self.query("SET " + ", ".join(_assignment(name, value) for name, value in settings.items()))

    def effect(self, sql: str) -> tuple[str, int]:
        """What a statement would do, by the engine's own parser, without running it.

        Returns:
            One of `READ_ONLY`, `MUTATING`, `MUTATING_GLOBAL`, `CONTROL` and `UNKNOWN` (it does not parse),
            and the number of statements.
        """
        found = self._open().classify_query(sql)
        return str(found["query_class"].name), int(found["statement_count"])

    def close(self) -> None:
        """End the session. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._engine.forget(self)
            connection.close()

    def _open(self) -> Connection:
        if self._connection is None:
            raise StoreClosed
        return self._connection


class Engine:
    """The engine on one data directory. A process can have one directory open at a time."""

    def __init__(self, directory: DataDirectory, keeper: Connection) -> None:
        self._directory = directory
        # The engine stops with its last session; this one stays until `close`.
        self._keeper = keeper
        self._lock = threading.Lock()
        self._handles: set[Handle] = set()
        self._closing = False
        self._idle = threading.Condition(self._lock)

    @classmethod
    def open(cls, data_dir: str | Path, *, fsync: bool = False) -> Engine:
        """Lock the directory (made if absent) and start the engine on it, 1 to 2 s.

        Args:
            data_dir: Where.
            fsync: Insert to the disk, not only to the kernel: what was acknowledged survives a power loss.

        Raises:
            StoreLocked: Another process has it; the message says which.
            StoreError: The engine cannot start there.
        """
        directory = DataDirectory.lock(data_dir, fsync=fsync)
        try:
            keeper = connect(directory.address)
            _replace_overlay(keeper, directory)
        except RuntimeError as error:
            directory.unlock()
            found = engine_error(str(error))
            if found.code == 76:
                raise StoreLocked(found.message) from None
            raise found from None
        except BaseException:
            directory.unlock()
            raise
        return cls(directory, keeper)

    @property
    def data_dir(self) -> Path:
        """The directory that was opened."""
        return self._directory.path

    @property
    def version(self) -> str:
        """The engine's version, e.g. `26.9.2.1`."""
        found = self._keeper.query("SELECT version()", "TabSeparated", params=_NOTHING)
        return found.bytes().decode().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def handle(self, settings: Mapping[str, str] = _NOTHING, readonly: bool = False) -> Handle:
        """A new session.

        Args:
            settings: Set on the session before anything else.
            readonly: No writes, no settings. It does not cover everything that a hostile statement can do:
                see `guard`.

        Raises:
            StoreClosed: The engine is stopping.
            StoreError: An unknown setting or a bad value.
        """
        with self._lock:
            if self._closing:
                raise StoreClosed
            connection = connect(self._directory.address)
            handle = Handle(self, connection)
            self._handles.add(handle)
        try:
            # The engine takes no query id from outside, so this is how `kill` finds a query again.
            handle.set({"log_comment": handle.id, **settings, **({"readonly": "1"} if readonly else {})})
        except BaseException:
            handle.close()
            raise
        return handle

    def kill(self, handle_id: str) -> None:
        """Stop what the handle with this id is running, if anything. Its caller gets error 394."""
        with self.handle() as killer:
            killer.query(
                "KILL QUERY WHERE Settings['log_comment'] = {id:String} ASYNC", params={"id": handle_id}
            )

    def close(self, timeout_s: float = 5.0) -> None:
        """Refuse new handles, wait for the open ones, stop those that stay, stop the engine. Idempotent."""
        with self._idle:
            if self._closing:
                return
            self._closing = True
            self._idle.wait_for(lambda: not self._handles, timeout_s)
            left = list(self._handles)
        for handle in left:
            with contextlib.suppress(RuntimeError):
                self._keeper.query(
                    "KILL QUERY WHERE Settings['log_comment'] = {id:String} ASYNC",
                    "Null",
                    params={"id": handle.id},
                )
        with self._idle:
            self._idle.wait_for(lambda: not self._handles, timeout_s)
        self._keeper.close()
        self._directory.unlock()

    def forget(self, handle: Handle) -> None:
        """A handle was closed."""
        with self._idle:
            self._handles.discard(handle)
            self._idle.notify_all()


def _replace_overlay(keeper: Connection, directory: DataDirectory) -> None:
    """Make `default` a plain database.

    The engine opens with one in which a file is a table: `SELECT * FROM "/etc/passwd"` reads it, and
    `EXISTS` tells whether it is there. Nothing on disk belongs to that database, so it is exchanged at each
    start.
    """
    keeper.query("DETACH DATABASE default", "Null", params=_NOTHING)
    make = "ATTACH DATABASE default" if directory.has_database else "CREATE DATABASE default ENGINE = Atomic"
    keeper.query(make, "Null", params=_NOTHING)


def escape_param(value: str) -> str:
    """A string as the value of a `{name:String}` parameter."""
    return value.translate(_PARAM_ESCAPES)


_PARAM_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)


def _assignment(name: str, value: str) -> str:
    if not _SETTING_NAME.match(name):
        raise StoreError(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'.")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name} = '{quoted}'"


def _said(error: RuntimeError | UnicodeDecodeError) -> str:
    # The binding cannot read a message that quotes bytes which are no UTF-8; they are in the exception.
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "backslashreplace")
    return str(error)
