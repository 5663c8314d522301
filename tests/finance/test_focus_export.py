from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import openpyxl
import pytest

from finance.months import fill, month_of_calls
from promptspan_server.cli.app import invoke
from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from queries.live_store import LiveStore

MONTH = "2025-11"


@pytest.fixture(scope="module")
def month(live: LiveStore) -> LiveStore:
    fill(live, *month_of_calls(live, MONTH))
    return live


def ask(sql: str) -> list[Any]:
    return duckdb.execute(sql).fetchall()


def test_a_months_charges_are_the_calls_to_the_last_digit(
    month: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "allocation.yaml"
    rules.write_text("rules: [{match: {feature: search}, to: {team: search}}]")
    rates = tmp_path / "rates.yaml"
    rates.write_text("currency: EUR\nrates: {2025-11: 0.9}")
    for name in ("focus.csv", "focus.parquet", "focus.xlsx"):
        arguments = ["--allocation", str(rules), "--rates", str(rates), "--dsn", month.dsn]
        assert (
            invoke(["export", "focus", "--month", MONTH, "--output", str(tmp_path / name), *arguments]) == 0
        )
    spent = Decimal(
        month.value(
            "SELECT toString(sum(ifNull(cost_usd, 0))) FROM llm_costs"
            f" WHERE billable AND toYYYYMM(ts) = {MONTH.replace('-', '')}"
        )
    )
    said = capsys.readouterr().out
    assert f"{spent.normalize():f} USD, 32 calls (not closed)" in said
    assert "2 calls have no known cost" in said
    parquet = f"read_parquet('{tmp_path / 'focus.parquet'}')"
    csv = f"read_csv('{tmp_path / 'focus.csv'}', all_varchar = true)"
    assert ask(f"SELECT sum(BilledCost) FROM {parquet}") == [(spent,)]
    assert sum(Decimal(cost) for (cost,) in ask(f"SELECT BilledCost FROM {csv}")) == spent
    assert ask(f"SELECT sum(x_ReportingCost) FROM {parquet}") == [(spent * Decimal("0.9"),)]
    types = dict(ask(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {parquet})"))
    assert (types["BilledCost"], types["ChargePeriodStart"]) == ("DECIMAL(38,24)", "TIMESTAMP WITH TIME ZONE")
    assert ask(f"SELECT sum(x_Requests) FROM {parquet}") == [(29,)]  # 32, but 2 without cost and 1 cached
    teams = ask(
        f"SELECT DISTINCT json_extract_string(Tags, 'feature') FROM {parquet}"
        " WHERE json_extract_string(Tags, 'team') = 'search'"
    )
    assert teams == [("search",)]
    # A text that begins like a formula is a text in a spreadsheet, and itself in Parquet.
    assert ("'=cmd()",) in ask(f"SELECT DISTINCT x_PromptName FROM {csv}")
    assert ("=cmd()",) in ask(f"SELECT DISTINCT x_PromptName FROM {parquet}")
    book = openpyxl.load_workbook(tmp_path / "focus.xlsx")
    titles, *rows = list(book["FOCUS"].iter_rows(values_only=True))
    book.close()
    cells = [dict(zip(titles, row, strict=True)) for row in rows]
    assert len(cells) == ask(f"SELECT count() FROM {parquet}")[0][0]
    assert "=cmd()" in [cell["x_PromptName"] for cell in cells]
    assert sum(Decimal(str(cell["BilledCost"])) for cell in cells) == pytest.approx(spent)
    uncharged = f"read_csv('{tmp_path / 'focus.uncharged.csv'}')"
    assert ask(f"SELECT Reason, sum(Requests) FROM {uncharged} GROUP BY 1 ORDER BY 1") == [
        ("usage not known", 1),
        ("usage without a price in the price book", 1),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", "2025-13"], "no month"),
        (["--month", MONTH, "--spec", "1.3"], r"FOCUS 1\.2 is the version"),
        (["--month", MONTH, "--output", "x.json"], r"has to end in \.csv, \.parquet, \.xlsx"),
        (["--month", MONTH, "--revision", "1"], "is not closed: promptspan close"),
        (["--month", MONTH, "--rates", "nowhere.yaml"], "No such file"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(
    month: LiveStore, tmp_path: Path, arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        invoke(["export", "focus", "--output", str(tmp_path / "f.csv"), *arguments, "--dsn", month.dsn])
    assert list(tmp_path.iterdir()) == []


def test_a_day_without_a_rate_writes_nothing_and_says_what_to_add(month: LiveStore, tmp_path: Path) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text("currency: EUR\nrates: {2025-10: 0.9}")
    files = ["--output", str(tmp_path / "f.csv"), "--rates", str(rates)]
    with pytest.raises(CommandError, match="for 2025-11-01: add a line `2025-11: <EUR for one USD>`"):
        invoke(["export", "focus", "--month", MONTH, *files, "--dsn", month.dsn])
    assert [path.name for path in tmp_path.iterdir()] == ["rates.yaml"]
