"""One small way to run our own SQL, the same for the embedded engine and for a ClickHouse server.

Migrations, price synchronisation and the ledger's recompute are SQL with a little Python around it. They
run inside the store process (on an engine handle) and, in production, from the command line (on a
`clickhouse_connect` client). Both implementations speak the same text formats, so a value read by one
equals the value read by the other.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_ROWS_FORMAT = "JSONCompactEachRowWithNamesAndTypes"
_INSERT_FORMAT = "JSONCompactEachRow"
# Numbers that JSON cannot hold exactly travel as strings, times as UTC whatever the server's zone.
_EXACT = {
    "output_format_json_quote_decimals": "1",
    "output_format_json_quote_64bit_integers": "1",
    "date_time_output_format": "simple",
    "session_timezone": "UTC",
}
_INSERT_CHUNK_ROWS = 10_000
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)

Row = tuple[Any, ...]


class Executor(Protocol):
    """Runs SQL of ours. Parameters are plain scalars, bound as `{name:Type}`, never pasted into text."""

    def command(self, sql: str, params: Mapping[str, str] | None = None) -> None:
        """Run one statement that returns nothing (DDL, INSERT ... SELECT, ALTER)."""
        ...

    def rows(self, sql: str, params: Mapping[str, str] | None = None) -> list[Row]:
        """Run one SELECT without FORMAT or SETTINGS clause.

        Returns:
            Rows of `int`, `float`, `Decimal`, `str`, `bool`, `date`, aware UTC `datetime`, `None`, lists
            and dicts. `DateTime64` is cut to Python's microseconds.
        """
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows of the Python values that `rows` returns."""
        ...


class EngineHandle(Protocol):
    """The part of `store.engine.Handle` that is used here (the engine itself is not imported)."""

    def query(self, sql: str, fmt: str = ..., params: Mapping[str, str] | None = ...) -> Any:
        """Run a statement; the result carries `data: bytes`."""
        ...

    def insert(self, sql: str, fmt: str, chunks: Iterable[bytes]) -> int:
        """Insert what the chunks hold."""
        ...


class HandleExecutor:
    """An executor over one handle of the embedded engine. Not for concurrent use: a handle serialises."""

    def __init__(self, handle: EngineHandle) -> None:
        self._handle = handle

    def command(self, sql: str, params: Mapping[str, str] | None = None) -> None:
        """See `Executor.command`."""
        self._handle.query(sql, "TabSeparated", _escaped(params))

    def rows(self, sql: str, params: Mapping[str, str] | None = None) -> list[Row]:
        """See `Executor.rows`."""
        settings = ", ".join(f"{name} = '{value}'" for name, value in _EXACT.items())
        result = self._handle.query(f"{sql}\nSETTINGS {settings}", _ROWS_FORMAT, _escaped(params))
        return _decode(result.data)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """See `Executor.insert`."""
        self._handle.insert(f"INSERT INTO {table} ({', '.join(columns)})", _INSERT_FORMAT, _encode(rows))


class ClientExecutor:
    """An executor over a `clickhouse_connect` client, for a ClickHouse server or a running local store."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def command(self, sql: str, params: Mapping[str, str] | None = None) -> None:
        """See `Executor.command`."""
        self._client.command(sql, parameters=dict(params) if params else None)

    def rows(self, sql: str, params: Mapping[str, str] | None = None) -> list[Row]:
        """See `Executor.rows`."""
        data: bytes = self._client.raw_query(
            sql, parameters=dict(params) if params else None, settings=_EXACT, fmt=_ROWS_FORMAT
        )
        return _decode(data)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """See `Executor.insert`."""
        self._client.raw_insert(
            table, column_names=list(columns), insert_block=_encode(rows), fmt=_INSERT_FORMAT
        )


def _escaped(params: Mapping[str, str] | None) -> dict[str, str] | None:
    # The engine reads a parameter as ClickHouse's HTTP interface does: in the escaped form of TabSeparated.
    return {name: value.translate(_ESCAPES) for name, value in params.items()} if params else None


def _decode(data: bytes) -> list[Row]:
    lines = data.splitlines()
    if len(lines) < 2:
        return []
    types: list[str] = json.loads(lines[1])
    readers = [_reader(kind) for kind in types]
    rows: list[Row] = []
    for line in lines[2:]:
        if line:
            values: list[Any] = json.loads(line)
            rows.append(tuple(v if v is None else read(v) for read, v in zip(readers, values, strict=True)))
    return rows


def _reader(kind: str) -> Callable[[Any], Any]:
    for wrapper in ("LowCardinality(", "Nullable("):
        if kind.startswith(wrapper):
            return _reader(kind[len(wrapper) : -1])
    if kind.startswith("SimpleAggregateFunction("):
        return _reader(kind[len("SimpleAggregateFunction(") : -1].partition(", ")[2])
    if kind.startswith("Array("):
        return _list_reader(_reader(kind[len("Array(") : -1]))
    if kind.startswith("Map("):
        key, _, value = kind[len("Map(") : -1].partition(", ")
        return _map_reader(_reader(key), _reader(value))
    for prefix, read in _READERS:
        if kind.startswith(prefix):
            return read
    return _as_is


def _list_reader(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(values: Any) -> list[Any]:
        return [value if value is None else inner(value) for value in values]

    return read


def _map_reader(key: Callable[[Any], Any], value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(items: Any) -> dict[Any, Any]:
        return {key(name): item if item is None else value(item) for name, item in items.items()}

    return read


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text[:26]).replace(tzinfo=timezone.utc)


def _as_is(value: Any) -> Any:
    return value


_READERS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("Decimal", Decimal),
    ("Int", int),
    ("UInt", int),
    ("DateTime", _utc),
    ("Date", date.fromisoformat),
    ("Float", float),
)


def _encode(rows: Iterable[Sequence[Any]]) -> Iterable[bytes]:
    chunk: list[str] = []
    for row in rows:
        chunk.append(json.dumps([_plain(value) for value in row], ensure_ascii=False))
        if len(chunk) >= _INSERT_CHUNK_ROWS:
            yield ("\n".join(chunk) + "\n").encode()
            chunk = []
    if chunk:
        yield ("\n".join(chunk) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc).replace(tzinfo=None).isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
