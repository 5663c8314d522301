"""Streams rows of many columns into CSV, Parquet and Excel files: no digit is lost, no text is a formula.

The same rows give the same bytes, whenever they are written (Parquet and Excel: with the same version of the
library that writes them).
"""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

FORMATS: Final = (".csv", ".parquet", ".xlsx")
_CHUNK_ROWS: Final = 8_192
# What spreadsheets take for the start of a formula in a text cell (OWASP, "CSV injection").
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_SHEET_ROWS: Final = 1_048_576
_CELL_CHARACTERS: Final = 32_767
_NO_TIME: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)


class TableFileError(ValueError):
    """A file that cannot be written so. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's name and columns.

    Attributes:
        name: What a sheet is called.
        columns: Kind by name: text, time, count, quantity (9 places), price (18) or money (24).
    """

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """What is shown at once: a table with its rows, for a page, a command and their files alike.

    Attributes:
        table: Name and columns.
        rows: In the order of the columns; None is unknown, never 0.
    """

    table: Table
    rows: Sequence[Sequence[Any]]

    def write(self, path: Path) -> int:
        """Write it into a file, see `writing`, and return how many rows."""
        with writing(path, self.table) as writer:
            return writer.write(self.rows)


class Writer(Protocol):
    """Takes rows in the order of the table's columns."""

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        """Write rows and return how many."""
        ...


@contextmanager
def writing(path: Path, table: Table) -> Generator[Writer]:
    """Open a file for rows: CSV, Parquet or Excel by the ending of its name.

    The file appears whole when the block ends without an error, and not at all otherwise.

    Raises:
        TableFileError: Another ending.
    """
    kind = path.suffix.lower()
    if kind not in _OPENERS:
        raise TableFileError(f"{path.name}: the file's name has to end in {', '.join(FORMATS)}")
    part = path.with_name(f".{path.name}.part")
    try:
        with _OPENERS[kind](part, table) as writer:
            yield writer
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def number_text(value: Decimal) -> str:
    """Write a number without exponent and without zeros that say nothing, but never as a whole number.

    What guesses types from a file then reads a whole column as decimals.
    """
    text = format(value, "f")
    if "." not in text:
        return text + ".0"
    text = text.rstrip("0")
    return text + "0" if text.endswith(".") else text


def time_text(value: datetime) -> str:
    """Write a moment as `2026-10-01T00:00:00Z`."""
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell_text(value: str) -> str:
    return "'" + value if value.startswith(_FORMULA) else value


_AS_TEXT: Final[Mapping[str, Callable[[Any], str]]] = {
    "text": _cell_text,
    "time": time_text,
    "count": str,
    "quantity": number_text,
    "price": number_text,
    "money": number_text,
}


class _Csv:
    def __init__(self, file: Any, table: Table) -> None:
        self._writer = csv.writer(file, lineterminator="\r\n")  # a lone \r in a text is quoted only so
        self._writer.writerow(table.columns)
        self._cells = [_AS_TEXT[kind] for kind in table.columns.values()]

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        count = 0
        cells = self._cells
        for row in rows:
            self._writer.writerow(
                ["" if value is None else cell(value) for cell, value in zip(cells, row, strict=True)]
            )
            count += 1
        return count


@contextmanager
def _csv(path: Path, table: Table) -> Generator[Writer]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _Csv(file, table)


class _Parquet:
    def __init__(self, file: Any, schema: Any) -> None:
        self._file = file
        self._schema = schema
        self._pending: list[Sequence[Any]] = []

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        count = 0
        for row in rows:
            self._pending.append(row)
            count += 1
            if len(self._pending) >= _CHUNK_ROWS:
                self.flush()
        return count

    def flush(self) -> None:
        pa = _arrow()
        if self._pending:
            columns = zip(*self._pending, strict=True)
            arrays = [
                pa.array(values, type=field.type) for field, values in zip(self._schema, columns, strict=True)
            ]
            self._file.write_batch(pa.record_batch(arrays, schema=self._schema))
            self._pending = []


def _arrow() -> Any:
    # Without types of its own.
    import pyarrow as pa

    return pa


@contextmanager
def _parquet(path: Path, table: Table) -> Generator[Writer]:
    from pyarrow import parquet

    pa = _arrow()
    kinds = {
        "text": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "count": pa.int64(),
        "quantity": pa.decimal128(38, 9),
        "price": pa.decimal128(38, 18),
        "money": pa.decimal128(38, 24),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        writer = _Parquet(file, schema)
        yield writer
        writer.flush()


class _Excel:
    def __init__(self, book: Any, table: Table) -> None:
        self._book = book
        self._table = table
        self._time = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        self._sheet: Any = None
        self._at = _SHEET_ROWS
        self._sheets = 0
        self._begin()

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        count = 0
        kinds = list(enumerate(self._table.columns.values()))
        for row in rows:
            if self._at == _SHEET_ROWS:
                self._begin()
            for (column, kind), value in zip(kinds, row, strict=True):
                if value is None:
                    continue
                if kind == "text":
                    self._sheet.write_string(self._at, column, value[:_CELL_CHARACTERS])
                elif kind == "time":
                    self._sheet.write_datetime(self._at, column, value.replace(tzinfo=None), self._time)
                else:
                    self._sheet.write_number(self._at, column, value)
            self._at += 1
            count += 1
        return count

    def _begin(self) -> None:
        # A sheet ends at 1,048,576 rows: the rest goes on the next.
        self._sheets += 1
        name = self._table.name if self._sheets == 1 else f"{self._table.name} {self._sheets}"
        self._sheet = self._book.add_worksheet(name)
        for column, title in enumerate(self._table.columns):
            self._sheet.write_string(0, column, title)
        self._sheet.freeze_panes(1, 0)
        self._at = 1


@contextmanager
def _excel(path: Path, table: Table) -> Generator[Writer]:
    import xlsxwriter

    # Excel knows 15 digits of a number; texts never become formulas, links or numbers.
    book: Any = xlsxwriter.Workbook(
        str(path),
        {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "use_zip64": True},
    )
    book.set_properties({"created": _NO_TIME.replace(tzinfo=None)})
    try:
        yield _Excel(book, table)
    finally:
        book.close()


_OPENERS: Final[Mapping[str, Callable[[Path, Table], Any]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".xlsx": _excel,
}
