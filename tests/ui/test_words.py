from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.queries.money import Spend
from promptspan_server.queries.scope import TimeRange
from promptspan_server.queries.templates import TemplateRow
from promptspan_server.queries.trace import SpanRow
from promptspan_server.ui import wording
from promptspan_server.ui.links import link, trace_link
from promptspan_server.ui.messages import Message, read_messages
from promptspan_server.ui.template_diff import unified_diff
from promptspan_server.ui.waterfall import place
from promptspan_server.ui.window import interval, pinned, read_stamp, read_window, stamp

NOW = datetime(2026, 11, 23, 5, 0, 2, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "—"),
        (0.4, "0.40 ms"),
        (12.34, "12.3 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (1_240, "1.24 s"),
        (99_940, "99.9 s"),
        (125_000, "2 min 5 s"),
        (120_000, "2 min"),
        (12_000_000, "3 h 20 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_durations_read_in_the_unit_that_fits(milliseconds: float | None, text: str) -> None:
    assert wording.duration(milliseconds).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "—"),
        ("0", "$0.00"),
        ("1234567.891", "$1,234,567.89"),
        ("1.005", "$1.00"),
        ("0.841", "$0.841"),
        ("0.00301499", "$0.00301"),
        ("0.000000001", "$0.000000001"),
        ("-2.5", "\u2212$2.50"),
    ],
)
def test_amounts_are_short_and_unknown_is_a_dash(amount: str | None, text: str) -> None:
    assert wording.usd(None if amount is None else Decimal(amount)) == text


@given(st.decimals(min_value=0, max_value=10**9, places=9))
def test_an_exact_amount_loses_no_digit(amount: Decimal) -> None:
    text = wording.usd_exact(amount)
    assert Decimal(text.replace("$", "").replace(",", "")) == amount
    assert len(text.partition(".")[2]) >= 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.972, "97.2 %"),
        (0.99999, "> 99.9 %"),
        (0.0001, "< 0.1 %"),
    ],
)
def test_a_share_that_is_not_all_never_reads_as_all(value: float | None, text: str) -> None:
    assert wording.share(value).replace("\u202f", " ") == text


def test_coverage_says_what_is_missing_and_why() -> None:
    spend = Spend(Decimal(1), 1000, 972, 8)
    assert wording.coverage(spend).replace("\u202f", " ") == (
        "97.2 % of calls priced (20 without a price, 8 without usage)"
    )
    assert wording.coverage(Spend(None, 0, 0, 0)) == "no calls"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (9_999, "9,999"), (12_345, "12.3 k"), (2_500_000, "2.50 M"), (3 * 10**9, "3.00 G")],
)
def test_counts_stay_short(value: int | None, text: str) -> None:
    assert wording.count(value).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (60, "1 min"), (1800, "30 min"), (3600, "1 h"), (86_400, "1 day"), (7 * 86_400, "7 days")],
)
def test_a_bucket_is_called_by_its_width(seconds: int, text: str) -> None:
    assert wording.step(seconds).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("openai.RateLimitError", "RateLimitError"),
        ("429", "429"),
        ("", ""),
        ("no. such thing", "no. such thing"),
    ],
)
def test_an_error_is_called_by_its_class(full: str, short: str) -> None:
    assert wording.error_name(full) == short


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [(112, 100, "+12 %"), (88, 100, "\u221212 %"), (100, 100, "±0 %"), (2000, 100, "×20"), (1, 0, None)],
)
def test_a_change_is_relative_to_what_was(now: float, before: float, text: str | None) -> None:
    found = wording.change(now, before)
    assert (found or "").replace("\u202f", " ") == (text or "")


def test_without_a_range_the_last_day_slides_with_the_clock() -> None:
    window = read_window("", NOW)
    assert (window.live, window.preset, window.problem) == (True, "24h", "")
    assert window.range.end - NOW < timedelta(seconds=5)
    assert window.range.end >= NOW
    assert window.navigation() == {}


def test_a_link_from_a_sliding_window_is_absolute() -> None:
    window = read_window("1h", NOW)
    again = read_window(window.parameters()["range"], NOW + timedelta(days=3))
    assert again.range == window.range
    assert not again.live
    assert again.preset == "1h"


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2098, 1, 1), timezones=st.just(timezone.utc)),
    st.integers(1, 399 * 86_400_000),
)
def test_a_range_survives_the_address(start: datetime, milliseconds: int) -> None:
    start = start.replace(microsecond=start.microsecond // 1000 * 1000)
    time_range = TimeRange(start, start + timedelta(milliseconds=milliseconds))
    assert read_window(interval(time_range), NOW).range == time_range
    assert read_stamp(stamp(start)) == start


def test_a_preset_is_pinned_to_whole_seconds_and_has_the_newest_call_in_it() -> None:
    chosen = pinned("1h", NOW.replace(microsecond=250_000))
    assert chosen.end > NOW
    assert chosen.end.microsecond == 0
    assert chosen.length == timedelta(hours=1)


def test_addresses_are_escaped() -> None:
    assert link("prompt", {"prompt": "a&b=c #?"}, {"version": None}) == "prompt?prompt=a%26b%3Dc+%23%3F"
    assert link("") == "./"
    assert trace_link("ab", "cd", NOW) == "trace?trace=ab&span=cd&at=20261123T050002Z"


@pytest.mark.parametrize(
    ("captured", "messages"),
    [
        ("", []),
        ("just text", [Message("input", "just text")]),
        ("[1, 2", [Message("input", "[1, 2")]),
        ('"quoted"', [Message("input", '"quoted"')]),
        ('[{"role": "user", "content": "hello"}]', [Message("user", "hello")]),
        (
            '{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}',
            [Message("user", "a\nb")],
        ),
        (
            '[{"role": "system", "parts": [{"type": "text", "content": "be kind"}]}]',
            [Message("system", "be kind")],
        ),
        ('["bare"]', [Message("input", "bare")]),
        ("[null]", [Message("input", "null")]),
    ],
)
def test_captured_text_is_read_by_role(captured: str, messages: list[Message]) -> None:
    assert read_messages(captured, "input") == messages


def test_a_call_of_a_tool_is_shown_beside_the_text() -> None:
    (message,) = read_messages('[{"role": "assistant", "content": null, "tool_calls": [{"name": "look"}]}]')
    assert message.role == "assistant"
    assert '"name": "look"' in message.text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_json_can_be_read(value: object) -> None:
    import json

    for message in read_messages(json.dumps(value), "input"):
        assert isinstance(message.role, str)
        assert isinstance(message.text, str)


def span(span_id: str, parent: str, start_ms: int, duration_ms: float) -> SpanRow:
    at = NOW + timedelta(milliseconds=start_ms)
    return SpanRow(at, "t", span_id, parent, span_id, "s", "", duration_ms, "Ok", "", {})


def test_spans_stand_below_their_parents_in_order_of_start() -> None:
    spans = [span("child-2", "root", 50, 50), span("root", "", 0, 100), span("child-1", "root", 0, 50)]
    placed = place(spans)
    assert [(one.span.span_id, one.depth) for one in placed] == [("root", 0), ("child-1", 1), ("child-2", 1)]
    assert (placed[2].start, placed[2].width) == (pytest.approx(0.5), pytest.approx(0.5))


def test_no_span_is_lost_to_missing_parents_or_circles() -> None:
    spans = [
        span("a", "b", 0, 1),
        span("b", "a", 0, 1),
        span("self", "self", 0, 1),
        span("orphan", "gone", 0, 1),
    ]
    assert {one.span.span_id for one in place(spans)} == {"a", "b", "self", "orphan"}
    assert place([]) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 1000), st.integers(0, 1000)),
        max_size=12,
    )
)
def test_every_span_is_drawn_once_and_within_the_picture(shape: list[tuple[int, int, int, int]]) -> None:
    spans = [span(str(own), str(parent), start, length) for own, parent, start, length in shape]
    placed = place(spans)
    assert {one.span.span_id for one in placed} == {one.span_id for one in spans}
    for one in placed:
        assert -1e-9 <= one.start <= 1 + 1e-9
        assert -1e-9 <= one.width <= 1 - one.start + 1e-9


def template(version: str, text: str) -> TemplateRow:
    return TemplateRow(version, version, text, "", "", NOW)


def test_a_difference_has_every_line_once() -> None:
    assert unified_diff(template("v1", "a\nb\nc"), template("v2", "a\nB\nc")) == " a\n-b\n+B\n c"
    assert unified_diff(template("v1", "same"), template("v2", "same")) == ""
