from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from promptspan_server.queries.choices import Choices
from promptspan_server.queries.prompts import Prompts
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.series import CallsOverTime, buckets
from promptspan_server.queries.totals import Totals
from promptspan_server.queries.version_history import FirstCalls
from promptspan_server.queries.versions import Versions
from queries.live_store import ago

if TYPE_CHECKING:
    from queries.live_store import LiveStore

PROMPT = "numbers"
DAY = TimeRange(ago(9), ago(8))
SCOPE = Scope(DAY, Filter(prompt=PROMPT))


@pytest.fixture(scope="module", autouse=True)
def rows(live: LiveStore) -> None:
    """Ten calls of v1 at 08:00, five of v2 at 12:00: two failed, one flagged, one of an unknown model."""
    named = {"prompt_name": PROMPT, "feature": "f", "environment": "prod"}
    old = [
        live.call(ago(9, 8, second=i), **named, prompt_version="v1", duration_ms=100.0 * (i + 1))
        for i in range(10)
    ]
    new = {**named, "prompt_version": "v2", "duration_ms": 1000.0}
    failed = {"status": "error", "input_tokens": None, "output_tokens": None, "usage_source": "missing"}
    fresh = [
        live.call(ago(9, 12), **new, reported_cost_usd=Decimal("0.123456789"), ttft_ms=40.0, streaming=True),
        live.call(ago(9, 12, second=1), **new, **failed),
        live.call(ago(9, 12, second=2), **new, **failed),
        live.call(ago(9, 12, second=3), **new, safety_flags=["pii", "jailbreak"]),
        live.call(ago(9, 12, second=4), **new, request_model="no-such-model", response_model="no-such-model"),
        # Around the second: the decorated function. It is not a model call.
        live.call(ago(9, 12), **new, billable=False, operation="invoke_workflow"),
    ]
    for row in (*old, *fresh):
        live.insert("llm_calls", row)


def test_totals_count_model_calls_once_and_say_what_is_not_priced(live: LiveStore) -> None:
    totals = live.reader.ask(Totals(SCOPE)).rows[0]
    assert (totals.calls, totals.errors, totals.flagged) == (15, 2, 1)
    assert totals.error_rate == pytest.approx(2 / 15)
    assert totals.p50_ms == 800.0
    assert totals.p95_ms == 1000.0
    assert totals.ttft_p50_ms == 40.0
    assert (totals.input_tokens, totals.output_tokens) == (13_000, 1_300)
    assert (totals.spend.calls, totals.spend.priced) == (15, 12)
    assert (totals.spend.no_usage, totals.spend.unpriced) == (2, 1)
    assert totals.spend.coverage == pytest.approx(12 / 15)


def test_the_sum_of_money_is_the_stores_own_to_the_last_digit(live: LiveStore) -> None:
    spend = live.reader.ask(Totals(SCOPE)).rows[0].spend
    expected = live.value(f"SELECT sum(cost_usd) FROM llm_costs WHERE prompt_name = '{PROMPT}' AND billable")
    assert isinstance(spend.usd, Decimal)
    assert spend.usd == expected
    assert spend.per_call == expected / 12


def test_parts_sum_to_the_total_exactly(live: LiveStore) -> None:
    total = live.reader.ask(Totals(SCOPE)).rows[0]
    versions = live.reader.ask(Versions(SCOPE)).rows
    points = live.reader.ask(CallsOverTime(SCOPE, by_version=True)).rows
    assert sum((row.spend.usd or Decimal(0)) for row in versions) == total.spend.usd
    assert sum((point.cost_usd or Decimal(0)) for point in points) == total.spend.usd
    assert sum(point.calls for point in points) == sum(row.spend.calls for row in versions) == total.calls


def test_what_calls_without_a_good_end_cost_is_waste(live: LiveStore) -> None:
    facts = {"prompt_name": "wasteful", "prompt_version": "v1"}
    for second, status in enumerate(("ok", "ok", "cancelled", "incomplete", "error")):
        used = {"input_tokens": None, "output_tokens": None} if status == "error" else {}
        live.insert("llm_calls", live.call(ago(20, 9, second=second), status=status, **facts, **used))
    narrowed = Scope(TimeRange(ago(21), ago(20, 23)), Filter(prompt="wasteful"))
    totals = live.reader.ask(Totals(narrowed)).rows[0]
    assert (totals.calls, totals.cancelled, totals.incomplete, totals.errors) == (5, 1, 1, 1)
    assert totals.spend.usd is not None
    assert totals.wasted_usd == totals.spend.usd / 2 > 0


def test_a_scope_without_calls_has_no_rates_and_no_cost(live: LiveStore) -> None:
    empty = Scope(TimeRange(ago(300), ago(299)))
    totals = live.reader.ask(Totals(empty)).rows[0]
    assert totals.calls == 0
    assert (totals.error_rate, totals.p50_ms, totals.p95_ms, totals.ttft_p50_ms) == (None,) * 4
    assert (totals.spend.usd, totals.spend.coverage, totals.spend.per_call) == (None, None, None)
    assert totals.wasted_usd is None
    assert totals.input_tokens is None


def test_versions_come_with_their_own_numbers_the_busiest_first(live: LiveStore) -> None:
    first, second = live.reader.ask(Versions(SCOPE)).rows
    assert (first.version, first.spend.calls, first.errors) == ("v1", 10, 0)
    assert first.p50_ms == 600.0
    assert (second.version, second.spend.calls, second.errors, second.flagged) == ("v2", 5, 2, 1)
    assert set(second.flags) == {"pii", "jailbreak"}
    assert second.error_rate == pytest.approx(0.4)
    assert second.flag_rate == pytest.approx(0.2)
    assert second.input_tokens_mean == 1000.0
    assert second.first_seen == ago(9, 12)
    assert second.last_seen == ago(9, 12, second=4)
    assert set(second.models) == {"gpt-4o-mini", "no-such-model"}


def test_versions_are_known_by_their_first_call_the_newest_first(live: LiveStore) -> None:
    newest, oldest = live.reader.ask(FirstCalls(PROMPT)).rows
    assert (newest.prompt, newest.version, newest.first_call) == (PROMPT, "v2", ago(9, 12))
    assert (oldest.version, oldest.first_call) == ("v1", ago(9, 8))
    assert newest in live.reader.ask(FirstCalls()).rows
    assert live.reader.ask(FirstCalls("unheard of")).rows == ()


def test_prompts_add_their_versions_up(live: LiveStore) -> None:
    (prompt,) = live.reader.ask(Prompts(SCOPE)).rows
    assert (prompt.prompt, prompt.versions) == (PROMPT, 2)
    assert (prompt.spend.calls, prompt.errors, prompt.flagged) == (15, 2, 1)
    assert prompt.last_seen == ago(9, 12, second=4)


def test_buckets_of_the_store_are_buckets_of_the_chart(live: LiveStore) -> None:
    for length in (timedelta(minutes=5), timedelta(hours=24), timedelta(days=7), timedelta(days=399)):
        scope = Scope(TimeRange(ago(9, 12, second=10) - length, ago(9, 12, second=10)), Filter(prompt=PROMPT))
        points = live.reader.ask(CallsOverTime(scope)).rows
        assert points
        assert {point.at for point in points} <= set(buckets(scope.range))


def test_one_series_has_no_version_and_many_have_theirs(live: LiveStore) -> None:
    together = live.reader.ask(CallsOverTime(SCOPE)).rows
    assert {point.version for point in together} == {""}
    apart = live.reader.ask(CallsOverTime(SCOPE, by_version=True)).rows
    assert {point.version: (point.calls, point.errors, point.priced) for point in apart} == {
        "v1": (10, 0, 10),
        "v2": (5, 2, 2),
    }


@pytest.mark.parametrize(
    ("narrowed", "calls"),
    [
        (Filter(prompt=PROMPT, version="v2"), 5),
        (Filter(prompt=PROMPT, feature="f", environment="prod", service="tests"), 15),
        (Filter(prompt=PROMPT, feature="f", environment="staging"), 0),
        (Filter(prompt=PROMPT, model="no-such-model"), 1),
        (Filter(prompt=PROMPT, version=""), 0),
        (Filter(prompt=f"{PROMPT}' OR '1'='1"), 0),
    ],
)
def test_filters_narrow_exactly(live: LiveStore, narrowed: Filter, calls: int) -> None:
    assert live.reader.ask(Totals(Scope(DAY, narrowed))).rows[0].calls == calls


def test_a_range_is_half_open(live: LiveStore) -> None:
    until = Scope(TimeRange(ago(9, 12), ago(9, 12, second=4)), Filter(prompt=PROMPT))
    assert live.reader.ask(Totals(until)).rows[0].calls == 4


def test_a_filter_offers_what_the_range_has(live: LiveStore) -> None:
    offered = live.reader.ask(Choices(DAY)).rows[0]
    assert PROMPT in offered.prompts
    assert {"f"} <= set(offered.features)
    assert {"prod"} <= set(offered.environments)
    assert {"pii", "jailbreak"} <= set(offered.flags)
    assert "no-such-model" in offered.models
    nothing = live.reader.ask(Choices(TimeRange(ago(300), ago(299)))).rows[0]
    assert (nothing.prompts, nothing.flags) == ((), ())
