from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pricing.calls import NOON, Call, add, cost_of
from promptspan_server.pricing.sync import import_prices, sync_prices

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor


def _only(executor: Executor, call: Call) -> tuple[object, ...]:
    add(executor, [call])
    return cost_of(executor, call)[:2]


def test_the_buckets_of_a_call_are_disjoint_and_sum_to_its_cost(shared_store: Executor) -> None:
    call = Call(
        provider="anthropic",
        request_model="claude-sonnet-4-5",
        input_tokens=10_000,
        cache_read_tokens=6_000,
        cache_write_5m_tokens=1_000,
        cache_write_1h_tokens=500,
        output_tokens=800,
        reasoning_tokens=300,
    )
    # claude-sonnet-4-5 lists input 3, read 0.30, write 3.75 and 6, output 15 USD per million.
    expected = (
        Decimal("0.0075") + Decimal("0.0018") + Decimal("0.00375") + Decimal("0.003") + Decimal("0.012")
    )
    assert _only(shared_store, call) == (expected, "priced")
    facts = shared_store.rows(
        "SELECT uncached_input_tokens, input_usd_per_mtok, cache_read_usd_per_mtok, price_valid_from,"
        " price_tier, rate_id != '' FROM llm_costs WHERE span_id = {span:String}",
        {"span": call.span_id},
    )
    assert facts == [(2500, Decimal(3), Decimal("0.3"), datetime(1970, 1, 1, tzinfo=timezone.utc), "", True)]


def test_how_full_the_models_context_window_was_is_known_where_its_size_is(shared_store: Executor) -> None:
    from genai_prices.data import providers

    models = next(provider for provider in providers if provider.id == "openai").models
    window = next(model.context_window for model in models if model.id == "gpt-4o")
    assert window == 128_000
    calls = [
        Call(input_tokens=60_000, output_tokens=4_000),
        Call(request_model="nobody-knows"),
        Call(output_tokens=None),
    ]
    add(shared_store, calls)
    shares = [
        shared_store.rows(
            "SELECT context_window, context_window_share FROM llm_costs WHERE span_id = {span:String}",
            {"span": call.span_id},
        )
        for call in calls
    ]
    assert shares == [[(128_000, 0.5)], [(None, None)], [(128_000, None)]]


def test_a_cost_that_the_provider_returned_wins(shared_store: Executor) -> None:
    reported = Decimal("0.012345679")
    assert _only(shared_store, Call(reported_cost_usd=reported)) == (reported, "reported")
    unknown = Call(
        request_model="nobody-knows", input_tokens=None, output_tokens=None, reported_cost_usd=reported
    )
    assert _only(shared_store, unknown) == (reported, "reported")


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (Call(request_model="nobody-knows"), "unpriced"),
        (Call(provider="a-gateway-of-their-own"), "unpriced"),
        (Call(input_tokens=None, output_tokens=None), "no_usage"),
        (Call(output_tokens=None), "no_usage"),
        (Call(input_tokens=None), "no_usage"),
        (Call(request_model="text-embedding-3-small", output_tokens=1), "unpriced"),
        (Call(input_tokens=2**63), "unpriced"),
        (Call(output_tokens=10**9 + 1), "unpriced"),
        (Call(billable=False), "not_billable"),
        (Call(billable=False, reported_cost_usd=Decimal(1)), "not_billable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_cost_that_is_not_known_is_null_and_says_why(
    shared_store: Executor, call: Call, status: str
) -> None:
    assert _only(shared_store, call) == (None, status)


def test_embeddings_need_no_output(shared_store: Executor) -> None:
    call = Call(
        request_model="text-embedding-3-small",
        operation="embeddings",
        input_tokens=50_000,
        output_tokens=None,
    )
    assert _only(shared_store, call) == (Decimal("0.001"), "priced")


def test_an_answer_from_the_applications_cache_cost_nothing(shared_store: Executor) -> None:
    assert _only(shared_store, Call(cached=True)) == (Decimal(0), "priced")
    assert _only(shared_store, Call(cached=True, request_model="nobody-knows")) == (Decimal(0), "priced")


def test_one_absurd_call_does_not_hide_the_others(priced_store: Executor) -> None:
    add(priced_store, [Call(), Call(input_tokens=2**64 - 1, output_tokens=2**64 - 1)])
    assert priced_store.rows("SELECT sum(cost_usd), count(cost_usd), count() FROM llm_costs") == [
        (Decimal("0.0035"), 1, 2)
    ]


def test_more_cached_than_input_never_makes_input_negative(shared_store: Executor) -> None:
    call = Call(input_tokens=100, cache_read_tokens=1000, output_tokens=0)
    assert _only(shared_store, call) == (Decimal("0.00125"), "priced")
    (row,) = shared_store.rows(
        "SELECT uncached_input_tokens FROM llm_costs WHERE span_id = {span:String}", {"span": call.span_id}
    )
    assert row == (0,)


def test_half_of_the_last_place_is_rounded_up_once(store: Executor) -> None:
    import_prices(
        store, "rates: [{provider: own, model: tiny, usd_per_mtok: {input: 0.0005, output: 0.0005}}]"
    )
    one = Call(provider="own", request_model="tiny", input_tokens=1, output_tokens=0)
    two = Call(provider="own", request_model="tiny", input_tokens=1, output_tokens=1)
    less = Call(provider="own", request_model="tiny", input_tokens=0, output_tokens=0)
    assert [_only(store, call)[0] for call in (one, two, less)] == [
        Decimal("0.000000001"),
        Decimal("0.000000001"),
        Decimal(0),
    ]


def test_a_call_pays_the_price_in_force_at_its_second(store: Executor) -> None:
    import_prices(
        store,
        """
        rates:
          - {provider: own, model: m, to: 2026-11-20 12:00:00, usd_per_mtok: {input: 1, output: 1}}
          - {provider: own, model: m, from: 2026-11-20 12:00:00, usd_per_mtok: {input: 2, output: 2}}
        """,
    )
    calls = [
        Call(ts=NOON + offset, provider="own", request_model="m", input_tokens=10**6, output_tokens=0)
        for offset in (-timedelta(seconds=1), -timedelta(microseconds=1), timedelta(0))
    ]
    assert [_only(store, call)[0] for call in calls] == [Decimal(1), Decimal(1), Decimal(2)]


def test_readers_may_ask_for_nulls_in_joins(priced_store: Executor) -> None:
    add(priced_store, [Call(), Call(request_model="nobody-knows")])
    query = "SELECT price_status, price_id, cost_usd, input_usd_per_mtok FROM llm_costs ORDER BY price_id"
    plain = priced_store.rows(query)
    priced_store.command("SET join_use_nulls = 1")
    with_nulls = priced_store.rows(query)
    priced_store.command("SET join_use_nulls = 0")
    assert sorted(row[0] for row in plain) == ["priced", "unpriced"]
    assert {(row[0], row[2], row[3]) for row in plain} == {(row[0], row[2], row[3]) for row in with_nulls}


def test_a_span_sent_twice_costs_once(priced_store: Executor) -> None:
    call = Call()
    for _ in range(3):
        add(priced_store, [call])
    assert priced_store.rows("SELECT sum(cost_usd) FROM llm_costs") == [(Decimal("0.0035"),)]


def test_names_that_two_inserts_bring_at_once_do_not_double_a_cost(priced_store: Executor) -> None:
    call = Call()
    add(priced_store, [call])
    priced_store.command("INSERT INTO price_names SELECT * FROM price_names")
    priced_store.command("INSERT INTO price_rates SELECT * FROM price_rates")
    assert cost_of(priced_store, call)[0] == Decimal("0.0035")
    assert sync_prices(priced_store).changed is False
