from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.cli.options import Format
from promptspan_server.cli.rows import Column, number, print_rows, read_json, write_json
from promptspan_server.cli.voice import printable

COLUMNS = [Column("name", "String"), Column("cost", "Nullable(Decimal(18, 9))")]


def printed(rows: list[list[Any]], form: Format, capsys: pytest.CaptureFixture[str]) -> str:
    print_rows(COLUMNS, rows, form)
    return capsys.readouterr().out


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20))
def test_a_decimal_passes_digit_for_digit(value: Decimal) -> None:
    text = f"[{value:f}]"
    assert write_json(read_json(text)) == text
    assert Decimal(number(value) or "none") == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_read_and_written_unchanged(value: Any) -> None:
    assert json.loads(write_json(read_json(json.dumps(value)))) == value


@given(st.lists(st.lists(st.text(alphabet="abc =,\"'\n;é"), min_size=2, max_size=2)))
def test_json_rows_are_one_document_of_objects(rows: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        print_rows(COLUMNS, rows, Format.json)
    assert json.loads(out.getvalue()) == [{"name": name, "cost": cost} for name, cost in rows]


def test_null_is_null_in_json_empty_in_csv_and_a_dash_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([["a", None]], Format.json, capsys) == '[\n  {"name": "a", "cost": null}\n]\n'
    assert printed([["a", None]], Format.csv, capsys) == "name,cost\na,\n"
    assert printed([["a", None]], Format.table, capsys).splitlines()[-1].split() == ["a", "—"]


def test_no_rows_is_an_empty_list_and_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([], Format.json, capsys) == "[]\n"
    assert printed([], Format.csv, capsys) == "name,cost\n"


def test_csv_cells_that_a_spreadsheet_would_run_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    out = printed([[text, read_json("-0.5")] for text in hostile], Format.csv, capsys)
    cells = list(csv.reader(io.StringIO(out, newline="")))[1:]
    assert [row[0] for row in cells] == ["'" + text for text in hostile]
    assert {row[1] for row in cells} == {"-0.5"}, "a negative number is a number"


def test_a_table_in_a_pipe_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 500
    lines = printed(
        [[long, read_json("0.000000001")], ["b", read_json("12.5")]], Format.table, capsys
    ).splitlines()
    assert long in lines[2]
    assert len({len(line.rstrip()) for line in lines[2:]}) == 1, "numbers end in one column"
    assert lines[2].endswith("0.000000001")


def test_what_a_model_wrote_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed([["\x1b[2J\x9b31m\u202e[bold]a\nb", None]], Format.table, capsys)
    assert "\x1b" not in out
    assert r"\x1b[2J\x9b31m\u202e[bold]a\nb" in out


@given(st.text())
def test_printable_text_has_no_control_character_left(text: str) -> None:
    shown = printable(text)
    assert all(ord(char) >= 32 or char in "\n\t" for char in shown)
    assert "\x7f" not in shown
