from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import openpyxl
import pytest

from pricing.test_ledger import settle
from promptspan_server.cli.app import invoke
from promptspan_server.cli.failure import CommandError
from promptspan_server.finance.currency import rounded
from promptspan_server.finance.ledger import month
from promptspan_server.finance.outcomes import Avoidable, Outcomes, Users
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.store.executor import ClientExecutor
from queries.live_store import ago

if TYPE_CHECKING:
    from pathlib import Path

    from queries.live_store import LiveStore

MONTH = f"{ago(8):%Y-%m}"
HOSTILE = '=HYPERLINK("http://x")\n,\'"'
RULES = """
rules:
  - {match: {feature: chat}, to: {team: chat}}
  - {match: {feature: search}, to: {team: search}}
  - {match: {feature: shared}, split_by: spend}
"""


@pytest.fixture(scope="module")
def spent(live: LiveStore) -> LiveStore:
    """Four features, one with a hostile name, one without a price; users, scores, texts, a cache."""
    at = ago(8, 9)
    calls: list[dict[str, Any]] = []
    for n in range(12):
        feature = ("chat", "search", "shared", HOSTILE)[n % 4]
        calls.append(
            live.call(
                at + timedelta(minutes=n),
                feature=feature,
                prompt_name="spend",
                user_id=f"u{n % 5}",
                input_tokens=2_000 + 7 * n,
                cache_read_tokens=1_000 if n < 6 else 0,
                finish_reasons=["length" if n == 1 else "stop"],
            )
        )
    calls.append(
        live.call(at, feature="unknown", request_model="nobody-knows", response_model="nobody-knows")
    )
    live.insert("llm_calls", *calls[:-1])
    live.insert("llm_calls", calls[-1])
    for n, call in enumerate(calls[:8]):
        who = {name: call[name] for name in ("trace_id", "span_id", "ts")}
        live.insert("scores", {**who, "name": "useful", "value": n % 4 / 3, "source_id": str(n)})
        live.insert("llm_texts", {**who, "input_text": f"question {n % 3}", "output_text": "answer"})
    executor = ClientExecutor(live.writer)
    sync_prices(executor)
    settle(executor)
    return live


def month_sum(store: LiveStore) -> Decimal:
    found = month(MONTH)
    bounds = f"ts >= '{found.start:%F %T}' AND ts < '{found.end:%F %T}' AND billable"
    return store.value(f"SELECT sum(ifNull(cost_usd, 0)) FROM llm_costs WHERE {bounds}")


def run(store: LiveStore, *arguments: str) -> int:
    return invoke(["spend", "--month", MONTH, "--dsn", store.dsn, *arguments])


@pytest.mark.parametrize("by", ["feature", "team", "version", "tags"])
def test_the_command_sums_to_the_ledger_by_any_grouping(
    spent: LiveStore, by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    assert run(spent, "--by", by, "--format", "json", "--allocation", str(rules)) == 0
    rows = json.loads(capsys.readouterr().out, parse_float=Decimal, parse_int=Decimal)
    assert sum((row["cost_usd"] or 0 for row in rows), Decimal(0)) == month_sum(spent)
    for row in rows:
        parts = sum((row[f"{name}_usd"] for name in ("volume", "mix", "tokens", "price")), Decimal(0))
        assert row["change_usd"] == parts == (row["cost_usd"] or 0) - (row["before_usd"] or 0)


def test_files_hold_every_digit_and_no_formula(
    spent: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"spend.{ending}" for ending in ("csv", "parquet", "xlsx")]
    for file in files:
        assert run(spent, "--output", str(file)) == 0
    whole = month_sum(spent)
    sums = duckdb.sql(f"SELECT sum(cost_usd), any_value(typeof(cost_usd)) FROM '{files[1]}'")
    assert sums is not None
    assert sums.fetchall() == [(whole, "DECIMAL(38,9)")]
    with files[0].open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert sum((Decimal(row["cost_usd"]) for row in table if row["cost_usd"]), Decimal(0)) == whole
    assert "'" + HOSTILE in {row["feature"] for row in table}
    sheet = openpyxl.load_workbook(files[2]).active
    assert sheet is not None
    header, *cells = sheet.iter_rows()
    names = [cell.value for cell in header]
    costs = [row[names.index("cost_usd")].value for row in cells]
    assert sum((Decimal(repr(cost)) for cost in costs if cost is not None), Decimal(0)) == whole
    assert {row[0].data_type for row in cells if row[0].value} == {"s"}
    assert HOSTILE in [row[0].value for row in cells]
    assert "spend.csv" in capsys.readouterr().out


def test_the_reporting_currency_stands_beside_dollars(
    spent: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text(f"currency: EUR\nrates: {{{MONTH}: 0.9234567891}}\n")
    assert run(spent, "--rates", str(rates), "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out, parse_float=Decimal, parse_int=Decimal)
    assert {row["reporting_currency"] for row in rows} == {"EUR"}
    euros = sum((Decimal(row["reporting_cost"] or 0) for row in rows), Decimal(0))
    assert euros == rounded(month_sum(spent) * Decimal("0.9234567891"), 12)
    assert run(spent, "--rates", str(rates)) == 0
    assert f"({str(euros).rstrip('0')} EUR)" in capsys.readouterr().out
    rates.write_text("currency: EUR\nrates: {2001-01: 1}\n")
    with pytest.raises(CommandError, match=f"{MONTH}: <EUR for one USD>"):
        run(spent, "--rates", str(rates))


def test_unknown_cost_is_empty_and_the_sentence_says_how_much_is_known(
    spent: LiveStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(spent, "--where", "feature=unknown", "--format", "csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["calls"], row["unpriced_calls"], row["cost_usd"], row["cost_per_call_usd"]) == (
        "1",
        "1",
        "",
        "",
    )
    assert run(spent, "--where", "feature=unknown") == 0
    assert "Unknown USD" in capsys.readouterr().out
    assert run(spent, "--where", "feature=chat", "--what-if", "openai/gpt-4o") == 0
    said = capsys.readouterr().out
    assert "100.0 % of 3 calls priced" in said
    assert "On openai/gpt-4o the same tokens: " in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "colour"), "not by 'colour'"),
        (("--where", "feature"), "as feature=inbox"),
        (("--where", "colour=red"), "no dimension 'colour'"),
        (("--output", "spend.txt"), "has to end in"),
        (("--allocation", "/nowhere.yaml"), "No such file"),
        (("--what-if", "no/such"), "no such model"),
        (("--show", "waste", "--where", "model=gpt-4o"), "not by model"),
    ],
)
def test_a_wrong_option_is_one_sentence(spent: LiveStore, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        run(spent, *arguments)
    assert "\n" not in caught.value.message


def test_budgets_are_checked_against_the_ledger(
    spent: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - {name: quarter, amount: 1000, period: quarter, owner: o}\n")
    check = ["budget", "check", "--budgets", str(file), "--dsn", spent.dsn, "--format", "json"]
    assert invoke(check) == 0
    (row,) = json.loads(capsys.readouterr().out, parse_float=Decimal)
    assert (row["state"], row["owner"]) == ("ok", "o")
    assert row["end_low_usd"] <= row["end_usd"] <= row["end_high_usd"]
    file.write_text("budgets:\n  - {name: tiny, amount: 0.000000001, period: quarter}\n")
    assert invoke(check) == (1 if row["spent_usd"] else 0)
    capsys.readouterr()
    file.write_text("budgets:\n  - {name: euro, amount: 100, currency: EUR}\n")
    rates = tmp_path / "rates.yaml"
    rates.write_text(f"currency: EUR\nrates: {{{datetime.now(timezone.utc):%Y-%m}: 0.8}}\n")
    assert invoke([*check, "--rates", str(rates)]) == 0
    (euro,) = json.loads(capsys.readouterr().out, parse_float=Decimal, parse_int=Decimal)
    assert (euro["budget_usd"], euro["state"]) == (125, "ok")
    assert invoke(["budget", "list", "--budgets", str(file)]) == 0
    assert "everything" in capsys.readouterr().out


def test_users_outcomes_and_what_could_have_been_avoided(spent: LiveStore) -> None:
    scope = Scope(TimeRange(ago(8, 8), ago(8, 11)), Filter(prompt="spend"))
    whole = spent.value("SELECT sum(cost_usd) FROM llm_costs WHERE prompt_name = 'spend'")
    (users,) = spent.reader.ask(Users(scope)).rows
    assert (users.users, users.calls, users.usd) == (5, 12, whole)
    (useful,) = spent.reader.ask(Outcomes(scope)).rows
    assert (useful.name, useful.judged, useful.good) == ("useful", 8, 4)
    (found,) = spent.reader.ask(Avoidable(scope)).rows
    assert (found.truncated, found.repeated, found.with_text) == (1, 5, 8)
    # Six calls read nothing, a minute after another: 1,000 tokens at half the price of gpt-4o-mini's input.
    assert (found.misses, found.misses_usd) == (6, Decimal("0.00045"))


def test_another_price_file_prices_the_same_tokens_to_the_last_digit(
    spent: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.yaml"
    whole = spent.value("SELECT sum(cost_usd) FROM llm_costs WHERE prompt_name = 'spend'")
    where = ("--where", "prompt=spend", "--prices", str(file))
    file.write_text("version: 1\n")
    assert run(spent, *where) == 0
    digits = f"{whole:f}".rstrip("0")
    assert f"{digits} USD instead of {digits} (12 calls)" in capsys.readouterr().out
    file.write_text("discounts: [{provider: openai, percent: 50}]\n")
    assert run(spent, *where) == 0
    assert f"{f'{whole / 2:f}'.rstrip('0')} USD instead of {digits}" in capsys.readouterr().out
    own = "{provider: openai, model: nobody-knows, usd_per_mtok: {input: 1, output: 1}}"
    file.write_text(f"rates: [{own}]\n")
    assert run(spent, "--where", "feature=unknown", "--prices", str(file)) == 0
    assert "1 calls without a price would have one" in capsys.readouterr().out
    # A context tier of its own within what the ledger adds up: no price is made up.
    tier = "{provider: openai, model: gpt-4o-mini, input_above: 2040, usd_per_mtok: {input: 9, output: 9}}"
    file.write_text(f"rates: [{tier}]\n")
    assert run(spent, *where) == 0
    assert "Left out, several prices of openai/gpt-4o-mini" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No such file"):
        run(spent, "--prices", str(tmp_path / "none.yaml"))


def test_unit_costs_and_waste_are_parts_of_the_command(
    spent: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--where", "prompt=spend")
    whole = spent.value("SELECT sum(cost_usd) FROM llm_costs WHERE prompt_name = 'spend'")
    assert run(spent, *where, "--show", "unit-cost", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out, parse_float=Decimal, parse_int=Decimal)
    assert [(row["unit"], row["evaluation"], row["number"], row["of"]) for row in rows] == [
        ("call", None, 12, 12),
        ("1000 calls", None, 12, 12),
        ("user", None, 5, 12),
        ("success", "useful", 4, 8),
    ]
    for row, units in zip(rows, (1, 1000, 1, 1), strict=True):
        assert row["each_usd"] == rounded(row["cost_usd"] * units / row["number"], 9)
    assert [row["cost_usd"] for row in rows[:3]] == [whole] * 3
    file = tmp_path / "waste.csv"
    assert run(spent, *where, "--show", "waste", "--output", str(file)) == 0
    with file.open(newline="") as lines:
        waste = {row["kind"]: (row["calls"], row["usd"]) for row in csv.DictReader(lines)}
    assert waste["Could have read the provider's cache"] == ("6", "0.00045")
    capsys.readouterr()
    assert run(spent, "--show", "unknown", "--format", "json") == 0
    assert ("nobody-knows", "unpriced") in {
        (row["model"], row["why"]) for row in json.loads(capsys.readouterr().out)
    }


def test_a_month_that_runs_ends_now_and_not_at_an_hour_to_come(
    spent: LiveStore, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = datetime.now(timezone.utc)
    assert invoke(["spend", "--dsn", spent.dsn]) == 0
    said = capsys.readouterr().out
    assert any(f"so far ({at:%Y-%m-%d %H:%M} UTC)" in said for at in (begun, datetime.now(timezone.utc))) or (
        f"{begun:%Y-%m}" != MONTH and "No calls" in said
    )


def test_questions_about_calls_have_answers_where_there_are_none(spent: LiveStore) -> None:
    scope = Scope(TimeRange(ago(8, 8), ago(8, 11)), Filter(prompt="nobody's"))
    (users,) = spent.reader.ask(Users(scope)).rows
    (found,) = spent.reader.ask(Avoidable(scope)).rows
    assert (users.users, users.usd, found.truncated, found.misses, found.repeated) == (0, None, 0, 0, 0)
    assert spent.reader.ask(Outcomes(scope)).rows == ()
