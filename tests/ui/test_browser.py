from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from finance.months import at
from finance.months import fill as fill_month
from pricing.test_ledger import settle
from promptspan_server.cli.app import invoke
from promptspan_server.finance.ledger import month
from promptspan_server.finance.spend import so_far
from promptspan_server.queries.scope import TimeRange
from promptspan_server.store.executor import ClientExecutor
from promptspan_server.ui import wording
from promptspan_server.ui.config import streamlit_args
from promptspan_server.ui.window import interval, stamp
from queries.live_store import running_store
from ui.seed import ALERT, HOSTILE, HOSTILE_ALERT, PROMPT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from queries.live_store import LiveStore

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_WAIT_MS = 60_000


@dataclass
class Visit:
    """A page in a browser, and everything that went wrong in it."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list[str])

    def open(self, address: str = "") -> Page:
        self.page.goto(f"{self.base}/{address}")
        return self.page

    def clean(self) -> None:
        """Assert that neither the page nor the console says anything is wrong."""
        assert self.complaints == []
        assert self.page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0


@pytest.fixture(scope="module")
def served(live: LiveStore, told: dict[str, Any]) -> Iterator[str]:
    """The dashboard as `promptspan up` starts it."""
    assert told
    with serving(live.dsn) as base:
        yield base


@contextmanager
def serving(dsn: str, **environment: str) -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        streamlit_args(port),
        env=os.environ | {"PROMPTSPAN_CLICKHOUSE_URL": dsn} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout
    deadline = threading.Timer(_WAIT_MS / 1000, process.kill)
    deadline.start()
    drain = threading.Thread(target=output.read, daemon=True)
    try:
        # It says where it listens once it does.
        assert any("URL:" in line for line in output), "the dashboard did not start"
        deadline.cancel()
        drain.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        deadline.cancel()
        process.terminate()
        process.wait(20)
        if drain.is_alive():
            drain.join(10)
        output.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def visiting(chromium: Browser, base: str, **options: Any) -> Generator[Visit]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
    page = context.new_page()
    page.set_default_timeout(_WAIT_MS)
    visit = Visit(page, base)
    page.on("pageerror", lambda error: visit.complaints.append(f"script: {error}"))
    page.on(
        "response",
        lambda answer: (
            visit.complaints.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    page.on(
        "console",
        lambda message: (
            visit.complaints.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    yield visit
    context.close()


@pytest.fixture
def visit(chromium: Browser, served: str) -> Iterator[Visit]:
    with visiting(chromium, served) as opened:
        yield opened


def fixed_range(hours: int = 12) -> str:
    end = datetime.now(timezone.utc).replace(microsecond=0)
    return interval(TimeRange(end - timedelta(hours=hours), end))


def value_of(page: Page, label: str) -> str:
    """Read the number under a label."""
    tile = page.locator(".tile", has=page.locator("dt", has_text=re.compile(f"^{re.escape(label)}")))
    return tile.locator(".value").inner_text()


def test_the_way_from_the_overview_to_the_text_of_one_call(
    visit: Visit, live: LiveStore, told: dict[str, Any]
) -> None:
    page = visit.open(f"?range={fixed_range()}&feature=inbox-summary")
    page.locator(".tile .value").first.wait_for()
    assert value_of(page, "Model calls") == "77"
    cost = live.value("SELECT sum(cost_usd) FROM llm_costs WHERE feature = 'inbox-summary' AND billable")
    assert value_of(page, "Cost in 12 h") == wording.usd(cost)

    page.get_by_role("link", name=PROMPT, exact=True).first.click()
    page.wait_for_url(re.compile(r"/prompt\?"))
    page.get_by_text("+You summarise e-mails in one sentence.").wait_for()
    versions = page.get_by_role("table", name="Versions")
    versions.wait_for()
    failed = versions.get_by_role("row", name=re.compile("^v7")).get_by_role("link", name="16.2")
    failed.click()

    page.wait_for_url(re.compile(r"/traces\?"))
    calls = page.get_by_role("table", name="Model calls, each leading to its trace")
    calls.wait_for()
    assert calls.get_by_role("row").count() == 7
    calls.get_by_role("link").first.click()

    page.wait_for_url(re.compile(r"/trace\?"))
    page.get_by_text("failed with RateLimitError after").wait_for()
    # While a page is still drawn, going back can lose the filters of the one before.
    page.locator("[data-test-script-state=notRunning]").first.wait_for()
    visit.clean()

    page.go_back()
    calls.wait_for()
    page.wait_for_url(re.compile("errors=true"))
    page.go_back()
    versions.wait_for()
    page.go_back()
    page.get_by_text("77 model calls").wait_for()
    assert value_of(page, "Model calls") == "77"
    visit.clean()


def test_the_way_from_an_alert_to_the_text_of_a_call_is_two_clicks_and_back_returns(visit: Visit) -> None:
    page = visit.open("alerts")
    alerts = page.get_by_role("table", name="Alerts, each leading to its incident")
    alerts.get_by_role("link", name="latency", exact=True).click()

    page.wait_for_url(re.compile(rf"/incident\?id={ALERT}$"))
    page.get_by_text("latency 12.5").first.wait_for()
    shows = page.get_by_role("table", name="Model calls, each leading to its trace").first
    shows.get_by_role("link").first.click()

    page.wait_for_url(re.compile(r"/trace\?"))
    page.get_by_text("At the depot.").wait_for()
    visit.clean()

    page.go_back()
    page.get_by_text("latency 12.5").first.wait_for()
    assert page.url.endswith(f"/incident?id={ALERT}")
    page.get_by_text("The way back").wait_for()
    visit.clean()
    page.get_by_role("link", name="All calls of its time").click()
    page.wait_for_url(re.compile(r"/traces\?.*version=v7"))
    # Until a page is drawn the one before it is still shown, and a step back then is a step too few.
    page.get_by_text("The way back").wait_for(state="detached")
    page.get_by_role("table", name="Model calls, each leading to its trace").wait_for()
    page.go_back()
    page.get_by_text("The way back").wait_for()
    page.go_back()
    alerts.wait_for()
    visit.clean()


def test_an_alert_is_acknowledged_and_silenced_from_its_page(visit: Visit, live: LiveStore) -> None:
    page = visit.open(f"incident?id={HOSTILE_ALERT}")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("You", exact=True).fill("ana")
    page.get_by_role("button", name="I am on it").click()
    page.get_by_text("ana is on it.").wait_for()
    page.get_by_role("button", name="Silence", exact=True).click()
    page.get_by_label("Why").fill("known")
    page.get_by_test_id("stFormSubmitButton").get_by_role("button", name="Silence").click()
    page.get_by_text("Silent until").wait_for()
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")
    page.locator(".stSpinner, [data-testid=stStatusWidget]").wait_for(state="detached")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as Markdown").click()
    assert download.value.path().read_text().startswith("# ")
    visit.clean()
    found = live.value("SELECT (author, comment, matchers) FROM alert_silences FINAL WHERE comment = 'known'")
    assert found[0] == "ana"
    assert json.loads(found[2])["prompt_name"] == HOSTILE


def test_a_trace_opened_by_its_address_shows_what_was_said(visit: Visit, told: dict[str, Any]) -> None:
    slow = told["slow"]
    page = visit.open(f"trace?trace={slow['trace_id']}&span={slow['span_id']}&at={stamp(slow['ts'])}")
    page.get_by_text("At the depot.").wait_for()
    page.get_by_role("table", name="Disjoint token buckets with their prices").wait_for()
    assert value_of(page, "Tokens, in + out") == "1,000 + 100"
    visit.clean()


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_every_page_opens_without_a_complaint_in_both_themes(
    chromium: Browser, served: str, theme: str
) -> None:
    seen = {
        "": "By prompt and version",
        "prompt": "choose one to see its versions",
        f"prompt?prompt={PROMPT}": "What changed in the template",
        "drift": "Sensitivity",
        "traces": "there are more",
        "trace": "Which trace?",
        "health": "Model calls per minute",
        "spend": "By feature",
        "alerts": "Silences",
        f"incident?id={ALERT}": "Export as Markdown",
        "incident": "Which incident?",
    }
    with visiting(chromium, served, color_scheme=theme) as visit:
        for address, words in seen.items():
            visit.open(address).get_by_text(words).first.wait_for()
            visit.page.wait_for_function("() => !document.querySelector('[data-stale=true]')")
            visit.clean()


def test_an_address_without_a_page_says_so_above_the_overview(visit: Visit) -> None:
    page = visit.open("nowhere")
    page.get_by_text("There is no page at this address").wait_for()
    page.get_by_text("By prompt and version").wait_for()
    visit.open().get_by_text("By prompt and version").wait_for()
    assert page.get_by_text("There is no page at this address").count() == 0


def test_hostile_names_run_no_script_and_are_read_as_they_are(visit: Visit, told: dict[str, Any]) -> None:
    hostile = told["hostile"]
    visit.page.on("dialog", lambda dialog: visit.complaints.append(f"dialog: {dialog.message}"))
    for address in (
        "",
        "traces?flag=%28none%29",
        "alerts",
        f"incident?id={HOSTILE_ALERT}",
        f"trace?trace={hostile['trace_id']}&span={hostile['span_id']}&at={stamp(hostile['ts'])}",
    ):
        page = visit.open(address)
        page.locator(".promptspan-title").wait_for(state="attached")
        page.locator("[data-testid=stCaptionContainer]").first.wait_for()
        assert page.locator("img[src=x]").count() == 0
    page.get_by_text(HOSTILE).first.wait_for()
    visit.clean()


def test_a_copied_address_gives_the_same_numbers_in_another_time_zone(chromium: Browser, served: str) -> None:
    found: list[list[str]] = []
    address = f"?range={fixed_range(3)}&environment=prod"
    for zone in ("Pacific/Auckland", "America/Los_Angeles"):
        with visiting(chromium, served, timezone_id=zone) as visit:
            page = visit.open(address)
            page.locator(".tile .value").first.wait_for()
            found.append(page.locator(".tile .value").all_inner_texts())
    assert found[0] == found[1]


def test_choosing_a_range_is_one_step_back(visit: Visit) -> None:
    page = visit.open()
    page.get_by_text("live, every 15 s").wait_for()
    page.get_by_role("radio", name="1 h").or_(page.get_by_role("button", name="1 h")).first.click()
    page.get_by_text("fixed range").wait_for()
    assert "range=" in page.url
    page.go_back()
    page.get_by_text("live, every 15 s").wait_for()
    assert "range=" not in page.url
    visit.clean()


def test_the_menu_keeps_the_range(visit: Visit) -> None:
    chosen = fixed_range(2)
    page = visit.open(f"?range={chosen}")
    page.get_by_text("fixed range").wait_for()
    page.get_by_role("link", name="Traces", exact=True).click()
    page.wait_for_url(re.compile(rf"/traces\?range={chosen}"))
    page.get_by_text("fixed range").wait_for()
    visit.clean()


def test_a_table_sorts_by_its_headings(visit: Visit) -> None:
    page = visit.open("?feature=inbox-summary")
    table = page.get_by_role("table", name="Prompt versions with calls, failures, latency and cost")
    table.wait_for()
    assert table.get_by_role("row").nth(1).get_by_role("cell").nth(1).inner_text() == "v6"
    heading = table.get_by_role("columnheader", name="Failed")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert table.get_by_role("row").nth(1).get_by_role("cell").nth(1).inner_text() == "v7"
    visit.clean()


@pytest.mark.long
def test_an_empty_store_shows_the_endpoint_to_copy_until_the_first_call_is_there(
    chromium: Browser, tmp_path: Path
) -> None:
    with running_store(tmp_path / "new") as new:
        endpoint = f"http://127.0.0.1:{new.otlp_port}"
        with serving(new.dsn, PROMPTSPAN_OTLP_ENDPOINT=endpoint) as base, visiting(chromium, base) as visit:
            page = visit.open()
            page.get_by_text("No calls yet").wait_for()
            page.locator("[data-testid=stCode]", has_text=re.compile(f"^{endpoint}$")).wait_for()
            new.insert("llm_calls", new.call(datetime.now(timezone.utc)))
            page.get_by_text("1 model call in 24 h, none failed").wait_for()
            visit.clean()


@pytest.mark.long
def test_a_token_is_asked_for_once_and_the_address_is_kept(
    chromium: Browser, live: LiveStore, told: dict[str, Any]
) -> None:
    slow = told["slow"]
    with serving(live.dsn, PROMPTSPAN_TOKEN="s3cret") as base, visiting(chromium, base) as visit:
        page = visit.open(f"trace?trace={slow['trace_id']}&at={stamp(slow['ts'])}")
        page.get_by_role("textbox", name="Token").fill("s3cret")
        page.get_by_role("button", name="Open").click()
        page.get_by_text("At the depot.").wait_for()
        page.get_by_role("link", name="Overview").click()
        page.get_by_text("By prompt and version").wait_for()
        assert page.get_by_role("textbox", name="Token").count() == 0
        visit.clean()


def test_finance_goes_its_way_by_keyboard_alone(visit: Visit, live: LiveStore) -> None:
    """Open spend, choose a feature, see what changed it, take the file."""
    now = datetime.now(timezone.utc)
    for part, tokens in zip(so_far(month(f"{now:%Y-%m}"), now), (3_000, 1_000), strict=True):
        moment = part.start + timedelta(seconds=30)
        live.insert("llm_calls", live.call(moment, feature="by-keyboard", input_tokens=tokens))
    settle(ClientExecutor(live.writer))
    page = visit.open("")
    page.get_by_text("By prompt and version").wait_for()
    tab_to(page, "Spend")
    page.keyboard.press("Enter")
    page.get_by_text("Why it changed").wait_for()
    tab_to(page, "All features")
    page.keyboard.type("by-keyb")
    page.get_by_role("option", name="by-keyboard").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("feature=by-keyboard"))
    page.locator(".tile .value", has_text="$0.000510").first.wait_for()
    page.get_by_role("cell", name="Longer calls").wait_for()
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")
    page.locator(".stSpinner, [data-testid=stStatusWidget]").wait_for(state="detached")
    tab_to(page, "CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    lines = download.value.path().read_text().splitlines()
    assert lines[1].startswith("by-keyboard,1,1,0,0,0.00051,0.00051,0.51,0.00021,0.0003,0.0,0.0,0.0003,0.0,")
    assert len(lines) == 2
    visit.clean()


def test_finance_closes_a_month_and_opens_it_by_keyboard_alone(
    visit: Visit, live: LiveStore, tmp_path: Path
) -> None:
    """From spend to the closed month, and take its file: the bytes that the command writes."""
    name = "2025-02"
    fill_month(live, *[live.call(at(name, 3, hour), feature="closed") for hour in range(3)])
    page = visit.open(f"spend?month={name}")
    page.get_by_text("Why it changed").wait_for()
    tab_to(page, "Close")
    page.keyboard.press("Enter")
    page.get_by_text("Month (UTC)").first.wait_for()
    tab_to(page, "Month (UTC)")
    page.keyboard.type(name)
    page.get_by_role("option", name=name).wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("This month is not closed.").wait_for()
    tab_to(page, f"Close {name}")
    page.keyboard.press("Enter")
    page.get_by_text(f"{name} is closed with $0.00063, revision 1 of 1.").wait_for()
    tab_to(page, "CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    path = tmp_path / "focus.csv"
    assert invoke(["export", "focus", "--month", name, "--output", str(path), "--dsn", live.dsn]) == 0
    assert download.value.path().read_bytes() == path.read_bytes()
    visit.clean()


def tab_to(page: Page, name: str) -> None:
    """Press the tab key until what has the focus is called so."""
    focused = """() => {
        let at = document.activeElement;
        while (at && at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
        const text = ["A", "BUTTON"].includes(at.tagName) ? at.innerText : "";
        return [at.getAttribute("aria-label"), at.placeholder, text].join("|");
    }"""
    seen: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(focused))
        if name in seen[-1]:
            return
    pytest.fail(f"the tab key does not lead to {name}: {seen}")
