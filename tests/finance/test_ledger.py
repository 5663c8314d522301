from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pricing.test_ledger import settle
from promptspan_server.finance.ledger import (
    DIMENSIONS,
    TOKENS,
    Ledger,
    LedgerTooLarge,
    month,
    read,
    stream,
    total,
)
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.queries.scope import TimeRange
from promptspan_server.store.executor import ClientExecutor
from queries.live_store import ago

if TYPE_CHECKING:
    from queries.live_store import LiveStore

DAY = TimeRange(ago(9), ago(8))


@pytest.fixture(scope="module")
def ledger(live: LiveStore) -> LiveStore:
    """A day of calls: a retry, a model without price, unknown usage, a reported cost, hostile names."""
    calls = [
        live.call(
            ago(9, hour),
            feature=feature,
            tenant=tenant,
            prompt_name=f"p{hour % 2}",
            input_tokens=1_000 + hour,
        )
        for hour in range(0, 24, 3)
        for feature in ("inbox", "=1+1' OR ''='", "")
        for tenant in ("acme", "")
    ]
    calls += [
        live.call(
            ago(9, 5),
            feature="inbox",
            tags=["eu", "a,b", "eu"],
            attempt=2,
            cache_read_tokens=300,
            reasoning_tokens=40,
        ),
        live.call(ago(9, 5), feature="inbox", request_model="nobody-knows", response_model="nobody-knows"),
        live.call(ago(9, 6), feature="inbox", input_tokens=None, output_tokens=None, status="error"),
        live.call(ago(9, 7), feature="inbox", reported_cost_usd=Decimal("0.123456789")),
        live.call(ago(9, 7), feature="inbox", billable=False),
    ]
    for call in calls:
        live.insert("llm_calls", call)
    executor = ClientExecutor(live.writer)
    sync_prices(executor)
    settle(executor)
    return live


def test_the_ledger_by_any_dimension_sums_to_the_calls(ledger: LiveStore) -> None:
    bounds = f"ts >= '{DAY.start:%F %T}' AND ts < '{DAY.end:%F %T}' AND billable"
    wanted = ledger.writer.query(
        "SELECT count(), sum(ifNull(cost_usd, 0)), sum(ifNull(input_tokens, 0) + ifNull(output_tokens, 0)),"
        f" countIf(price_status = 'unpriced'), countIf(attempt > 1) FROM llm_costs WHERE {bounds}"
    ).result_rows[0]
    for by in ((), *((name,) for name in DIMENSIONS), tuple(DIMENSIONS), ("hour", "feature"), ("day",)):
        whole = total(read(ledger.reader, Ledger(DAY, by)))
        assert (whole.calls, whole.cost_usd, whole.tokens, whole.unpriced, whole.retries) == wanted
        assert whole.priced + whole.reported + whole.unpriced + whole.no_usage == whole.calls


def test_a_stream_is_the_same_rows_in_the_order_of_time(ledger: LiveStore) -> None:
    query = Ledger(
        TimeRange(DAY.start - timedelta(hours=5), DAY.end + timedelta(hours=7)), ("hour", "feature")
    )
    assert list(stream(ledger.reader, query)) == list(read(ledger.reader, query))


def test_hostile_values_filter_as_what_they_are(ledger: LiveStore) -> None:
    rows = read(ledger.reader, Ledger(DAY, ("feature",), (("feature", "=1+1' OR ''='"),)))
    assert [row.keys for row in rows] == [{"feature": "=1+1' OR ''='"}]
    assert rows[0].calls == 16
    (none,) = read(ledger.reader, Ledger(DAY, ("feature",), (("feature", ""), ("tenant", "acme"))))
    assert none.calls == 8


def test_unknown_cost_is_none_and_buckets_are_disjoint(ledger: LiveStore) -> None:
    by = {
        row.keys["price_status"]: row
        for row in read(ledger.reader, Ledger(DAY, ("price_status",), (("feature", "inbox"),)))
    }
    assert by["unpriced"].cost_usd is None
    assert by["no_usage"].cost_usd is None
    assert by["reported"].cost_usd == Decimal("0.123456789")
    (retried,) = read(
        ledger.reader, Ledger(TimeRange(ago(9, 5), ago(9, 6)), ("status",), (("model", "gpt-4o-mini"),))
    )
    assert {name: getattr(retried, name) for name in TOKENS if getattr(retried, name)} == {
        "input": 700,
        "cache_read": 300,
        "output": 60,
        "reasoning": 40,
    }
    assert retried.retries_cost_usd == retried.cost_usd


def test_a_grouping_that_was_cut_is_refused(ledger: LiveStore) -> None:
    with pytest.raises(LedgerTooLarge, match="fewer dimensions"):
        read(ledger.reader, Ledger(DAY, ("hour", "feature"), limit=3))


def test_a_month_without_calls_has_no_rows(ledger: LiveStore) -> None:
    assert read(ledger.reader, Ledger(month("2019-02"))) == ()


def test_a_wrong_dimension_time_or_month_is_refused() -> None:
    with pytest.raises(ValueError, match="no dimension 'colour'"):
        Ledger(DAY, ("colour",))
    with pytest.raises(ValueError, match="full hours"):
        Ledger(TimeRange(DAY.start, DAY.end - timedelta(minutes=1)))
    with pytest.raises(ValueError, match="is no month"):
        month("2026-13")
    assert month("2026-12").end.month == 1


def test_tags_are_one_text_in_the_order_of_the_alphabet(ledger: LiveStore) -> None:
    assert {row.keys["tags"] for row in read(ledger.reader, Ledger(DAY, ("tags",)))} == {"", "a b,eu"}
