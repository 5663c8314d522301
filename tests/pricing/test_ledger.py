from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricing.calls import NOON, Call, add
from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import import_prices, sync_prices

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

_MEASURES = (
    "cost_usd",
    "input_tokens",
    "uncached_input_tokens",
    "cache_read_tokens",
    "output_tokens",
    "reasoning_tokens",
)
_SUMS = ", ".join(f"sum(ifNull({name}, 0))" for name in _MEASURES)
_GROUPS = "feature, tenant, prompt_name, request_model, service_tier, status, price_status, rate_id"


def settle(executor: Executor) -> int:
    """Recompute until nothing is due, without waiting for marks to settle."""
    hours = 0
    while True:
        run = recompute(executor, settle_s=0, interval_s=0, max_hours=10)
        hours += run.hours
        if not run.more:
            return hours


def let_five_minutes_pass(executor: Executor) -> None:
    """Make everything that the store knows of its hours five minutes older."""
    names = ("calls_at", "marked_at", "corrected_at", "computed_at")
    states = executor.rows(
        f"SELECT hour, {', '.join(f'max({name})' for name in names)} FROM hour_states GROUP BY hour"
    )
    executor.command("TRUNCATE TABLE hour_states")
    older = [[hour, *(moment - timedelta(minutes=5) for moment in moments)] for hour, *moments in states]
    executor.insert("hour_states", ["hour", *names], older)


def assert_sums_are_the_calls(executor: Executor, since: datetime, until: datetime) -> None:
    """Sums of closed hours and calls of open ones are what the calls say, whatever was computed by now."""
    where = {"since": _text(since), "until": _text(until)}
    bounds = "{since:DateTime64(9, 'UTC')}", "{until:DateTime64(9, 'UTC')}"
    groups = "feature, prompt_name, request_model"
    read = executor.rows(
        f"SELECT hour, {groups}, sum(calls), sum(errors), sum(flagged), sum(cost_calls), sum(no_usage_calls),"
        " sum(cost_usd), max(cost_usd_max), sum(input_tokens), max(duration_ms_max), min(first_call),"
        " max(last_call), sumMap(duration_hist), sumMap(flags), sumMap(finish_reasons),"
        " sumMap(settings), sumMap(models), sum(sketched), sumForEach(sketch_groups), sum(cost_log_calls),"
        " sum(latency_log_sum), sum(output_log_sumsq), sum(cost_log_sumsq)"
        f" FROM prompt_hours(since = {bounds[0]}, until = {bounds[1]}) GROUP BY hour, {groups} ORDER BY ALL",
        where,
    )
    calls = executor.rows(
        f"SELECT toStartOfHour(ts)::DateTime('UTC') AS hour, {groups}, count(), countIf(status = 'error'),"
        " countIf(notEmpty(safety_flags)), countIf(cost_usd IS NOT NULL), countIf(price_status = 'no_usage'),"
        " sum(ifNull(cost_usd, 0)), max(cost_usd), sum(ifNull(input_tokens, 0)), max(duration_ms), min(ts),"
        " max(ts), sumMap(map(toUInt16(floor(log2(duration_ms + 1) * 8)), toUInt64(1))),"
        " sumMap(CAST((safety_flags, arrayMap(f -> 1, safety_flags)), 'Map(String, UInt64)')),"
        " sumMap(CAST((finish_reasons, arrayMap(f -> 1, finish_reasons)), 'Map(String, UInt64)')),"
        r" sumMap(map(concat('provider=', provider, '\nprice=', if(cost_usd IS NULL, '', rate_id),"
        r" '\ntemplate=', template_hash,"
        r" if(attributes['gen_ai.request.temperature'] = '', '',"
        r" '\ngen_ai.request.temperature=' || attributes['gen_ai.request.temperature'])), toUInt64(1))),"
        " sumMapIf(map(if(response_model != '', response_model, request_model), toUInt64(1)),"
        " response_model != '' OR status = 'ok'),"
        " count(output_sketch), sumForEachIf(arrayMap(n -> bitTest(ifNull(output_sketch, 0), n), range(64)),"
        " output_sketch IS NOT NULL), countIf(cost_usd > 0),"
        " sumIf(log(duration_ms + 1), status = 'ok'), sum(ifNull(pow(log(output_tokens + 1), 2), 0)),"
        " sum(ifNull(pow(log(toFloat64(cost_usd) * 1e9 + 1), 2), 0))"
        f" FROM llm_costs WHERE billable AND ts >= {bounds[0]} AND ts < {bounds[1]}"
        f" GROUP BY hour, {groups} ORDER BY ALL",
        where,
    )
    # Sums of logarithms depend on the order of adding up.
    assert [row[:-3] for row in read] == [row[:-3] for row in calls]
    assert [row[-3:] for row in read] == [pytest.approx(row[-3:]) for row in calls]


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def assert_ledger_is_exact(executor: Executor) -> None:
    ledger = executor.rows(
        f"SELECT hour, {_GROUPS}, sum(calls), {_SUMS} FROM llm_hourly GROUP BY ALL ORDER BY ALL"
    )
    calls = executor.rows(
        f"SELECT toStartOfHour(ts)::DateTime('UTC') AS hour, {_GROUPS}, count(), {_SUMS}"
        " FROM llm_costs WHERE billable GROUP BY ALL ORDER BY ALL"
    )
    assert ledger == calls
    arms = (
        "hour, prompt_name, prompt_version, feature, environment, service, request_model,"
        " arraySort(arrayZip(units, calls, identified, errors, cancelled, incomplete, latency_calls)),"
        " arraySort(arrayZip(units, ttft_calls, input_tokens_calls, output_tokens_calls, cost_calls)),"
        " arrayMap(each -> round(each, 2), arraySort(arrayConcat(latency_sum, cost_sum, output_tokens_sum))),"
        " round(latency_squares, 3), round(cost_squares, 3), arraySort(flags), latency_hist, cost_hist"
    )
    rolled = executor.rows(f"SELECT {arms} FROM arm_hour_rows FINAL ORDER BY ALL")
    assert rolled == executor.rows(
        f"SELECT {arms} FROM arms_of_calls(since = '2000-01-01 00:00:00', until = '2100-01-01 00:00:00')"
        " ORDER BY ALL"
    )


@st.composite
def _calls(draw: st.DrawFn) -> Call:
    return Call(
        ts=NOON + timedelta(seconds=draw(st.integers(0, 4 * 3600))),
        request_model=draw(st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-5.4", "nobody-knows", "own"])),
        provider=draw(st.sampled_from(["openai", "openai", "own"])),
        service_tier=draw(st.sampled_from(["", "batch", "default"])),
        input_tokens=draw(st.one_of(st.none(), st.integers(0, 400_000))),
        cache_read_tokens=draw(st.one_of(st.none(), st.integers(0, 1000))),
        output_tokens=draw(st.one_of(st.none(), st.integers(0, 10_000))),
        reported_cost_usd=draw(
            st.one_of(st.none(), st.none(), st.decimals(0, 10, places=9, allow_nan=False))
        ),
        billable=draw(st.sampled_from([True, True, True, False])),
        cached=draw(st.sampled_from([False, False, True])),
        status=draw(st.sampled_from(["ok", "ok", "error", "incomplete"])),
        output_sketch=draw(st.one_of(st.none(), st.integers(1, 2**64 - 1))),
        attempt=draw(st.integers(1, 2)),
        tenant=draw(st.sampled_from(["", "acme"])),
        feature=draw(st.sampled_from(["inbox", "search"])),
        duration_ms=draw(st.floats(0, 60_000)),
        # Some calls were seen by two: the same answer in another trace, or one span around another.
        instrumentation=draw(st.sampled_from(["promptspan", "promptspan", "openinference"])),
        response_id=draw(st.sampled_from(["", "", "answer-1", "answer-2"])),
        trace_id=draw(st.sampled_from(["a" * 32, "b" * 32])),
        safety_flags=draw(st.sampled_from([(), (), ("pii",), ("pii", "jailbreak")])),
        ttft_ms=draw(st.one_of(st.none(), st.floats(0, 1000))),
        finish_reasons=draw(st.sampled_from([(), ("stop",), ("stop", "length")])),
        template_hash=draw(st.sampled_from(["", "beef"])),
        attributes=draw(st.sampled_from([{}, {"other": "1"}, {"gen_ai.request.temperature": "0.2"}])),
    )


_HALF_WAY = "2026-11-20 13:30:00"
_BOOKS = st.sampled_from(
    [
        "",
        "discounts: [{provider: openai, percent: 7.3}]",
        "rates: [{provider: openai, model: gpt-4o, tenant: acme, usd_per_mtok: {input: 0.123456789}}]",
        f"rates: [{{provider: openai, model: nobody-knows, from: {_HALF_WAY}, usd_per_mtok: {{input: 3}}}}]",
        "rates: [{provider: own, model: '*', usd_per_mtok: {input: 0.000001, output: 0.0000037}}]",
        "names: [{provider: openai, model: gpt-5.4, price: openai/gpt-4o-mini}]",
    ]
)


@dataclass(frozen=True)
class Sent:
    calls: list[Call]


@dataclass(frozen=True)
class Repeated:
    """Some of what was sent comes again, in another order and cut in another place."""

    start: int
    count: int


@dataclass(frozen=True)
class Imported:
    file: str


@dataclass(frozen=True)
class Recomputed:
    pass


@dataclass(frozen=True)
class TimePassed:
    """Marks have settled, and what is due is computed: hours close."""


@settings(max_examples=2, deadline=None, suppress_health_check=SLOW)
@given(
    steps=st.lists(
        st.one_of(
            st.builds(Sent, st.lists(_calls(), min_size=1, max_size=25)),
            st.builds(Repeated, st.integers(0, 10_000), st.integers(1, 40)),
            st.builds(Imported, _BOOKS),
            st.just(Recomputed()),
            st.just(TimePassed()),
            st.just(TimePassed()),
        ),
        min_size=4,
        max_size=9,
    ),
    minutes=st.tuples(st.integers(-10, 130), st.integers(131, 300)),
)
def test_ledger_and_pages_equal_the_calls_whatever_happened(
    database: Executor,
    steps: list[Sent | Repeated | Imported | Recomputed | TimePassed],
    minutes: tuple[int, int],
) -> None:
    since, until = (NOON + timedelta(minutes=number) for number in minutes)
    for table in (
        "instrumentations",
        "llm_call_corrections",
        "llm_calls",
        "hourly_rows",
        "prompt_hour_rows",
        "arm_hour_rows",
        "hour_states",
        "price_books",
        "price_files",
    ):
        database.command(f"TRUNCATE TABLE {table}")
    sync_prices(database)
    sent: list[Call] = []
    for step in steps:
        if isinstance(step, Sent):
            add(database, step.calls)
            sent += step.calls
        elif isinstance(step, Repeated) and sent:
            repeated = [sent[(step.start + 7 * i) % len(sent)] for i in range(step.count)]
            add(database, repeated[: step.count // 2])
            add(database, repeated[step.count // 2 :])
        elif isinstance(step, Imported):
            import_prices(database, step.file)
        elif isinstance(step, Recomputed):
            settle(database)
            assert_ledger_is_exact(database)
        elif isinstance(step, TimePassed):
            let_five_minutes_pass(database)
            while recompute(database, interval_s=0).more:
                pass
            assert_ledger_is_exact(database)
        assert_sums_are_the_calls(database, since, until)
    settle(database)
    assert_ledger_is_exact(database)
    let_five_minutes_pass(database)
    settle(database)
    assert_sums_are_the_calls(database, since, until)


def test_a_twin_that_comes_late_takes_its_call_out_of_a_closed_hour(priced_store: Executor) -> None:
    poor = Call(
        ts=NOON + timedelta(minutes=59),
        instrumentation="a",
        trace_id="a" * 32,
        response_id="answer",
        cache_read_tokens=None,
    )
    add(priced_store, [poor])
    settle(priced_store)
    let_five_minutes_pass(priced_store)
    settle(priced_store)
    rich = replace(
        poor,
        ts=NOON + timedelta(minutes=61),
        instrumentation="b",
        trace_id="b" * 32,
        span_id="b" * 16,
        cache_read_tokens=10,
    )
    add(priced_store, [rich])
    settle(priced_store)
    assert priced_store.rows("SELECT hour, sum(calls) FROM llm_hourly GROUP BY hour") == [
        (NOON + timedelta(hours=1), 1)
    ]
    assert_ledger_is_exact(priced_store)
    assert_sums_are_the_calls(priced_store, NOON, NOON + timedelta(hours=2))


def test_a_late_call_changes_its_own_hour_only(priced_store: Executor) -> None:
    add(priced_store, [Call(ts=NOON + timedelta(hours=hour, minutes=30)) for hour in range(5)])
    settle(priced_store)
    revisions = "SELECT hour, max(revision) FROM hourly_rows FINAL GROUP BY hour ORDER BY hour"
    before = dict(priced_store.rows(revisions))
    add(priced_store, [Call(ts=NOON + timedelta(hours=2, minutes=31))])
    assert settle(priced_store) == 1
    after = dict(priced_store.rows(revisions))
    assert {hour for hour in after if after[hour] != before[hour]} == {NOON + timedelta(hours=2)}
    assert_ledger_is_exact(priced_store)


def test_nothing_is_due_when_nothing_happened(priced_store: Executor) -> None:
    add(priced_store, [Call()])
    settle(priced_store)
    assert recompute(priced_store, settle_s=0, interval_s=0).hours == 0
    assert sync_prices(priced_store).changed is False
    assert recompute(priced_store, settle_s=0, interval_s=0).hours == 0


def test_an_hour_is_computed_again_once_its_mark_has_settled(priced_store: Executor) -> None:
    add(priced_store, [Call(ts=NOON + timedelta(minutes=30))])
    ((marked,),) = priced_store.rows("SELECT max(marked_at) FROM hour_states")
    assert recompute(priced_store, now=marked + timedelta(seconds=1)).hours == 1
    assert recompute(priced_store, now=marked + timedelta(seconds=2)).hours == 0
    assert recompute(priced_store, now=marked + timedelta(seconds=62)).hours == 1
    assert recompute(priced_store, now=marked + timedelta(seconds=300)).hours == 0


def test_one_run_is_bounded_and_takes_the_newest_hours_first(priced_store: Executor) -> None:
    add(priced_store, [Call(ts=NOON + timedelta(hours=hour, minutes=30)) for hour in range(5)])
    run = recompute(priced_store, settle_s=0, interval_s=0, max_hours=2)
    assert (run.hours, run.more) == (2, True)
    assert priced_store.rows("SELECT hour FROM llm_hourly ORDER BY hour") == [
        (NOON + timedelta(hours=3),),
        (NOON + timedelta(hours=4),),
    ]


def test_a_price_change_recomputes_the_hours_with_calls_that_it_prices(store: Executor) -> None:
    add(
        store,
        [
            Call(ts=datetime(2026, 10, 1, 8, 30, tzinfo=timezone.utc)),
            Call(ts=datetime(2026, 11, 1, 8, 30, tzinfo=timezone.utc)),
            Call(
                ts=datetime(2026, 11, 2, 8, 30, tzinfo=timezone.utc),
                provider="anthropic",
                request_model="claude-3-haiku",
            ),
        ],
    )
    sync_prices(store)
    settle(store)
    # Marks younger than their rows may be are taken as unsettled: these are old.
    store.command("TRUNCATE TABLE hour_states")
    import_prices(store, "discounts: [{provider: openai, percent: 50, from: 2026-10-15}]")
    assert store.rows("SELECT hour FROM hour_states FINAL") == [
        (datetime(2026, 11, 1, 8, tzinfo=timezone.utc),),
    ]
    settle(store)
    assert_ledger_is_exact(store)


def test_a_price_without_a_date_recomputes_the_hours_of_every_year(store: Executor) -> None:
    years = (2001, 2019, 2026)
    add(store, [Call(ts=datetime(year, 6, 3, 8, 30, tzinfo=timezone.utc)) for year in years])
    sync_prices(store)
    settle(store)
    store.command("TRUNCATE TABLE hour_states")  # what was computed lately would be marked anyway
    import_prices(store, "discounts: [{provider: openai, percent: 50}]")
    assert store.rows("SELECT hour FROM hour_states FINAL ORDER BY hour") == [
        (datetime(year, 6, 3, 8, tzinfo=timezone.utc),) for year in years
    ]
    settle(store)
    assert_ledger_is_exact(store)


def test_hours_whose_calls_have_expired_keep_what_they_cost(priced_store: Executor) -> None:
    add(priced_store, [Call()])
    settle(priced_store)
    before = priced_store.rows("SELECT hour, calls, cost_usd FROM llm_hourly")
    priced_store.command("TRUNCATE TABLE llm_calls")
    import_prices(priced_store, "discounts: [{provider: openai, percent: 50}]")
    settle(priced_store)
    assert (
        priced_store.rows("SELECT hour, calls, cost_usd FROM llm_hourly")
        == before
        == [
            (NOON, 1, Decimal("0.0035")),
        ]
    )


def test_a_group_that_is_no_longer_in_an_hour_leaves_the_ledger(store: Executor) -> None:
    call = Call(request_model="nobody-knows")
    add(store, [call, replace(call, span_id="f" * 16, request_model="gpt-4o")])
    sync_prices(store)
    settle(store)
    assert store.rows("SELECT price_status, calls FROM llm_hourly ORDER BY price_status") == [
        ("priced", 1),
        ("unpriced", 1),
    ]
    import_prices(store, "names: [{provider: openai, model: nobody-knows, price: openai/gpt-4o}]")
    settle(store)
    assert store.rows("SELECT price_status, sum(calls) FROM llm_hourly GROUP BY price_status") == [
        ("priced", 2)
    ]
    assert_ledger_is_exact(store)


def test_the_histograms_count_every_call_once(priced_store: Executor) -> None:
    durations = [0.0, 1.0, 10.0, 250.0, 250.5, 60_000.0]
    add(priced_store, [Call(duration_ms=ms, ttft_ms=ms / 2 if ms > 100 else None) for ms in durations])
    settle(priced_store)
    ((hist, ttft, ttft_calls),) = priced_store.rows(
        "SELECT sumMap(duration_hist), sumMap(ttft_hist), sum(ttft_calls) FROM llm_hourly"
    )
    assert hist == {0: 1, 8: 1, 27: 1, 63: 2, 126: 1}
    assert sum(ttft.values()) == ttft_calls == 3


def test_a_call_without_an_answer_says_nothing_of_answering_models_and_prices(priced_store: Executor) -> None:
    answered = Call(request_model="gpt-4o", response_model="gpt-4o-2024-08-06")
    failed = Call(
        request_model="gpt-4o", status="error", input_tokens=None, output_tokens=None, span_id="f" * 16
    )
    add(priced_store, [answered, failed])
    assert_sums_are_the_calls(priced_store, NOON, NOON + timedelta(hours=2))  # of an open hour
    settle(priced_store)
    let_five_minutes_pass(priced_store)
    recompute(priced_store, interval_s=0)
    assert priced_store.rows("SELECT sumMap(models) FROM prompt_hour_rows FINAL") == [
        ({"gpt-4o-2024-08-06": 1},)
    ]
    assert_sums_are_the_calls(priced_store, NOON, NOON + timedelta(hours=2))


def test_only_billable_calls_are_in_the_ledger(priced_store: Executor) -> None:
    add(priced_store, [Call(), Call(billable=False)])
    settle(priced_store)
    assert priced_store.rows("SELECT sum(calls), sum(cost_usd) FROM llm_hourly") == [(1, Decimal("0.0035"))]


def test_tokens_of_the_ledger_are_those_that_were_billed(priced_store: Executor) -> None:
    # Reasoning counted beside the output, and audio that was cached too.

    add(
        priced_store,
        [
            Call(output_tokens=10, reasoning_tokens=40, audio_output_tokens=5),
            Call(input_tokens=100, cache_read_tokens=90, audio_input_tokens=50),
        ],
    )
    settle(priced_store)
    measures = (
        "uncached_input_tokens, audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens"
    )
    assert priced_store.rows(
        f"SELECT {', '.join(f'sum({name})' for name in measures.split(', '))} FROM llm_hourly"
    ) == [(1010, 10, 110, 10, 0)]
