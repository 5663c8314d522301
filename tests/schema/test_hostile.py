"""Values and clocks that nobody should send: set aside with a reason, never at the cost of other spans."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from schema.bodies import SECOND, Span, Value, traces

if TYPE_CHECKING:
    from schema.conftest import Store

_CHAT: dict[str, Value] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.usage.output_tokens": 5,
}
_DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (-7, "negative"),
        (2**62, "absurd"),
        (1e300, "absurd"),
        (1.5, "not a whole number"),
        (float("nan"), "not a whole number"),
        ("many", "not a whole number"),
        (["1"], "not a whole number"),
    ],
)
def test_a_number_that_cannot_be_is_null_and_set_aside(store: Store, sent: Value, reason: str) -> None:
    span = Span({**_CHAT, "gen_ai.usage.input_tokens": sent})
    store.land(traces(span))
    assert store.call("input_tokens, output_tokens, request_model") == {
        "input_tokens": None,
        "output_tokens": 5,
        "request_model": "m",
    }
    assert store.rows("SELECT field, reason, trace_id, span_id, service FROM quarantine FINAL") == [
        ("input_tokens", reason, span.trace_id, span.span_id, "inbox")
    ]


def test_numbers_that_came_as_text_count(store: Store) -> None:
    store.land(
        traces(Span({**_CHAT, "gen_ai.usage.input_tokens": "120", "gen_ai.usage.output_tokens": 45.0}))
    )
    assert store.call("input_tokens, output_tokens") == {"input_tokens": 120, "output_tokens": 45}
    assert store.rows("SELECT count() FROM quarantine") == [(0,)]


@pytest.mark.parametrize(
    ("start_ns", "hours"),
    [
        (0, 24 * 30 + 1),
        (time.time_ns() - 400 * _DAY, 24 * 30 + 1),
        (time.time_ns() + 400 * _DAY, 2),
        (2**63 - 1, 2),
        (2**64 - 10**10, 2),
    ],
    ids=["no clock", "last year", "next year", "the last nanosecond", "beyond it"],
)
def test_a_clock_that_is_off_is_put_near_now_and_kept_as_it_was(
    store: Store, start_ns: int, hours: int
) -> None:
    store.land(traces(Span(_CHAT, start_ns=start_ns)))
    row = store.call("ts, attributes, output_tokens")
    assert abs(datetime.now(timezone.utc) - row["ts"]) < timedelta(hours=hours)
    assert row["output_tokens"] == 5
    assert "promptspan.original_ts" in row["attributes"]
    assert store.rows("SELECT field, reason FROM quarantine") == [("ts", "clock")]


def test_a_clock_that_is_right_has_nothing_added(store: Store) -> None:
    store.land(traces(Span(_CHAT, start_ns=time.time_ns() - 29 * _DAY)))
    assert store.call("attributes") == {"attributes": {}}
    assert store.rows("SELECT count() FROM quarantine") == [(0,)]


def test_a_span_that_ended_before_it_began_lasted_nothing(store: Store) -> None:
    span = Span(_CHAT)
    span.duration_ns = -SECOND
    store.land(traces(span))
    assert store.call("duration_ms") == {"duration_ms": 0.0}
    assert store.rows("SELECT duration_ms FROM spans") == [(0.0,)]


def test_days_spread_over_a_year_fit_into_one_insert(store: Store) -> None:
    now = time.time_ns()
    store.land(traces(*[Span(_CHAT, start_ns=now - day * _DAY) for day in range(365)]))
    assert store.value("SELECT count() FROM llm_calls") == 365
    assert store.value("SELECT uniqExact(toDate(ts)) FROM llm_calls") <= 32


def test_an_attribute_bomb_is_cut_and_the_model_is_not(store: Store) -> None:
    bomb: dict[str, Value] = {f"x.{number}": "y" * 50_000 for number in range(500)}
    store.land(traces(Span({**bomb, **_CHAT, "gen_ai.prompt.version": "v" * 300})))
    row = store.call("attributes, request_model, prompt_version, output_tokens")
    assert len(row["attributes"]) <= 129
    assert max(map(len, row["attributes"].values())) == 1024
    assert (row["request_model"], row["output_tokens"], len(row["prompt_version"])) == ("m", 5, 300)
    assert store.value("SELECT max(length(toString(attributes))) FROM spans") < 200_000


def test_one_bad_span_in_a_thousand_costs_only_itself(store: Store) -> None:
    spans = [Span(_CHAT) for _ in range(999)]
    bad = Span(
        {**_CHAT, "gen_ai.usage.output_tokens": float("inf"), "gen_ai.response.finish_reasons": "[not json"},
        start_ns=0,
    )
    store.land(traces(*spans[:500], bad, *spans[500:]))
    assert store.rows("SELECT count(), sum(output_tokens) FROM llm_calls") == [(1000, 999 * 5)]
    assert store.rows("SELECT field FROM quarantine ORDER BY field") == [("output_tokens",), ("ts",)]


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE llm_calls; --",
        "{x:String}",
        "\x00\x01\t\n\\",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        '"{[',
        "a" * 70_000,
    ],
    ids=["sql", "parameter", "control", "emoji", "json", "long"],
)
def test_hostile_text_is_only_text(store: Store, text: str) -> None:
    store.land(
        traces(Span({**_CHAT, "user.id": text, "gen_ai.prompt.name": text, "gen_ai.input.messages": text}))
    )
    found = store.rows("SELECT user_id, prompt_name FROM llm_calls")
    assert found == [(text, text)]
    assert store.rows("SELECT input_text FROM llm_texts") == [(text,)]


@pytest.mark.parametrize("value", ["null", "None", "", "[]", "{}"])
def test_words_for_nothing_are_nothing(store: Store, value: str) -> None:
    store.land(traces(Span({**_CHAT, "gen_ai.usage.input_tokens": value, "gen_ai.response.id": value})))
    assert store.call("input_tokens, response_id") == {"input_tokens": None, "response_id": ""}
    assert store.rows("SELECT count() FROM quarantine") == [(0,)]
