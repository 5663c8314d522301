"""A copy of a store in a directory of files, and a store made from it again.

Rows as text (TabSeparated, zstd), a file for each table, and `manifest.json`. It needs no rights on the
server's disks and does not depend on the engine's version or on how a table is stored, so a copy made by an
older version can be read by a newer one. What a table says is copied, not its history: repeated rows are
there once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import zstandard

from promptspan_server.store.cluster import LOCAL
from promptspan_server.store.executor import ClientExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

MANIFEST = "manifest.json"

_READ_BYTES = 1 << 20
_INSERT_BYTES = 16 << 20
# Written by the program itself, at any time: their rows are copied, not compared.
_LIVELY = {
    "arm_hour_rows",
    "hour_states",
    "hourly_rows",
    "instrumentations",
    "llm_call_corrections",
    "price_keys",
    "price_names",
    "prompt_hour_rows",
}
_NOT_COPIED = {"schema_migrations"}
# Calls are priced as they come: their prices are there before.
_FIRST = (
    "price_files",
    "price_rates",
    "model_windows",
    "price_match",
    "price_books",
    "attribute_aliases",
    "value_aliases",
)
_LEDGER = "SELECT sum(calls), sum(cost_usd) FROM llm_hourly"


class BackupError(Exception):
    """It cannot be done, or what came back is not what went in. The message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a copy.

    Attributes:
        name: Its name.
        columns: Its columns, in the order of the file.
        rows: Rows in the file.
        checksum: Of the rows, whatever their order, hex.
    """

    name: str
    columns: list[str]
    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a copy holds.

    Attributes:
        tables: Tables, in the order in which they are put back.
        ledger_calls: Calls in the ledger.
        ledger_cost_usd: Cost in the ledger, every digit.
    """

    tables: list[Table]
    ledger_calls: str
    ledger_cost_usd: str

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


def back_up(client: Any, folder: Path) -> Manifest:
    """Copy a store into a directory that does not exist yet. The store may run and take in.

    Args:
        client: A `clickhouse_connect` client of a user who may read everything.
        folder: Where to. It appears when it is whole.

    Raises:
        BackupError: The directory exists.
        OSError: It cannot be written.
    """
    if folder.exists():
        raise BackupError(f"{folder} exists already: a backup makes a directory of its own")
    executor = ClientExecutor(client)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    tables: list[Table] = []
    for name, engine in _tables(executor):
        columns = [
            str(column)
            for (column,) in executor.rows(
                """SELECT name FROM system.columns
                WHERE database = currentDatabase() AND table = {table:String}
                    AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
                ORDER BY position""",
                {"table": name},
            )
        ]
        with _compressed(partial / _file(name)) as write:
            rows, checksum = _copied(client, name, engine, columns, write)
        tables.append(Table(name, columns, rows, checksum))
    calls, cost = executor.rows(_LEDGER)[0]
    manifest = Manifest(tables, str(calls), str(cost))
    (partial / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
    partial.rename(folder)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read what a copy holds.

    Raises:
        BackupError: It is no copy, or not a whole one.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(
            [Table(**table) for table in found["tables"]], found["ledger_calls"], found["ledger_cost_usd"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no backup of promptspan ({MANIFEST} cannot be read)") from error
    for table in manifest.tables:
        if not (folder / _file(table.name)).is_file():
            raise BackupError(f"{folder} is not whole: {_file(table.name)} is missing")
    return manifest


def restore(client: Any, folder: Path, *, priced: Callable[[], object]) -> Manifest:
    """Fill an empty store of this version from a copy, and compare what it holds then with what was copied.

    Args:
        client: A `clickhouse_connect` client of a user who may write.
        folder: The copy.
        priced: Called when the prices are back: makes the book current that they belong to.

    Raises:
        BackupError: The store is not empty, the copy is damaged, or the store is not equal to it afterwards.
    """
    manifest = read_manifest(folder)
    executor = ClientExecutor(client)
    here = dict(_tables(executor))
    unknown = [table.name for table in manifest.tables if table.name not in here]
    if unknown:
        raise BackupError(
            f"this version has no table {unknown[0]}: restore with the one that made the backup"
        )
    for name in ("llm_calls", "spans", "hourly_rows"):
        if executor.rows(f"SELECT count() FROM {name}")[0][0]:  # noqa: S608 - names of ours
            raise BackupError(f"the store is not empty ({name} has rows): restore into a new one")
    seeded = {name for name in here if executor.rows(f"SELECT count() FROM {name}")[0][0]}  # noqa: S608
    tables = sorted(manifest.tables, key=lambda table: table.name not in _FIRST)
    for place, table in enumerate(tables):
        if place and tables[place - 1].name in _FIRST and table.name not in _FIRST:
            priced()
        _filled(client, table, folder / _file(table.name))
    for table in tables:
        if table.name in _LIVELY or table.name in seeded:
            continue
        found = _copied(client, table.name, here[table.name], table.columns, lambda _: None)
        if found != (table.rows, table.checksum):
            raise BackupError(
                f"{table.name} is not what was copied: {found[0]} rows, {table.rows} in the backup"
            )
    ledger = tuple(str(value) for value in executor.rows(_LEDGER)[0])
    if ledger != (manifest.ledger_calls, manifest.ledger_cost_usd):
        raise BackupError(
            f"the ledger says {ledger[1]} USD after the restore, not {manifest.ledger_cost_usd}"
        )
    return manifest


def _tables(executor: ClientExecutor) -> list[tuple[str, str]]:
    rows = executor.rows(
        """SELECT name, engine FROM system.tables
        WHERE database = currentDatabase() AND (engine LIKE '%MergeTree' OR engine = 'Distributed')
        ORDER BY name"""
    )
    return [
        (str(name), str(engine))
        for name, engine in rows
        if name not in _NOT_COPIED and not str(name).endswith(LOCAL)
    ]


def _file(table: str) -> str:
    return f"{table}.tsv.zst"


def _copied(
    client: Any, table: str, engine: str, columns: list[str], write: Callable[[bytes], object]
) -> tuple[int, str]:
    """Hand the table's rows on as they come; their number and their checksum."""
    final = "" if engine.removeprefix("Replicated") == "MergeTree" else "FINAL"
    names = ", ".join(f"`{column}`" for column in columns)
    source: Any = client.raw_stream(f"SELECT {names} FROM {table} {final}", fmt="TabSeparated")  # noqa: S608
    rows = total = 0
    rest = b""
    try:
        while data := source.read(_READ_BYTES):
            write(data)
            *lines, rest = (rest + data).split(b"\n")
            rows += len(lines)
            # A sum of hashes does not depend on the order of the rows.
            total += sum(map(_hashed, lines))
    finally:
        source.close()
    if rest:
        raise BackupError(f"the store broke off while it told {table}")
    return rows, f"{total % (1 << 64):016x}"


def _hashed(line: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big")


def _filled(client: Any, table: Table, path: Path) -> None:
    try:
        for chunk in _chunks(path):
            client.raw_insert(
                table.name,
                column_names=table.columns,
                insert_block=chunk,
                fmt="TabSeparated",
                # A copy holds years of days; the chunk before may have been equal.
                settings={"max_partitions_per_insert_block": "0", "insert_deduplicate": "0"},
            )
    except zstandard.ZstdError as error:
        raise BackupError(f"{path.name} is damaged ({error})") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as source:
        rest = b""
        while data := source.read(_INSERT_BYTES):
            whole, newline, after = data.rpartition(b"\n")
            if newline:
                yield rest + whole + newline
                rest = after
            else:
                rest += data
        if rest:
            raise BackupError(f"{path.name} is damaged (its last line is cut)")


@contextmanager
def _compressed(path: Path) -> Generator[Callable[[bytes], object]]:
    with path.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as target:
        yield target.write
