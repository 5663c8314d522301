from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]
    Ask = Callable[..., subprocess.CompletedProcess[str]]

EVERY_KIND = """
    SELECT
        toDecimal64('0.100000001', 9) AS dec,
        toDecimal128('12345678901234567890.123456789', 9) AS large_decimal,
        toUInt64(18446744073709551615) AS large, CAST(NULL, 'Nullable(String)') AS nothing, true AS yes,
        ['a', 'b'] AS list, map('k', 1) AS pairs, 'x, "y"' AS text,
        toDateTime64('2026-02-03 04:05:06.123456789', 9, 'UTC') AS at, 0.5 AS half
"""


@pytest.fixture
def ask(inside: Run, local_store: LocalStore) -> Ask:
    def run(*arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
        return inside("query", local_store.reader, *arguments, **extra)

    return run


def refused(result: subprocess.CompletedProcess[str], text: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert text in result.stderr


def test_json_has_every_digit_and_every_kind_of_value(ask: Ask) -> None:
    result = ask(EVERY_KIND, "--format=json")
    assert (result.returncode, result.stderr) == (0, "")
    [row] = json.loads(result.stdout, parse_float=Decimal)
    assert row == {
        "dec": Decimal("0.100000001"),
        "large_decimal": Decimal("12345678901234567890.123456789"),
        "large": 18446744073709551615,
        "nothing": None,
        "yes": True,
        "list": ["a", "b"],
        "pairs": {"k": 1},
        "text": 'x, "y"',
        "at": "2026-02-03 04:05:06.123456789",
        "half": Decimal("0.5"),
    }


def test_csv_has_every_digit_and_empty_cells_for_null(ask: Ask) -> None:
    result = ask(EVERY_KIND, "--format=csv")
    assert (result.returncode, result.stderr) == (0, "")
    [row] = csv.DictReader(io.StringIO(result.stdout))
    assert row["dec"] == "0.100000001"
    assert row["large_decimal"] == "12345678901234567890.123456789"
    assert row["nothing"] == ""
    assert row["text"] == 'x, "y"'
    assert row["list"] == '["a", "b"]'


def test_a_table_is_aligned_and_shows_null_as_a_dash(ask: Ask) -> None:
    result = ask("SELECT number AS n, if(n = 1, NULL, toDecimal64(n, 2)) AS usd FROM numbers(3)")
    assert (result.returncode, result.stderr) == (0, "")
    header, _, *rows = result.stdout.splitlines()
    assert header.split() == ["n", "usd"]
    assert [row.split() for row in rows] == [["0", "0"], ["1", "—"], ["2", "2"]]


def test_parameters_are_values_and_never_sql(ask: Ask) -> None:
    hostile = "'; DROP TABLE llm_calls; -- \\ \t\n{x}"
    result = ask(
        "SELECT {v:String} AS v, {n:UInt8} AS n", f"--param=v={hostile}", "--param=n=7", "--format=json"
    )
    assert json.loads(result.stdout) == [{"v": hostile, "n": 7}]


def test_a_statement_can_come_from_standard_input(
    promptspan: Run, local_store: LocalStore, tmp_path: Path
) -> None:
    path = tmp_path / "question.sql"
    path.write_text("SELECT 40 + 2 AS answer;\n")
    with path.open("rb") as stdin:
        result = promptspan("query", local_store.reader, "-", "--format=json", stdin=stdin)
    assert json.loads(result.stdout) == [{"answer": 42}]


def test_rows_are_bounded_and_cutting_is_said(ask: Ask) -> None:
    result = ask("SELECT number FROM numbers(1000000)", "--limit=3", "--format=csv")
    assert result.returncode == 0
    assert result.stdout == "number\n0\n1\n2\n"
    assert "only the first 3 rows are shown" in result.stderr


def test_exactly_the_limit_is_not_called_cut(ask: Ask) -> None:
    result = ask("SELECT number FROM numbers(3)", "--limit=3", "--format=csv")
    assert (result.stdout, result.stderr) == ("number\n0\n1\n2\n", "")


def test_no_rows_is_no_error(ask: Ask) -> None:
    result = ask("SELECT 1 AS one WHERE 0", "--format=json")
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT * FROM nowhere", "Code: 60."),
        ("SELEC 1", "Code: 62."),
        ("SELECT {v:String}", "v"),
        ("SELECT throwIf(number = 5) FROM numbers(10)", "Code: 395."),
    ],
)
def test_what_the_store_refuses_is_one_line_with_its_code(ask: Ask, sql: str, text: str) -> None:
    refused(ask(sql), text)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE llm_calls",
        "CREATE TABLE t (x UInt8) ENGINE = Memory",
        "SELECT * FROM file('/etc/passwd', 'CSV')",
    ],
)
def test_the_default_user_only_reads(ask: Ask, sql: str) -> None:
    refused(ask(sql), "Code: ")


def test_an_error_in_the_middle_of_an_answer_is_an_error(ask: Ask) -> None:
    result = ask(
        "SELECT throwIf(number = 300000, 'in the middle') AS x, repeat('y', 20) AS y FROM numbers(400000)",
        "--limit=5000000",
        "--format=csv",
    )
    refused(result, "in the middle")


def test_the_environment_names_the_store(inside: Run, local_store: LocalStore) -> None:
    result = inside(
        "query", "SELECT 1 AS one", "--format=csv", PROMPTSPAN_CLICKHOUSE_URL=local_store.ready["dsn"]
    )
    assert result.stdout == "one\n1\n"


def test_a_call_that_was_sent_can_be_asked_for(ask: Ask, local_store: LocalStore) -> None:
    local_store.send(
        gen_ai__operation__name="chat",
        gen_ai__provider__name="openai",
        gen_ai__request__model="gpt-4o-mini",
        gen_ai__usage__input_tokens=1000,
        gen_ai__usage__output_tokens=100,
        gen_ai__prompt__name="asked-for",
        gen_ai__prompt__version="7",
    )
    result = ask(
        "SELECT prompt_version, input_tokens, cost_usd, price_status FROM llm_costs "
        "WHERE prompt_name = {p:String}",
        "--param=p=asked-for",
        "--format=json",
    )
    # 1,000 at $0.15 and 100 at $0.60 per million tokens: https://openai.com/api/pricing
    assert json.loads(result.stdout, parse_float=Decimal) == [
        {
            "prompt_version": "7",
            "input_tokens": 1000,
            "cost_usd": Decimal("0.00021"),
            "price_status": "priced",
        }
    ]
