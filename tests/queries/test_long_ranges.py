"""Pages read sums of closed hours; what they show is what the calls say."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import floor, log2
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.pricing.rollup import recompute
from promptspan_server.queries.calls import MAX_ROWS, CallSearch
from promptspan_server.queries.choices import Choices
from promptspan_server.queries.health import Unpriced
from promptspan_server.queries.histogram import quantile
from promptspan_server.queries.prompts import Prompts
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.series import CallsOverTime
from promptspan_server.queries.totals import Totals
from promptspan_server.queries.version_history import FirstCalls
from promptspan_server.queries.versions import Versions
from promptspan_server.store.executor import ClientExecutor
from queries.live_store import ago

if TYPE_CHECKING:
    from queries.live_store import LiveStore

# Two and a half days that no other test looks at, as their hours are closed by hand; neither end on the hour.
RANGE = TimeRange(ago(14, 5, 20), ago(12, 17, 40))
SCOPE = Scope(RANGE, Filter(feature="long"))
EXACT = Scope(TimeRange(ago(13, 5, 20), ago(12, 5, 40)), Filter(feature="long"))
SINCE, UNTIL = (f"'{moment:%Y-%m-%d %H:%M:%S}'" for moment in (RANGE.start, RANGE.end))
WHERE = f"billable AND feature = 'long' AND ts >= {SINCE} AND ts < {UNTIL}"


@pytest.fixture(scope="module", autouse=True)
def calls(live: LiveStore) -> None:
    """Four hundred calls over three days; the hours of the first two are closed, the others open."""
    drawn = random.Random(4)
    rows: list[dict[str, Any]] = []
    for _ in range(400):
        failed = drawn.random() < 0.1
        rows.append(
            live.call(
                ago(14, 5) + timedelta(seconds=drawn.random() * 3 * 86_400),
                feature="long",
                prompt_name=drawn.choice(["alpha", "alpha", "beta"]),
                prompt_version=drawn.choice(["v1", "v2"]),
                environment=drawn.choice(["prod", "staging"]),
                request_model=drawn.choice(["gpt-4o", "gpt-4o-mini", "nobody-knows"]),
                response_model="",
                duration_ms=drawn.lognormvariate(6, 1),
                ttft_ms=drawn.choice([None, 20.0]),
                status="error" if failed else "ok",
                input_tokens=None if failed else drawn.randrange(5_000),
                output_tokens=None if failed else drawn.randrange(500),
                safety_flags=drawn.choice([[], [], ["pii"], ["pii", "jailbreak"]]),
            )
        )
    live.insert("llm_calls", *rows)
    executor = ClientExecutor(live.writer)
    while recompute(executor, settle_s=0, interval_s=0, max_hours=500).more:
        pass
    # Hours close a minute after their last mark: here that minute is over.
    live.writer.command(
        "INSERT INTO hour_states (hour, computed_at) SELECT hour, now64(6, 'UTC') + INTERVAL 1 HOUR"
        f" FROM hour_states WHERE hour >= '{ago(14):%Y-%m-%d}' AND hour < '{ago(12):%Y-%m-%d}' GROUP BY hour"
    )


def test_some_hours_are_closed_and_some_are_open(live: LiveStore) -> None:
    hours = f"SELECT count(DISTINCT toStartOfHour(ts)) FROM llm_calls WHERE {WHERE} AND toStartOfHour(ts)"
    assert live.value(f"{hours} NOT IN (SELECT hour FROM open_hours)") > 20
    assert live.value(f"{hours} IN (SELECT hour FROM open_hours)") > 5


@pytest.mark.parametrize("scope", [SCOPE, EXACT], ids=["histograms", "exact quantiles"])
def test_all_pages_agree_to_the_last_digit(live: LiveStore, scope: Scope) -> None:
    totals = live.reader.ask(Totals(scope)).rows[0]
    versions = live.reader.ask(Versions(scope)).rows
    prompts = live.reader.ask(Prompts(scope)).rows
    points = live.reader.ask(CallsOverTime(scope)).rows
    by_version = live.reader.ask(CallsOverTime(scope, by_version=True)).rows
    assert totals.calls > 100
    for parts in (versions, prompts):
        assert sum(row.spend.calls for row in parts) == totals.calls
        assert sum(row.spend.priced for row in parts) == totals.spend.priced
        assert sum(row.errors for row in parts) == totals.errors
        assert sum(row.flagged for row in parts) == totals.flagged
        assert sum((row.spend.usd or Decimal(0)) for row in parts) == totals.spend.usd
    for series in (points, by_version):
        assert sum(point.calls for point in series) == totals.calls
        assert sum(point.priced for point in series) == totals.spend.priced
        assert sum((point.cost_usd or Decimal(0)) for point in series) == totals.spend.usd


def test_the_sums_are_those_of_the_calls(live: LiveStore) -> None:
    totals = live.reader.ask(Totals(SCOPE)).rows[0]
    expected = live.writer.query(
        "SELECT count(), countIf(status = 'error'), countIf(notEmpty(safety_flags)), sum(input_tokens),"
        f" sum(output_tokens), sum(cost_usd), count(cost_usd) FROM llm_costs WHERE {WHERE}"
    ).result_rows[0]
    spend = totals.spend
    assert expected == (
        *(totals.calls, totals.errors, totals.flagged, totals.input_tokens, totals.output_tokens),
        *(spend.usd, spend.priced),
    )
    unpriced = [row for row in live.reader.ask(Unpriced(RANGE)).rows if row.model == "nobody-knows"]
    known = live.value(
        f"SELECT count() FROM llm_costs WHERE {WHERE} AND request_model = 'nobody-knows' AND cost_usd IS NULL"
    )
    assert sum(row.calls for row in unpriced) == known > 0


def test_quantiles_are_exact_over_a_day_and_within_a_bucket_over_more(live: LiveStore) -> None:
    for scope, within in ((EXACT, 0.0), (SCOPE, 0.09)):
        for row in live.reader.ask(Versions(scope)).rows:
            expected = live.value(
                "SELECT quantileExactLow(0.95)(duration_ms) FROM llm_costs"
                f" WHERE billable AND feature = 'long' AND prompt_name = '{row.prompt}'"
                f" AND prompt_version = '{row.version}' AND ts >= '{scope.range.start:%Y-%m-%d %H:%M:%S}'"
                f" AND ts < '{scope.range.end:%Y-%m-%d %H:%M:%S}'"
            )
            if within:
                assert row.p95_ms == pytest.approx(expected, rel=within)
            else:
                assert row.p95_ms >= expected


def test_a_version_is_named_with_its_flags_and_models_the_most_frequent_first(live: LiveStore) -> None:
    row = live.reader.ask(Versions(SCOPE)).rows[0]
    mine = f"{WHERE} AND prompt_name = '{row.prompt}' AND prompt_version = '{row.version}'"
    models = live.writer.query(
        "SELECT if(response_model != '', response_model, request_model), count() FROM llm_costs"
        f" WHERE {mine} AND (response_model != '' OR status = 'ok') GROUP BY 1"
    ).result_rows
    counts = Counter(dict(models))
    assert [counts[name] for name in row.models] == sorted(counts.values(), reverse=True)
    assert row.flags == ("pii", "jailbreak")
    first = live.value(f"SELECT min(ts) FROM llm_costs WHERE {mine}")
    assert f"{row.first_seen:%H:%M:%S}" == f"{first:%H:%M:%S}"
    known = {(at.prompt, at.version): at.first_call for at in live.reader.ask(FirstCalls("alpha")).rows}
    assert known["alpha", "v1"] <= row.first_seen


def test_a_filter_offers_what_closed_and_open_hours_have(live: LiveStore) -> None:
    offered = live.reader.ask(Choices(RANGE)).rows[0]
    assert {"alpha", "beta"} <= set(offered.prompts)
    assert {"pii", "jailbreak"} <= set(offered.flags)
    assert {"prod", "staging"} <= set(offered.environments)


@pytest.mark.parametrize("order", ["newest", "slowest", "dearest"])
@pytest.mark.parametrize(
    ("search", "condition"),
    [
        (CallSearch(SCOPE), "true"),
        (CallSearch(SCOPE, errors_only=True), "status = 'error'"),
        (CallSearch(SCOPE, flag="pii"), "has(safety_flags, 'pii')"),
        (CallSearch(SCOPE, flag="nobody's"), "false"),
        (CallSearch(SCOPE, slower_than_ms=600.0), "duration_ms >= 600"),
        (
            CallSearch(SCOPE, errors_only=True, flag="pii", slower_than_ms=50.0),
            "status = 'error' AND has(safety_flags, 'pii') AND duration_ms >= 50",
        ),
        (
            CallSearch(Scope(RANGE, Filter(feature="long", prompt="beta"))),
            "prompt_name = 'beta'",
        ),
    ],
    ids=["all", "failed", "flag", "no such flag", "slow", "together", "prompt"],
)
def test_the_first_calls_of_a_list_are_the_first_of_all(
    live: LiveStore, search: CallSearch, condition: str, order: str
) -> None:
    found = live.reader.ask(replace(search, order=order)).rows
    by = {"newest": "ts DESC", "slowest": "duration_ms DESC", "dearest": "cost_usd DESC NULLS LAST"}[order]
    expected = live.writer.query(
        f"SELECT span_id FROM llm_costs WHERE {WHERE} AND {condition}"
        f" ORDER BY {by}, trace_id, span_id LIMIT {MAX_ROWS + 1}"
    ).result_rows
    assert [row.span_id for row in found] == [row[0] for row in expected]


def test_a_quantile_of_a_histogram_lies_where_the_values_are() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({0: 0}, 0.5) is None
    assert quantile({8: 10}, 1.0) == pytest.approx(2 ** (9 / 8) - 1)
    drawn = random.Random(1)
    values = sorted(drawn.lognormvariate(7, 0.7) for _ in range(50_000))
    histogram = Counter(floor(log2(value + 1) * 8) for value in values)
    for level in (0.05, 0.5, 0.95, 0.99):
        assert quantile(histogram, level) == pytest.approx(values[int(level * len(values))], rel=0.01)
