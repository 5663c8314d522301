from __future__ import annotations

import random
import socket
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.queries.scope import TimeRange
from promptspan_server.ui.version_panels import MEASURES
from promptspan_server.ui.window import interval, stamp
from ui.looking import address, healthy, marked_up, numbers, open_page, tables, texts, words
from ui.seed import HOSTILE, PROMPT

if TYPE_CHECKING:
    from queries.live_store import LiveStore

PAGES = ("", "alerts", "incident", "prompt", "drift", "traces", "trace", "close", "health")
VERSIONS = "Prompt versions with calls, failures, latency and cost"
CALLS = "Model calls, each leading to its trace"


def address_of(call: dict[str, Any]) -> dict[str, str]:
    return {"trace": call["trace_id"], "span": call["span_id"], "at": stamp(call["ts"])}


# Overview


def test_the_overview_shows_what_sql_says(full: LiveStore) -> None:
    end = datetime.now(timezone.utc).replace(microsecond=0)
    fixed = TimeRange(end - timedelta(hours=6), end)
    app = healthy(open_page("", {"range": interval(fixed)}))
    where = (
        f"ts >= toDateTime('{fixed.start:%Y-%m-%d %H:%M:%S}', 'UTC') AND billable"
        f" AND ts < toDateTime('{fixed.end:%Y-%m-%d %H:%M:%S}', 'UTC')"
    )
    shown = numbers(app)
    calls = full.value(f"SELECT count() FROM llm_costs WHERE {where}")
    failed = full.value(f"SELECT countIf(status = 'error') FROM llm_costs WHERE {where}")
    cost = full.value(f"SELECT sum(cost_usd) FROM llm_costs WHERE {where}")
    assert shown["Model calls"]["value"] == f"{calls:,}"
    assert shown["Failed"]["value"] == f"{failed / calls * 100:.2f}\u202f%"
    assert f"${cost:f}".rstrip("0") in shown["Cost in 6 h, USD"]["help"]
    assert "of calls priced" in shown["Cost in 6 h, USD"]["notes"][0]["text"]


def test_the_overview_lists_versions_with_their_coverage_and_a_dash_for_unknown_cost(full: LiveStore) -> None:
    rows = tables(healthy(open_page("", {"range": "24h"})))[VERSIONS]
    cells = {(row["Prompt"]["text"], row["Version"]["text"]): row for row in rows}
    assert cells[PROMPT, "v6"]["Calls"]["text"] == "40"
    assert cells[PROMPT, "v7"]["Calls"]["text"] == "37"
    assert cells[PROMPT, "v7"]["Failed"]["text"] == "16.2\u202f%"
    assert cells[PROMPT, "v6"]["Priced"]["text"] == "100\u202f%"
    assert cells[HOSTILE, HOSTILE]["Cost, USD"]["text"] == "—"
    assert cells[HOSTILE, HOSTILE]["Priced"]["text"] == "0\u202f%"
    assert "without a price" in cells[HOSTILE, HOSTILE]["Priced"]["title"]


def test_the_prompt_page_says_whether_the_newest_version_is_worse(full: LiveStore) -> None:
    app = healthy(open_page("prompt", {"prompt": PROMPT, "range": "24h"}))
    rows = {row["Metric"]["text"]: row for row in tables(app)["Comparison by metric"]}
    assert {"error rate", "latency", "latency p95", "output tokens", "cost per call"} <= set(rows)
    assert rows["latency"]["Verdict"]["text"] == "regressed"
    assert "v7 is slower: " in words(app)
    assert "Observational" in words(app)


def test_the_overview_says_in_words_what_stands_out(full: LiveStore) -> None:
    said = words(open_page("", {"range": "24h", "feature": "inbox-summary"}))
    assert "77 model calls in 24 h, 7.8\u202f% failed" in said
    assert f"“{PROMPT} v7” fails 16.2\u202f% of the time, all other calls 0\u202f%." in said


def test_a_filter_in_the_address_narrows_every_number(full: LiveStore) -> None:
    app = healthy(open_page("", {"range": "24h", "feature": "inbox-summary"}))
    assert numbers(app)["Model calls"]["value"] == "77"
    assert {row["Prompt"]["text"] for row in tables(app)[VERSIONS]} == {PROMPT}


def test_a_filter_that_matches_nothing_stays_and_offers_a_way_out(full: LiveStore) -> None:
    app = healthy(open_page("", {"environment": "nowhere"}))
    assert "No model calls in this range" in words(app)
    assert app.selectbox(key="environment").value == "nowhere"
    assert numbers(app) == {}


def test_a_chosen_range_is_written_into_the_address_as_absolute_times(full: LiveStore) -> None:
    app = healthy(open_page(""))
    app.segmented_control[0].set_value("1h").run()
    start, _, end = address(app, "range").partition("-")
    assert datetime.fromisoformat(end) - datetime.fromisoformat(start) == timedelta(hours=1)
    healthy(app)
    assert "fixed range" in words(app)


def test_live_slides_and_pausing_pins_the_range(full: LiveStore) -> None:
    app = healthy(open_page(""))
    assert "live, every 15 s" in words(app)
    app.toggle(key="live").set_value(False).run()
    assert "-" in address(app, "range")
    assert "fixed range" in words(healthy(app))
    app.toggle(key="live").set_value(True).run()
    assert "live, every 15 s" in words(healthy(app))


def test_the_same_address_gives_the_same_numbers_again(full: LiveStore) -> None:
    end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=2)
    where_to = {"range": interval(TimeRange(end - timedelta(hours=5), end)), "feature": "inbox-summary"}
    first, second = open_page("", where_to), open_page("", where_to)
    assert numbers(first) == numbers(second)
    assert tables(first) == tables(second)


@pytest.mark.parametrize(
    "text", ["yesterday", "20260101T000000Z", "20260102T000000Z-20260101T000000Z", "a-b", "-"]
)
def test_a_range_that_cannot_be_read_falls_back_and_says_so(full: LiveStore, text: str) -> None:
    app = healthy(open_page("", {"range": text}))
    assert "cannot be read" in app.warning[0].value
    assert numbers(app)["Model calls"]["value"] != "0"


# Prompts


def test_the_list_of_prompts_leads_to_each(full: LiveStore) -> None:
    rows = tables(healthy(open_page("prompt", {"range": "24h"})))[
        "Prompts with calls, failures, latency and cost"
    ]
    mail = next(row for row in rows if row["Prompt"]["text"] == PROMPT)
    assert (mail["Versions"]["text"], mail["Newest version"]["text"]) == ("2", "v7")
    assert mail["Prompt"]["href"].startswith("prompt?range=")
    assert mail["Prompt"]["href"].endswith(f"prompt={PROMPT}")


def test_versions_of_a_prompt_stand_side_by_side_with_the_difference_of_their_templates(
    full: LiveStore,
) -> None:
    app = healthy(open_page("prompt", {"prompt": PROMPT, "range": "24h"}))
    rows = tables(app)["Versions"]
    assert [row["Version"]["text"] for row in rows] == ["v7", "v6"]
    assert [row["Calls"]["text"] for row in rows] == ["37", "40"]
    assert rows[1]["Tokens in"]["text"] == "1,000"
    said = words(app)
    assert "Version v7, first seen" in said
    assert "One line for the list of mails. · owner: inbox-team@example.com" in said
    assert app.code[0].value == (
        "-You summarise e-mails in two sentences.\n+You summarise e-mails in one sentence.\n \n {{ mail }}\n"
        "+Answer in English."
    )
    assert "2 lines added, 1 line removed" in said
    assert len(app.get("plotly_chart")) == 2


def test_the_templates_to_compare_are_in_the_address(full: LiveStore) -> None:
    app = healthy(open_page("prompt", {"prompt": PROMPT, "a": "v7", "b": "v6"}))
    assert app.code[0].value.startswith("+You summarise e-mails in two sentences.") or app.code[
        0
    ].value.startswith("-You summarise e-mails in one sentence.")
    app = healthy(open_page("prompt", {"prompt": PROMPT, "a": "v7", "b": "v7"}))
    assert "equal, line by line" in words(app)


@pytest.mark.parametrize("measure", list(MEASURES))
def test_every_measure_can_be_drawn_by_its_address(full: LiveStore, measure: str) -> None:
    app = healthy(open_page("prompt", {"prompt": PROMPT, "measure": measure}))
    assert len(app.get("plotly_chart")) == 2
    assert MEASURES[measure].title in words(app)


def test_a_prompt_without_calls_or_template_says_so(full: LiveStore) -> None:
    app = healthy(open_page("prompt", {"prompt": "unheard-of"}))
    assert "No model calls in this range" in words(app)
    assert "no template of this prompt" in words(app)


# Traces


def test_traces_can_be_narrowed_to_failures_of_a_version(full: LiveStore) -> None:
    app = healthy(open_page("traces", {"prompt": PROMPT, "version": "v7", "errors": "true", "range": "24h"}))
    rows = tables(app)[CALLS]
    assert len(rows) == 6
    assert {row["Status"]["text"] for row in rows} == {"error: RateLimitError"}
    assert {row["Cost, USD"]["text"] for row in rows} == {"—"}
    assert {row["Cost, USD"]["title"] for row in rows} == {"no usage reported"}


def test_traces_are_found_by_flag_duration_id_and_words(full: LiveStore, told: dict[str, Any]) -> None:
    slow = told["slow"]
    for where_to in ({"flag": "pii"}, {"slow": "5s"}, {"id": slow["trace_id"]}, {"id": "chatcmpl-slow"}):
        rows = tables(healthy(open_page("traces", {"range": "24h", **where_to})))[CALLS]
        assert [row["Start, UTC"]["title"] for row in rows] == [f"Trace {slow['trace_id']}"], where_to
    app = healthy(open_page("traces", {"range": "24h"}))
    app.text_input(key="words").set_value("parcel").run()
    assert len(tables(healthy(app))[CALLS]) == 1
    assert "parcel" not in str(app.query_params)


def test_the_order_of_a_list_is_in_its_address(full: LiveStore) -> None:
    rows = tables(healthy(open_page("traces", {"range": "24h", "order": "slowest"})))[CALLS]
    durations = [row["Duration"]["sort"] for row in rows]
    assert durations == sorted(durations, reverse=True)


def test_a_list_is_never_longer_than_fifty(full: LiveStore) -> None:
    app = healthy(open_page("traces", {"range": "24h"}))
    assert len(tables(app)[CALLS]) == 50
    assert "there are more" in words(app)


# One trace


def test_a_trace_tells_its_call(full: LiveStore, told: dict[str, Any]) -> None:
    slow = told["slow"]
    app = healthy(open_page("trace", address_of(slow)))
    assert f"{PROMPT} v7 on gpt-4o-mini succeeded after 7.65\u202fs." in words(app)
    shown = numbers(app)
    assert shown["Tokens, in + out"]["value"] == "1,000 + 100"
    assert shown["Tokens, in + out"]["notes"][1]["text"] == "0.9\u202f% of a window of 128,000"
    assert shown["Safety flags"]["notes"][0]["text"] == "pii"
    cost = full.value(f"SELECT cost_usd FROM llm_costs WHERE trace_id = '{slow['trace_id']}'")
    assert f"${cost:f}".rstrip("0") in shown["Cost, USD"]["help"]
    drawn = tables(app)
    buckets = drawn["Disjoint token buckets with their prices"]
    assert [(row["Tokens"]["text"], row["Number"]["text"]) for row in buckets[:-1]] == [
        ("input, not cached", "600"),
        ("input, read from cache", "400"),
        ("output", "40"),
        ("output, reasoning", "60"),
    ]
    assert "Price: openai/gpt-4o-mini" in words(app)
    spans = drawn["Spans of the trace, each with its place in time"]
    assert [(row["Span"]["text"], row["Span"].get("indent", 0)) for row in spans] == [
        ("POST /inbox", 0),
        ("chat gpt-4o-mini", 1),
    ]
    assert [code.value for code in app.code] == ["You are terse.", "Where is the parcel?", "At the depot."]
    assert [text.value for text in app.text if text.value.endswith(":")] == ["system:", "user:", "assistant:"]
    assert drawn["Evaluations and feedback"][0]["Value"]["text"] == "0.75"
    facts = {row["Fact"]["text"]: row["Value"]["text"] for row in drawn["Facts about the call"]}
    assert facts["User"] == "u:0123"
    assert facts["Trace"] == slow["trace_id"]


def test_a_failed_call_has_an_unknown_cost_with_its_reason(full: LiveStore, told: dict[str, Any]) -> None:
    app = healthy(open_page("trace", address_of(told["failed"])))
    assert "failed with RateLimitError" in words(app)
    assert numbers(app)["Cost, USD"]["value"] == "—"
    assert "reported no usage" in numbers(app)["Cost, USD"]["help"]
    assert numbers(app)["Tokens, in + out"]["value"] == "—"
    assert "No text: content is captured only where it is switched on" in words(app)


def test_a_trace_is_found_without_its_time_and_span(full: LiveStore, told: dict[str, Any]) -> None:
    app = healthy(open_page("trace", {"trace": told["slow"]["trace_id"].upper()}))
    assert "succeeded after 7.65" in words(app)


def test_an_unknown_trace_is_said_to_be_unknown(full: LiveStore) -> None:
    app = healthy(open_page("trace", {"trace": "f" * 32, "at": "not a time"}))
    assert "No span of this trace is in the store" in words(app)


def test_no_trace_asks_which(full: LiveStore) -> None:
    assert "Which trace?" in words(healthy(open_page("trace")))


# Health


def test_health_tells_losses_unpriced_models_and_versions(full: LiveStore) -> None:
    app = healthy(open_page("health"))
    shown = numbers(app)
    assert shown["Spans lost by SDKs"]["value"] == "3"
    assert shown["Store"]["notes"][0]["text"].startswith("schema 00")
    assert int(shown["Priced models"]["value"].replace(",", "")) > 100
    drawn = tables(app)
    unpriced = drawn["Models with calls whose cost is unknown"]
    assert any(
        row["Model"]["text"] == "nobody-knows" and row["Why"]["text"] == "no price" for row in unpriced
    )
    losses = drawn["Spans handed over, delivered and lost, by service"]
    assert losses[0]["Why"]["text"] == "queue_full 3"


# Drift


@pytest.fixture(scope="module")
def slowed(live: LiveStore) -> dict[str, str]:
    """A prompt whose calls took twice as long for three days, and where to look."""
    dice = random.Random(4)
    end = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=50)
    calls: list[dict[str, Any]] = []
    for hour in range(20 * 24):
        for _ in range(2):
            slow = 2.0 if hour >= 17 * 24 else 1.0
            calls.append(
                live.call(
                    end - timedelta(hours=20 * 24 - hour, minutes=-dice.randrange(60)),
                    prompt_name="slowed",
                    prompt_version="v3" if hour < 17 * 24 + 30 or dice.random() < 0.9 else "v4",
                    duration_ms=slow * dice.lognormvariate(6, 0.4),
                    feature="drifting",
                )
            )
    live.insert("llm_calls", *calls)
    judged = TimeRange(end - timedelta(days=5), end)
    return {"prompt": "slowed", "range": interval(judged)}


def test_the_drift_page_says_what_drifts_since_when_and_shows_the_course_and_calls(
    full: LiveStore, slowed: dict[str, str]
) -> None:
    app = healthy(open_page("drift", slowed))
    assert "v3 of slowed answers " in words(app)
    assert "nothing on our side changed" in words(app)
    drawn = tables(app)
    rows = {
        (row["Version"]["text"], row["Signal"]["text"]): row for row in drawn["Drift by version and signal"]
    }
    found = rows["v3", "latency"]
    assert found["Verdict"]["text"] == "drift"
    assert found["Change and interval"]["text"].startswith("+")
    assert "signal=latency" in found["Signal"]["href"]
    assert rows["v4", "latency"]["Verdict"]["text"] == "too little data"
    assert len(drawn["Since then, the most telling"]) == 5
    assert drawn["The day before"][0]["Start, UTC"]["href"].startswith("trace?")
    assert "v3 of slowed: " in words(app)


def test_the_series_in_the_address_is_the_one_that_is_drawn(full: LiveStore, slowed: dict[str, str]) -> None:
    app = healthy(open_page("drift", {**slowed, "signal": "error_rate", "of": "slowed@v3"}))
    assert "v3 of slowed: error rate" in words(app)


def test_fewer_things_matter_to_whom_only_large_changes_do(full: LiveStore, slowed: dict[str, str]) -> None:
    app = healthy(open_page("drift", {**slowed, "smallest": "400"}))
    assert "No drift: " in words(app)


def test_a_store_of_hours_has_too_little_data_for_drift(full: LiveStore) -> None:
    app = healthy(open_page("drift", {"prompt": PROMPT}))
    assert "Too little data to judge any of" in words(app)
    assert "7 are needed to know what is usual" in str(tables(app)["Drift by version and signal"])


# Hostile data


@pytest.mark.parametrize("path", PAGES)
def test_hostile_names_and_texts_are_never_markup(full: LiveStore, told: dict[str, Any], path: str) -> None:
    where_to = {"prompt": HOSTILE, "range": "24h"} if path != "trace" else address_of(told["hostile"])
    app = healthy(open_page(path, where_to))
    for text in marked_up(app):
        assert "onerror" not in text
        assert "javascript:" not in text
    if path not in ("health", "incident", "close"):
        assert HOSTILE in words(app) or HOSTILE in texts(app)


def test_hostile_text_is_shown_letter_by_letter(full: LiveStore, told: dict[str, Any]) -> None:
    app = healthy(open_page("trace", address_of(told["hostile"])))
    assert [code.value for code in app.code] == [HOSTILE, HOSTILE, HOSTILE]


@pytest.mark.parametrize("path", PAGES)
def test_hostile_addresses_do_no_harm(full: LiveStore, path: str) -> None:
    names = (
        "range",
        "prompt",
        "version",
        "feature",
        "environment",
        "model",
        "flag",
        "slow",
        "id",
        "order",
        "a",
        "b",
    )
    where_to: dict[str, str] = dict.fromkeys((*names, "measure", "errors", "trace", "span", "at"), HOSTILE)
    healthy(open_page(path, where_to))


def test_users_and_prompt_texts_are_in_no_address(full: LiveStore, told: dict[str, Any]) -> None:
    hrefs: list[str] = []
    for path, where_to in (
        ("", {}),
        ("prompt", {"prompt": PROMPT}),
        ("traces", {}),
        ("trace", address_of(told["slow"])),
    ):
        for rows in tables(healthy(open_page(path, where_to))).values():
            hrefs += [cell["href"] for row in rows for cell in row.values() if "href" in cell]
    assert hrefs
    assert not [href for href in hrefs if "u%3A0123" in href or "u:0123" in href or "parcel" in href]


# Empty, unreachable, gated


@pytest.mark.parametrize("path", ["", "prompt", "drift", "traces"])
def test_an_empty_store_says_how_to_send_the_first_span(
    empty: LiveStore, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", empty.dsn)
    monkeypatch.setenv("PROMPTSPAN_OTLP_ENDPOINT", "http://127.0.0.1:14318")
    app = healthy(open_page(path))
    assert app.title[0].value == "No calls yet"
    codes = [code.value for code in app.code]
    assert "http://127.0.0.1:14318" in codes
    assert any('endpoint="http://127.0.0.1:14318"' in code and "@traced_prompt" in code for code in codes)


def test_the_code_for_the_first_span_is_python(empty: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", empty.dsn)
    python = next(code.value for code in open_page("").code if code.language == "python")
    compile(python, "first_span", "exec")


def test_health_of_an_empty_store_is_calm(empty: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", empty.dsn)
    app = healthy(open_page("health"))
    assert "The store answers and is empty." in words(app)
    assert numbers(app)["Newest call"]["value"] == "—"


@pytest.mark.parametrize("path", PAGES)
def test_an_unreachable_store_is_one_clear_panel(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", f"http://reader:hunter2@127.0.0.1:{port}/default")
    app = healthy(open_page(path, {"trace": "a" * 32}))
    assert [heading.value for heading in app.subheader] == ["The store cannot be reached"]
    assert "refuses connections" in words(app)
    assert "promptspan up" in words(app)
    assert "hunter2" not in words(app)


def test_a_wrong_dsn_is_one_clear_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", "postgres://u:hunter2@h/d")
    app = healthy(open_page(""))
    assert [heading.value for heading in app.subheader] == ["The store cannot be reached"]
    assert "hunter2" not in words(app)


def test_the_store_is_found_again_when_it_comes_back(
    live: LiveStore, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", f"http://reader@127.0.0.1:{port}/default")
    app = open_page("")
    assert app.subheader
    import streamlit as st

    st.cache_resource.clear()
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", live.dsn)
    assert told
    app.button(key="retry").click().run()
    assert "Model calls" in numbers(healthy(app))


@pytest.mark.parametrize("path", PAGES)
def test_with_a_token_nothing_is_shown_before_it_is_given(
    full: LiveStore, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("PROMPTSPAN_TOKEN", "s3cret")
    app = healthy(open_page(path, address_of(told["slow"]) if path == "trace" else {}))
    assert (numbers(app), tables(app)) == ({}, {})
    assert PROMPT not in words(app)
    app.text_input[0].set_value("wrong")
    app.button[0].click().run()
    assert [error.value for error in app.error] == ["That is not the token."]
    assert (numbers(app), tables(app)) == ({}, {})


def test_the_token_opens_the_page_that_the_address_names(
    full: LiveStore, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTSPAN_TOKEN", "s3cret")
    app = open_page("trace", address_of(told["slow"]))
    app.text_input[0].set_value("s3cret")
    app.button[0].click().run()
    assert "succeeded after 7.65" in words(healthy(app))
