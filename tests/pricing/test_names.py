from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from genai_prices import types as genai
from genai_prices.data import providers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricing import reference
from pricing.calls import Call, add, cost_of
from promptspan_server.pricing.genai import read_package
from promptspan_server.pricing.matching import Alternative, UntranslatableClauseError, alternatives, glob
from promptspan_server.pricing.names import current_book
from promptspan_server.pricing.sync import sync_prices

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from promptspan_server.store.executor import Executor


def _spelled(clause: object) -> Iterator[str]:
    """Names that a clause was written for, and names just beside them."""
    if isinstance(clause, genai.ClauseOr):
        for part in clause.or_:
            yield from _spelled(part)
    elif isinstance(clause, genai.ClauseAnd):
        yield "-".join(name for part in clause.and_ for name in list(_spelled(part))[:1])
    elif isinstance(clause, genai.ClauseEquals):
        yield from (clause.equals, clause.equals + "-20251211")
    elif isinstance(clause, genai.ClauseStartsWith):
        yield from (clause.starts_with + "-x", "x" + clause.starts_with)
    elif isinstance(clause, genai.ClauseEndsWith):
        yield from ("x" + clause.ends_with, clause.ends_with + "x")
    elif isinstance(clause, genai.ClauseContains):
        yield from ("x" + clause.contains + "y", clause.contains)


def assert_names_agree(executor: Executor, names: Iterable[tuple[str, str, str]]) -> None:
    book = current_book(executor)
    wanted = sorted(set(names))
    executor.insert(
        "price_names_seen",
        ("book", "provider", "request_model", "response_model", "service_tier"),
        [(book, provider, asked, answered, "") for provider, asked, answered in wanted],
    )
    found = {
        row[:3]: row[3]
        for row in executor.rows(
            "SELECT provider, request_model, response_model, price_id FROM price_names FINAL"
            " WHERE book = {book:String}",
            {"book": book},
        )
    }
    wrong: list[str] = []
    for provider, asked, answered in wanted:
        call = Call(provider=provider, request_model=asked, response_model=answered)
        expected = reference.price_id(reference.find(call))
        if found[provider, asked, answered] != expected:
            wrong.append(
                f"{provider=} {asked=} {answered=}: {found[provider, asked, answered]}, not {expected}"
            )
    assert not wrong, "\n".join([f"{len(wrong)} of {len(wanted)}", *wrong[:10]])


def test_every_name_of_the_package_means_what_the_package_means(shared_store: Executor) -> None:
    assert_names_agree(
        shared_store,
        (
            (provider.id, name.lower(), "")
            for provider in providers
            for model in provider.models
            for name in (model.id, *_spelled(model.match))
        ),
    )


def test_a_model_without_a_provider_is_found_by_its_look(shared_store: Executor) -> None:
    names = [model.id for provider in providers for model in provider.models]
    names += [f"{provider.id}/{model.id}" for provider in providers for model in provider.models[:4]]
    assert_names_agree(
        shared_store, ((provider, name.lower(), "") for name in names for provider in ("", "litellm"))
    )


@pytest.mark.parametrize(
    ("provider", "asked", "answered", "expected"),
    [
        ("openai", "gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("openai", "my-fine-tune", "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("openai", "gpt-4o", "not-in-any-book", "openai/gpt-4o"),
        ("azure.ai.openai", "prod-deployment", "gpt-4o-2024-08-06", "azure/openai/gpt-4o"),
        ("azure.ai.inference", "deepseek-chat", "", "azure/deepseek/deepseek-chat"),
        ("gcp.gemini", "gemini-2.5-pro", "", "google/gemini-2.5-pro"),
        ("gcp.gen_ai", "gemini-2.5-pro", "", "google/gemini-2.5-pro"),
        ("x_ai", "grok-3", "", "x-ai/grok-3"),
        ("anthropic", "claude-sonnet-4-5-20250929", "", "anthropic/claude-sonnet-4-5"),
        ("litellm", "openai/gpt-4o", "", "openai/gpt-4o"),
        ("aws.bedrock", "nova-lite-v1:0", "", "aws/amazon.nova-lite-v1:0"),
        ("aws.bedrock", "us.amazon.nova-lite-v1:0", "", "aws/amazon.nova-lite-v1:0"),
        ("aws.bedrock", "llama3-8b-instruct-v1:0", "", "aws/meta.llama3-8b-instruct-v1:0"),
        ("aws.bedrock", "arn:profile", "nova-pro-v1:0", "aws/amazon.nova-pro-v1:0"),
        ("openrouter", "gpt-4o-mini", "", "openrouter/openai/gpt-4o-mini"),
        ("openrouter", "gpt-5-mini", "gpt-5-mini-20250807", "openrouter/openai/gpt-5-mini"),
        ("openrouter", "llama-3.1-8b-instruct", "", "openrouter/meta-llama/llama-3.1-8b-instruct"),
        ("openai", "nova-lite-v1:0", "", ""),
        ("somebody-else", "gpt-4o", "", ""),
        ("openai", "", "", ""),
    ],
)
def test_well_known_provider_names_find_their_models(
    shared_store: Executor, provider: str, asked: str, answered: str, expected: str
) -> None:
    call = Call(provider=provider, request_model=asked, response_model=answered)
    add(shared_store, [call])
    assert cost_of(shared_store, call)[2] == expected


_DATED = st.builds(
    "{}-{:04}{:02}{:02}{}".format,
    st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "gpt-4o-mini", "o3"]),
    st.integers(2000, 2100),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(["", ":batch", "-preview", "x"]),
)


@settings(max_examples=5, deadline=None, suppress_health_check=SLOW)
@given(names=st.lists(_DATED, min_size=20, max_size=60))
def test_compact_dates_in_names_are_read_only_if_they_exist(shared_store: Executor, names: list[str]) -> None:
    assert_names_agree(
        shared_store, ((provider, name, "") for name in names for provider in ("openai", "anthropic"))
    )


def test_a_new_model_is_priced_by_the_insert_that_brings_it(store: Executor) -> None:
    sync_prices(store)
    call = Call(request_model="gpt-4.1-mini")
    add(store, [call])
    assert cost_of(store, call)[1:] == ("priced", "openai/gpt-4.1-mini")


def test_calls_that_were_there_before_the_first_book_get_their_price_from_it(store: Executor) -> None:
    call = Call()
    add(store, [call])
    assert cost_of(store, call) == (None, "unpriced", "")
    sync_prices(store)
    assert cost_of(store, call)[1:] == ("priced", "openai/gpt-4o")


def test_the_installed_package_is_translated_whole() -> None:
    package = read_package()
    assert package.skipped == ()
    ids = [model.price_id for model in package.models]
    assert len(ids) == len(set(ids))


def test_a_leading_negative_look_ahead_becomes_a_pattern_that_must_not_match() -> None:
    clause = genai.ClauseRegex(regex=r"^(?!.*-tts(?:$|-))gpt-\d")
    assert alternatives(clause) == (
        Alternative(patterns=(r"^gpt-\d",), not_patterns=(r"^(?:.*-tts(?:$|-))",)),
    )


@pytest.mark.parametrize("regex", [r"a(?=b)", r"(?<!x)y", r"(a)\1", r"^(?!a"])
def test_a_pattern_that_re2_cannot_express_is_refused(regex: str) -> None:
    with pytest.raises(UntranslatableClauseError):
        alternatives(genai.ClauseRegex(regex=regex))


def test_a_conjunction_of_like_tests_keeps_all_of_them() -> None:
    clause = genai.ClauseAnd(
        and_=[genai.ClauseStartsWith(starts_with="a."), genai.ClauseStartsWith(starts_with="a.b")]
    )
    assert alternatives(clause) == (Alternative(starts="a.", patterns=(r"^a\.b",)),)


def test_only_the_star_is_special_in_a_users_name() -> None:
    assert glob("GPT-4o") == Alternative(equals="gpt-4o")
    assert glob("grok-4[fast=true]*") == Alternative(patterns=(r"^grok\-4\[fast\=true\].*$",))
