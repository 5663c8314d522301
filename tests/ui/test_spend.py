from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pricing.test_ledger import settle
from promptspan_server.finance.ledger import month
from promptspan_server.store.executor import ClientExecutor
from ui.looking import healthy, marked_up, numbers, open_page, tables, texts, words
from ui.seed import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

    from queries.live_store import LiveStore

GROUPS = "Spend by group with its change and the reasons"
NOW = datetime.now(timezone.utc)
MONTH = f"{NOW:%Y-%m}"


@pytest.fixture
def booked(full: LiveStore) -> LiveStore:
    """The store with calls, all of them in the ledger."""
    settle(ClientExecutor(full.writer))
    return full


def in_the_ledger(store: LiveStore, what: str) -> Decimal:
    bounds = month(MONTH)
    return store.value(
        f"SELECT {what} FROM llm_costs WHERE billable AND ts >= '{bounds.start:%F %T}' AND ts < now()"
    )


def usd(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", "").replace("—", "0"))


def test_groups_sum_to_the_total_and_the_total_is_the_ledger(booked: LiveStore) -> None:
    whole = in_the_ledger(booked, "sum(cost_usd)")
    for by in ("feature", "model", "version"):
        *rows, last = tables(healthy(open_page("spend", {"month": MONTH, "by": by})))[GROUPS]
        costs = [usd(row["Cost, USD"]["title"]) for row in rows]
        assert sum(costs, Decimal(0)) == usd(last["Cost, USD"]["title"]) == whole
        calls = [int(row["Calls"]["text"].replace(",", "")) for row in rows]
        assert sum(calls) == int(last["Calls"]["text"].replace(",", "")) == in_the_ledger(booked, "count()")


def test_the_page_says_what_is_not_known_and_never_takes_it_as_zero(booked: LiveStore) -> None:
    app = healthy(open_page("spend", {"month": MONTH, "part": "Not known"}))
    rows = tables(app)["Calls without a known cost by model"]
    assert {(row["Model"]["text"], row["Why"]["text"]) for row in rows} >= {
        ("nobody-knows", "no price"),
        ("gpt-4o-mini", "no usage"),
    }
    assert "have a known cost" in words(app)
    shown = tables(healthy(open_page("spend", {"month": MONTH})))[GROUPS]
    (unpriced,) = [row for row in shown if row[next(iter(row))].get("title") == HOSTILE]
    assert (unpriced["Cost, USD"]["text"], unpriced["Per call"]["text"]) == ("—", "—")


def test_hostile_names_are_text(booked: LiveStore) -> None:
    app = healthy(open_page("spend", {"month": MONTH, "by": "prompt"}))
    assert HOSTILE in texts(app)
    assert not any(HOSTILE[:20] in markup for markup in marked_up(app))


def test_a_filter_narrows_every_number(booked: LiveStore) -> None:
    app = healthy(open_page("spend", {"month": MONTH, "feature": "inbox-summary"}))
    whole = in_the_ledger(booked, "sumIf(cost_usd, feature = 'inbox-summary')")
    assert f"${whole:f}".rstrip("0") in numbers(app)["Month to date, USD"]["help"]


def test_each_part_of_the_page_is_drawn_when_it_is_looked_at(booked: LiveStore) -> None:
    for part, caption in (
        ("Unit cost", "Cost of a successful outcome by evaluation"),
        ("Waste", "Spend on calls that brought nothing or could have been avoided"),
    ):
        found = tables(healthy(open_page("spend", {"month": MONTH, "part": part})))
        assert caption in found
        assert GROUPS not in found
    app = healthy(open_page("spend", {"month": MONTH, "part": "What if", "other": "openai/gpt-4o"}))
    shown = numbers(app)
    assert usd(shown["On that model, USD"]["value"]) > usd(shown["As it was, USD"]["value"])


def test_teams_and_budgets_come_from_the_files_that_the_environment_names(
    booked: LiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, budgets = tmp_path / "rules.yaml", tmp_path / "budgets.yaml"
    rules.write_text("rules: [{match: {feature: inbox-summary}, to: {team: inbox}}]")
    budgets.write_text("budgets: [{name: tiny, match: {team: inbox}, amount: 0.0001, owner: o@example.com}]")
    monkeypatch.setenv("PROMPTSPAN_ALLOCATION", str(rules))
    monkeypatch.setenv("PROMPTSPAN_BUDGETS", str(budgets))
    app = healthy(open_page("spend", {"month": MONTH, "by": "team"}))
    assert {row["Team"]["text"] for row in tables(app)[GROUPS]} == {"inbox", "unallocated", "Total"}
    (budget,) = tables(app)["Budgets with spend, state and forecast"]
    assert (budget["Budget"]["text"], budget["State"]["text"]) == ("tiny", "over")
    rules.write_text("rules: [{match: {feature: inbox-summary}, to: {}}]")
    said = words(open_page("spend", {"month": MONTH, "by": "team"}))
    assert "rules.yaml:1: rules.0: `to` names a team" in said


def test_the_reporting_currency_has_a_column_that_sums_to_its_total(
    booked: LiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text(f"currency: EUR\nrates: {{{MONTH}: 0.5}}\n")
    monkeypatch.setenv("PROMPTSPAN_RATES", str(rates))
    *rows, last = tables(healthy(open_page("spend", {"month": MONTH})))[GROUPS]
    amounts = [usd(row["Cost, EUR"].get("title", "").removesuffix(" EUR") or "0") for row in rows]
    whole = usd(last["Cost, EUR"]["title"].removesuffix(" EUR"))
    assert sum(amounts, Decimal(0)) == whole == in_the_ledger(booked, "sum(cost_usd)") / 2
    budgets = tmp_path / "budgets.yaml"
    budgets.write_text("budgets: [{name: euro, amount: 100, currency: EUR}]")
    monkeypatch.setenv("PROMPTSPAN_BUDGETS", str(budgets))
    (budget,) = tables(healthy(open_page("spend", {"month": MONTH})))[
        "Budgets with spend, state and forecast"
    ]
    assert (usd(budget["Of USD"]["text"]), budget["Of USD"]["title"]) == (200, "100 EUR")
    rates.write_text("currency: EUR\nrates: {2001-01: 1}\n")
    said = words(open_page("spend", {"month": MONTH}))
    assert f"no EUR rate for {MONTH}" in said


@pytest.mark.parametrize(
    "address", [{"month": "2031-01"}, {"month": "<b>"}, {"by": "colour"}, {"month": "2019-01"}]
)
def test_an_address_that_cannot_be_shown_says_so(booked: LiveStore, address: dict[str, str]) -> None:
    app = healthy(open_page("spend", address))
    assert len(app.warning) == 1 or "No model calls" in words(app)


def test_an_empty_store_says_how_to_send_the_first_call(
    empty: LiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", empty.dsn)
    assert "promptspan demo" in words(healthy(open_page("spend")))


def test_the_same_tokens_by_another_price_file(booked: LiveStore) -> None:
    app = open_page("spend", {"month": MONTH, "part": "What if"})
    file = "rates:\n  - {provider: openai, model: gpt-4o-mini, usd_per_mtok: {input: 1, output: 2}}\n"
    app.file_uploader(key="prices").upload("ours.yaml", file.encode()).run()
    assert "calls have no known cost by either" in words(healthy(app))
    assert "**Download** \u201cWhat if\u201d:" in words(app)
    shown = numbers(app)
    assert usd(shown["By that file, USD"]["value"]) > usd(shown["As it was, USD"]["value"])
    app.file_uploader(key="prices").upload("ours.yaml", b"rats: []").run()
    assert "ours.yaml:1: rats: there is no such field; rates is one" in words(healthy(app))
