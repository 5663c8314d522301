from __future__ import annotations

import csv
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from promptspan_server.finance.table_files import FORMATS, Table, TableFileError, number_text, writing

if TYPE_CHECKING:
    from pathlib import Path

TABLE = Table("Things", {"Name": "text", "At": "time", "Count": "count", "Amount": "money"})
AT = datetime(2026, 10, 31, 23, tzinfo=timezone.utc)
AMOUNT = Decimal("12345678901234.000000000000000000000001")
ROWS = [
    ("=1+1", AT, 1, AMOUNT),
    ("+1", AT, -1, Decimal("-0.5")),
    ("a\rb\nc,\"d'", None, None, None),
    (None, AT, 0, Decimal(0)),
]


def test_every_digit_and_character_comes_back(tmp_path: Path) -> None:
    with writing(tmp_path / "a.parquet", TABLE) as file:
        assert file.write(ROWS) == 4
    untyped: Any = parquet
    read: list[dict[str, Any]] = untyped.read_table(tmp_path / "a.parquet").to_pylist()
    assert [tuple(row[name] for name in TABLE.columns) for row in read] == ROWS
    with writing(tmp_path / "a.csv", TABLE) as file:
        file.write(ROWS)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as text:
        _, *cells = list(csv.reader(text))
    assert cells == [
        ["'=1+1", "2026-10-31T23:00:00Z", "1", "12345678901234.000000000000000000000001"],
        ["'+1", "2026-10-31T23:00:00Z", "-1", "-0.5"],
        ["a\rb\nc,\"d'", "", "", ""],
        ["", "2026-10-31T23:00:00Z", "0", "0.0"],
    ]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=24))
def test_a_number_is_written_exactly(value: Decimal) -> None:
    text = number_text(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert "." in text


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text("before")

    def rows() -> object:
        yield ROWS[0]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError), writing(path, TABLE) as file:
        file.write(rows())  # type: ignore[arg-type]
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "before"


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableFileError, match=r"has to end in \.csv"), writing(tmp_path / "a.txt", TABLE):
        pass
