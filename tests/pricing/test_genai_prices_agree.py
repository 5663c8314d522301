from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from genai_prices.data import providers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricing import reference
from pricing.calls import Call, Tokens, add
from promptspan_server.pricing.genai import read_package

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

EVERY_MODEL = [(provider.id, model.id) for provider in providers for model in provider.models]
BOUNDARIES = sorted({date for model in read_package().models for date in model.dates})
THRESHOLDS = sorted({threshold for model in read_package().models for threshold in model.thresholds})
EARLIEST = datetime(2024, 1, 1, tzinfo=timezone.utc)
MOMENTS = [
    datetime(2025, 3, 1, 2, 30, tzinfo=timezone.utc),
    datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc),
    datetime(2027, 6, 1, 7, 59, 59, tzinfo=timezone.utc),
]
MIXES: list[Tokens] = [
    {"input_tokens": 1234, "output_tokens": 567},
    {
        "input_tokens": 300_001,
        "cache_read_tokens": 99_991,
        "cache_write_5m_tokens": 1_009,
        "cache_write_1h_tokens": 503,
        "output_tokens": 4_093,
        "reasoning_tokens": 1_021,
    },
    {"input_tokens": 4001, "audio_input_tokens": 1999, "output_tokens": 811, "audio_output_tokens": 307},
]


@pytest.fixture(autouse=True)
def _empty(shared_store: Executor) -> None:
    shared_store.command("TRUNCATE TABLE llm_calls")


def assert_agreement(executor: Executor, calls: list[Call]) -> None:
    add(executor, calls)
    found = {
        row[0]: row[1:] for row in executor.rows("SELECT span_id, cost_usd, price_status FROM llm_costs")
    }
    wrong: list[str] = []
    for call in calls:
        expected = reference.cost(call)
        status = "unpriced" if expected is None else "priced"
        if found[call.span_id] != (expected, status):
            wrong.append(f"{found[call.span_id]} is not {expected} {status} for {call}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(calls)}", *wrong[:10]])


def test_every_model_of_the_package_costs_what_the_package_says(shared_store: Executor) -> None:
    calls = [
        Call(ts=MOMENTS[index % len(MOMENTS)], provider=provider, request_model=model, **mix)
        for index, (provider, model) in enumerate(EVERY_MODEL)
        for mix in MIXES
    ]
    assert_agreement(shared_store, calls)


def test_every_model_with_dates_costs_what_the_package_says(shared_store: Executor) -> None:
    calls = [
        Call(ts=moment, provider=model.provider, request_model=model.model, **mix)
        for model in read_package().models
        if model.dates or model.day_seconds
        for moment in MOMENTS
        for mix in MIXES
    ]
    assert_agreement(shared_store, calls)


def test_every_service_tier_costs_what_the_package_says(shared_store: Executor) -> None:
    calls = [
        Call(ts=moment, provider=model.provider, request_model=model.model, service_tier=tier, **mix)
        for model in read_package().models
        if len(model.tiers) > 1
        for tier in (*model.tiers, "auto")
        for moment in MOMENTS
        for mix in MIXES[:2]
    ]
    assert_agreement(shared_store, calls)


def test_a_price_changes_at_its_second_and_at_its_token(shared_store: Executor) -> None:
    calls: list[Call] = []
    for model in read_package().models:
        edges = [date + offset for date in model.dates for offset in (-timedelta(seconds=1), timedelta(0))]
        day = MOMENTS[1].replace(hour=0)
        for second in model.day_seconds:
            edges += [day + timedelta(seconds=second + offset) for offset in (-1, 0)]
        sizes = [threshold + offset for threshold in model.thresholds for offset in (0, 1)]
        calls += [
            Call(ts=edge, provider=model.provider, request_model=model.model, input_tokens=size)
            for edge in edges or MOMENTS[1:2]
            for size in sizes or [1000]
            if edges or sizes
        ]
    assert_agreement(shared_store, calls)


@st.composite
def _dated(draw: st.DrawFn) -> datetime:
    if draw(st.booleans()):
        return draw(st.sampled_from(BOUNDARIES)) + timedelta(seconds=draw(st.integers(-90_000, 90_000)))
    return EARLIEST + timedelta(seconds=draw(st.integers(0, 4 * 365 * 86_400)))


@st.composite
def _calls(draw: st.DrawFn) -> Call:
    provider, model = draw(st.sampled_from(EVERY_MODEL))
    read, short, long, audio = (draw(st.integers(0, 50_000)) for _ in range(4))
    reasoning, spoken = (draw(st.integers(0, 20_000)) for _ in range(2))
    size = st.one_of(st.integers(0, 2_000_000), st.sampled_from(THRESHOLDS))
    return Call(
        ts=draw(_dated()),
        provider=provider,
        request_model=model,
        input_tokens=max(draw(size), read + short + long + audio),
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        audio_input_tokens=audio,
        output_tokens=draw(st.integers(0, 200_000)) + reasoning + spoken,
        reasoning_tokens=reasoning,
        audio_output_tokens=spoken,
    )


@settings(max_examples=8, deadline=None, suppress_health_check=SLOW)
@given(calls=st.lists(_calls(), min_size=20, max_size=60))
def test_any_call_costs_what_the_package_says(shared_store: Executor, calls: list[Call]) -> None:
    shared_store.command("TRUNCATE TABLE llm_calls")
    assert_agreement(shared_store, calls)
