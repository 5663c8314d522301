from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from finance.months import at, fill
from promptspan_server.cli.app import invoke
from promptspan_server.finance.bills import BillLine
from promptspan_server.finance.closed import revisions
from promptspan_server.finance.closing import Wishes, close_month
from promptspan_server.finance.ledger import month
from promptspan_server.finance.reconcile import compare, read_ledger
from promptspan_server.finance.reconciled import Invoice, keep, report
from promptspan_server.store.executor import ClientExecutor
from promptspan_server.ui import close_actions
from promptspan_server.ui.close_panels import _file  # pyright: ignore[reportPrivateUsage]
from ui.looking import healthy, marked_up, numbers, open_page, tables, words
from ui.seed import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest
    from streamlit.testing.v1.element_tree import Button

    from queries.live_store import LiveStore

MONTH = "2025-05"
REVISIONS = "Revisions of the closed month"
ADJUSTMENTS = "Adjustments by feature and cause"
BILLS = "Bills of providers beside the ledger, with the causes of each difference"


@pytest.fixture(scope="module")
def closed(live: LiveStore) -> LiveStore:
    """A month that was closed, got a late call of a hostile name, and was revised; with a bill."""
    executor, time_range = ClientExecutor(live.writer), month(MONTH)
    fill(live, *[live.call(at(MONTH, 3, hour), feature="inbox") for hour in range(3)])
    close_month(live.reader, executor, time_range, Wishes())
    fill(live, live.call(at(MONTH, 9), feature=HOSTILE))
    bill = [
        BillLine(at(MONTH, 3).date(), "gpt-4o-mini", usd=Decimal("0.01")),
        BillLine(at(MONTH, 3).date(), "", usd=Decimal(2), what="web_search"),
    ]
    rows = compare(bill, read_ledger(live.reader, time_range, "openai", None, ()), {})
    keep(executor, report("openai", MONTH, rows, Invoice(HOSTILE), {"costs.json": "{}"}))
    close_month(live.reader, executor, time_range, Wishes(revise=True, note=HOSTILE))
    return live


def test_a_closed_month_shows_its_number_its_adjustments_and_its_bills(
    closed: LiveStore, full: LiveStore
) -> None:
    app = healthy(open_page("close", {"month": MONTH}))
    spent = full.value("SELECT sum(cost_usd) FROM llm_costs WHERE billable AND toYYYYMM(ts) = 202505")
    assert f"{MONTH} is closed with ${spent:f}".rstrip("0") in words(app)
    assert "revision 2 of 2." in words(app)
    shown = numbers(app)
    assert shown["Frozen cost, USD"]["help"].startswith(f"${spent:f}".rstrip("0"))
    assert shown["Unexplained in bills, USD"]["notes"][0]["tone"] == "bad"
    found = tables(app)
    assert [row["Revision"]["text"] for row in found[REVISIONS]] == ["1", "2"]
    assert found[REVISIONS][1]["Note"]["text"] == HOSTILE
    (late,) = found[ADJUSTMENTS]
    assert (late["Feature"]["text"], late["Cause"]["text"]) == (HOSTILE, "late calls")
    assert late["USD"]["text"] == found[REVISIONS][1]["Adjusted, USD"]["text"]
    (bill,) = found[BILLS]
    assert (bill["Provider"]["text"], bill["Other charges"]["text"]) == ("openai", "+$2.00")
    assert "manifest" not in {row["File"]["text"] for row in found["Files of the pack with their SHA-256"]}
    assert not [text for text in marked_up(app) if HOSTILE in text]


def test_an_earlier_revision_stays_what_it_was(closed: LiveStore, full: LiveStore) -> None:
    app = healthy(open_page("close", {"month": MONTH, "rev": "1"}))
    assert "revision 1 of 2." in words(app)
    assert ADJUSTMENTS not in tables(app)
    app = healthy(open_page("close", {"month": MONTH, "rev": "7"}))
    assert "a revision that does not exist" in app.warning[0].value
    assert "revision 2 of 2." in words(app)


def test_a_ledger_that_has_moved_since_is_said(closed: LiveStore, full: LiveStore) -> None:
    fill(full, full.call(at("2025-04", 3), feature="inbox"))
    close_month(full.reader, ClientExecutor(full.writer), month("2025-04"), Wishes())
    fill(full, full.call(at("2025-04", 4), feature="inbox"))
    app = healthy(open_page("close", {"month": "2025-04"}))
    assert "The ledger has moved by +$0.00021 since: promptspan close 2025-04 --revise." in words(app)
    app = healthy(button(app, "Revise 2025-04").click().run())
    assert "revision 2 of 2." in words(app)
    assert "The ledger has moved" not in words(app)


def test_a_month_is_closed_from_its_page_or_it_is_said_why_not(
    full: LiveStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rates = tmp_path / "ours.yaml"
    rates.write_text("currency: EUR\nrates: {2024-06: 0.5}")
    monkeypatch.setenv("PROMPTSPAN_RATES", str(rates))
    fill(
        full,
        full.call(at("2024-06", 3), feature="inbox"),
        full.call(at("2024-06", 3), request_model="nobody-knows", response_model="nobody-knows"),
    )
    app = open_page("close", {"month": "2024-06"})
    app = button(app, "Close 2024-06").click().run()
    assert "has usage without a price" in words(app)
    assert not revisions(full.reader, month("2024-06").start)
    app.checkbox[0].check()
    app = healthy(button(app, "Close 2024-06").click().run())
    assert "revision 1 of 1." in words(app)
    (frozen,) = revisions(full.reader, month("2024-06").start)
    assert frozen.currency == "EUR"


def test_a_dashboard_that_may_not_write_shows_the_command_alone(
    full: LiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_variable: str) -> None:
        return None

    monkeypatch.setattr(close_actions, "writer", nobody)
    app = healthy(open_page("close", {"month": "2024-09"}))
    assert not [each for each in app.button if each.label == "Close 2024-09"]
    assert "promptspan close 2024-09 --output 2024-09.zip" in words(app)


def button(app: AppTest, label: str) -> Button:
    """Return the button with a label."""
    (found,) = [each for each in app.button if each.label == label]
    return found


def test_an_open_month_and_a_wrong_address_say_what_to_do(full: LiveStore) -> None:
    app = healthy(open_page("close", {"month": "2024-02"}))
    assert "This month is not closed." in words(app)
    assert "promptspan close 2024-02 --output 2024-02.zip" in words(app)
    app = healthy(open_page("close", {"month": HOSTILE}))
    assert "cannot be shown" in app.warning[0].value
    assert not [text for text in marked_up(app) if HOSTILE in text]


def test_downloads_are_the_bytes_that_the_command_writes(
    closed: LiveStore, full: LiveStore, tmp_path: Path
) -> None:
    chain = revisions(full.reader, month(MONTH).start)
    for ending in ("csv", "xlsx", "parquet"):
        path = tmp_path / f"focus.{ending}"
        assert invoke(["export", "focus", "--month", MONTH, "--output", str(path), "--dsn", full.dsn]) == 0
        assert _file(month(MONTH), chain, ending)() == path.read_bytes()
