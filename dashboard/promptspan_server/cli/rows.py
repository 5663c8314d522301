"""Rows as a table for people, and as JSON and CSV for programs.

Values are what ClickHouse's JSON output says. Numbers with a point keep their digits: they pass through as
text and never become a binary float, so a `Decimal` is printed exactly.
"""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from promptspan_server.cli.options import Format
from promptspan_server.cli.voice import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

_NUMERIC = re.compile(r"(LowCardinality\(|Nullable\()*(U?Int|Float|Decimal|BFloat)")
# What spreadsheets take for the start of a formula in a text cell (OWASP, "CSV injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEEDS_QUOTES = re.compile('[",\r\n]')
_NO_VALUE = "—"
_UNLIMITED_WIDTH = 100_000


class Number(str):
    """A number in the digits that the store printed."""

    __slots__ = ()


def number(value: Decimal | None) -> Number | None:
    """Write a decimal without exponent and without zeros that say nothing."""
    if value is None:
        return None
    text = format(value, "f")
    return Number(text.rstrip("0").rstrip(".") if "." in text else text)


@dataclass(frozen=True)
class Column:
    """A column's name and its ClickHouse type."""

    name: str
    type: str


def read_json(line: bytes | str) -> Any:
    """Read JSON with fractions as `Number`."""
    return json.loads(line, parse_float=Number)


def write_json(value: Any) -> str:
    """Write what `read_json` gave, digit for digit."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{_quoted(name)}: {write_json(member)}" for name, member in members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write_json(item) for item in cast("list[Any]", value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def print_rows(columns: Sequence[Column], rows: Iterable[Sequence[Any]], form: Format) -> None:
    """Print rows on stdout.

    NULL is — in a table, `null` in JSON and an empty cell in CSV. A text cell that a spreadsheet would run as
    a formula gets a leading apostrophe in CSV.
    """
    if form is Format.json:
        _print_json(columns, rows)
    elif form is Format.csv:
        _print_csv(columns, rows)
    else:
        _print_table(columns, rows)


def _print_json(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    names = [_quoted(column.name) for column in columns]
    opening = "["
    for row in rows:
        members = ", ".join(f"{name}: {write_json(value)}" for name, value in zip(names, row, strict=True))
        print(f"{opening}\n  {{{members}}}", end="")
        opening = ","
    print("[]" if opening == "[" else "\n]")


def _print_csv(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    print(",".join(_csv_cell(column.name) for column in columns))
    for row in rows:
        print(",".join(map(_csv_cell, row)))


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    text = _text(value)
    if isinstance(value, str) and not isinstance(value, Number) and text.startswith(_FORMULA):
        text = "'" + text
    # The csv module leaves a lone carriage return bare, which readers take for the end of the row.
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def _print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        numeric = _NUMERIC.match(column.type) is not None
        table.add_column(
            Text(_one_line(column.name)),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=False,
        )
    for row in rows:
        table.add_row(*(Text(_NO_VALUE if value is None else _one_line(_text(value))) for value in row))
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    # In a pipe there is no width to fit in, and folding would break a row into lines.
    whole = io.StringIO()
    Console(highlight=False, width=_UNLIMITED_WIDTH, file=whole).print(table)
    for line in whole.getvalue().splitlines():
        print(line.rstrip())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else write_json(value)


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")
