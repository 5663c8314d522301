from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pricing.calls import Call, Tokens, add, cost_of
from promptspan_server.pricing.contracts import Contracts, PriceFileError, parse_contracts
from promptspan_server.pricing.sync import import_prices, sync_prices

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

MILLION: Tokens = {"input_tokens": 10**6, "output_tokens": 0}


def _costs(executor: Executor, *calls: Call) -> list[Any]:
    add(executor, calls)
    return [cost_of(executor, call)[0] for call in calls]


def test_a_contracted_rate_replaces_the_buckets_it_names_and_keeps_the_others(store: Executor) -> None:
    import_prices(
        store,
        "rates:\n"
        "- {provider: openai, model: gpt-4o, from: 2026-06-01, to: 2026-12-01, usd_per_mtok: {input: 2.10}}",
    )
    before, during, after = (
        Call(ts=datetime(2026, month, 15, tzinfo=timezone.utc), **MILLION) for month in (5, 7, 12)
    )
    # gpt-4o lists input at 2.50 and output at 10 USD per million tokens.
    assert _costs(store, before, during, after) == [Decimal("2.5"), Decimal("2.1"), Decimal("2.5")]
    output = Call(ts=during.ts, input_tokens=0, output_tokens=10**6)
    assert _costs(store, output) == [Decimal(10)]


def test_a_discount_takes_its_percentage_off_every_bucket_of_the_provider(store: Executor) -> None:
    import_prices(store, "discounts: [{provider: openai, percent: 12.5}]")
    call = Call(input_tokens=10**6, cache_read_tokens=500_000, output_tokens=10**6)
    assert _costs(store, call) == [Decimal("0.875") * (Decimal("1.25") + Decimal("0.625") + 10)]
    other = Call(provider="anthropic", request_model="claude-3-haiku", **MILLION)
    assert _costs(store, other) == [Decimal("0.25")]
    assert store.rows("SELECT DISTINCT price_contract FROM llm_costs WHERE provider = 'openai'") == [
        ("openai/*: 12.5 % off",)
    ]


def test_a_tenants_contract_is_that_tenants_alone(store: Executor) -> None:
    import_prices(
        store,
        """
        rates:
          - {provider: openai, model: gpt-4o, tenant: acme, usd_per_mtok: {input: 1}}
        discounts:
          - {provider: openai, percent: 50, model: gpt-4o-mini}
          - {provider: openai, percent: 10, tenant: zeta}
        """,
    )
    calls = [
        Call(tenant=tenant, request_model=model, **MILLION)
        for model in ("gpt-4o", "gpt-4o-mini")
        for tenant in ("", "acme", "zeta", "other")
    ]
    # gpt-4o-mini lists 0.15; zeta's own discount counts before everybody's.
    mini = Decimal("0.075")
    assert _costs(store, *calls) == [
        Decimal("2.5"), Decimal(1), Decimal("2.25"), Decimal("2.5"),
        mini, mini, Decimal("0.135"), mini,
    ]  # fmt: skip


def test_a_contracted_rate_is_net_of_discounts_and_keeps_the_list_price_beside_it(store: Executor) -> None:
    import_prices(
        store,
        """
        rates: [{provider: openai, model: gpt-4o, usd_per_mtok: {input: 2}}]
        discounts: [{provider: openai, percent: 20}]
        """,
    )
    call = Call(input_tokens=10**6, output_tokens=10**6)
    assert _costs(store, call) == [Decimal(2) + Decimal(8)]
    listed = store.rows(
        "SELECT list_usd_per_mtok[1], list_usd_per_mtok[6] FROM price_rates"
        " WHERE price_id = 'openai/gpt-4o' AND tier = ''"
    )
    assert listed == [(Decimal("2.5"), Decimal(10))]


def test_a_rate_is_for_the_standard_tier_by_whatever_name_the_provider_calls_it(store: Executor) -> None:
    """OpenAI's answers say `default`, which has no price of its own; `priority` has."""
    import_prices(
        store, "rates: [{provider: openai, model: gpt-4o-mini, usd_per_mtok: {input: 1, output: 2}}]"
    )
    calls = [
        Call(request_model="gpt-4o-mini", service_tier=tier, input_tokens=10**6, output_tokens=0)
        for tier in ("", "default", "auto", "priority")
    ]
    assert _costs(store, *calls) == [Decimal(1), Decimal(1), Decimal(1), Decimal("0.25")]


def test_a_rate_for_a_tier_of_its_own_holds_for_that_tier_alone(store: Executor) -> None:
    import_prices(
        store,
        "rates: [{provider: openai, model: gpt-4o-mini, tier: default, usd_per_mtok: {input: 1, output: 2}}]",
    )
    calls = [
        Call(request_model="gpt-4o-mini", service_tier=tier, input_tokens=10**6, output_tokens=0)
        for tier in ("", "default")
    ]
    assert _costs(store, *calls) == [Decimal("0.15"), Decimal(1)]


def test_a_rate_for_a_model_that_no_book_has_defines_it(store: Executor) -> None:
    import_prices(
        store,
        "rates:\n"
        "- {provider: vllm, model: llama-*, usd_per_mtok: {input: 0.1, output: 0.2}, usd_per_request: 0.01}",
    )
    call = Call(provider="vllm", request_model="llama-4-70b", input_tokens=10**6, output_tokens=10**6)
    assert _costs(store, call) == [Decimal("0.31")]
    assert cost_of(store, call)[2] == "vllm/llama-*"
    assert _costs(store, Call(provider="vllm", request_model="qwen")) == [None]


def test_a_bucket_that_an_own_model_does_not_name_has_its_parents_price(store: Executor) -> None:
    import_prices(store, "rates: [{provider: vllm, model: m, usd_per_mtok: {input: 1}}]")
    cached = Call(
        provider="vllm", request_model="m", input_tokens=10**6, cache_read_tokens=10**6, output_tokens=0
    )
    assert _costs(store, cached) == [Decimal(1)]
    with_output = Call(provider="vllm", request_model="m", input_tokens=0, output_tokens=1)
    assert _costs(store, with_output) == [None]


def test_a_contract_above_a_context_size_holds_for_larger_inputs_only(store: Executor) -> None:
    import_prices(
        store,
        """
        rates:
          - {provider: own, model: m, input_above: 200000, usd_per_mtok: {input: 2}}
          - {provider: own, model: m, usd_per_mtok: {input: 1, output: 1}}
        """,
    )
    calls = [
        Call(provider="own", request_model="m", input_tokens=size, output_tokens=0)
        for size in (200_000, 200_001, 1_000_000)
    ]
    assert _costs(store, *calls) == [Decimal("0.2"), Decimal("0.400002"), Decimal(2)]


def test_a_deployments_name_can_be_given_a_price_of_the_book(store: Executor) -> None:
    import_prices(
        store, "names: [{provider: azure.ai.openai, model: PROD-chat-*, price: azure/openai/gpt-4o}]"
    )
    call = Call(provider="azure.ai.openai", request_model="prod-chat-eu", **MILLION)
    assert _costs(store, call) == [Decimal("2.5")]


def test_an_empty_file_takes_the_contracts_away(store: Executor) -> None:
    public = sync_prices(store)
    call = Call(**MILLION)
    assert _costs(store, call) == [Decimal("2.5")]
    ours = import_prices(store, "discounts: [{provider: openai, percent: 10}]")
    assert cost_of(store, call)[0] == Decimal("2.25")
    again = import_prices(store, "")
    assert cost_of(store, call)[0] == Decimal("2.5")
    assert (again.hash, again.changed) == (public.hash, True)
    assert ours.hash != public.hash


def test_the_contract_stays_in_force_when_prices_are_synchronised_again(store: Executor) -> None:
    ours = import_prices(store, "discounts: [{provider: openai, percent: 10}]")
    later = sync_prices(store)
    assert (later.hash, later.changed) == (ours.hash, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rates: [", "prices.yaml:1: "),
        ("rates: []\nrates: []", "prices.yaml:2: rates is there twice"),
        ("- 1\n- 2", "prices.yaml:1: the file: "),
        ("version: 2", "prices.yaml:1: version: "),
        ("\nprices: []", "prices.yaml:2: prices: there is no such field"),
        (
            "rates:\n  - provider: openai\n    model: gpt-4o\n    usd_per_mtok:\n      input: cheap\n",
            "prices.yaml:5: rates.0.usd_per_mtok.input: ",
        ),
        (
            "rates:\n  - {provider: openai, model: m, usd_per_mtok: {inputs: 1}}\n",
            "prices.yaml:2: rates.0.usd_per_mtok.inputs",
        ),
        ("discounts:\n  - {provider: openai, percent: 120}", "prices.yaml:2: discounts.0.percent: "),
        ("discounts:\n  - {provider: openai, percent: .nan}", "prices.yaml:2: discounts.0.percent: "),
        (
            "discounts:\n  - provider: openai\n    percent: 5\n    from: 2026-02-01\n    to: 2026-01-01\n",
            "prices.yaml:2: discounts.0: `to` must be later than `from`",
        ),
        (
            "rates:\n  - {model: m, usd_per_mtok: {input: 1}}",
            "prices.yaml:2: rates.0.provider: Field required",
        ),
        (
            "rates:\n  - {provider: a, model: m, usd_per_mtok: {input: -1}}",
            "prices.yaml:2: rates.0.usd_per_mtok.input: ",
        ),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_place(text: str, message: str) -> None:
    with pytest.raises(PriceFileError) as caught:
        parse_contracts(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_wrong_file_changes_nothing(store: Executor) -> None:
    before = sync_prices(store)
    with pytest.raises(PriceFileError, match=r"names\.0\.price"):
        import_prices(store, "names: [{provider: azure, model: x, price: azure/no-such-model}]")
    assert sync_prices(store) == replace(before, changed=False)


def test_numbers_of_a_file_are_the_decimals_that_were_typed() -> None:
    contracts = parse_contracts(
        "rates: [{provider: a, model: m, usd_per_mtok: {input: 0.049999999999999996}}]"
    )
    assert contracts.rates[0].usd_per_mtok["input"] == Decimal("0.049999999999999996")


def test_an_empty_file_is_no_contract() -> None:
    assert parse_contracts("# nothing yet\n") == Contracts()
