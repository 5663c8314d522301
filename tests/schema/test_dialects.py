"""Each instrumentation's own way of writing a call, from its conventions (sources: 0004_aliases.sql)."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from schema.bodies import MILLISECOND, SECOND, Event, Span, Value, traces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.conftest import Store


def _call(store: Store, attributes: Mapping[str, Value], columns: str, **span: Any) -> dict[str, Any]:
    store.land(traces(Span(attributes, **span)))
    return store.call(columns)


_TOKENS = (
    "input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, "
    "reasoning_tokens"
)


def _tokens(store: Store, attributes: Mapping[str, Value], **span: Any) -> tuple[int | None, ...]:
    return tuple(_call(store, {"gen_ai.operation.name": "chat", **attributes}, _TOKENS, **span).values())


def test_older_genai_and_openllmetry_0_40(store: Store) -> None:
    columns = (
        "operation, provider, input_tokens, output_tokens, cache_read_tokens, finish_reasons, streaming, "
        "user_id, billable"
    )
    assert _call(
        store,
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 120,
            "gen_ai.usage.completion_tokens": 45,
            "llm.usage.total_tokens": 165,
            "gen_ai.usage.cache_read_input_tokens": 64,
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "gen_ai.completion.0.content": "Paris",
            "gen_ai.prompt.1.content": "capital of France?",
            "gen_ai.prompt.0.content": "be terse",
            "gen_ai.prompt.0.role": "system",
            "llm.is_streaming": "False",
            "traceloop.association.properties.user_id": "u1",
        },
        columns,
        scope="opentelemetry.instrumentation.openai.v1",
    ) == {
        "operation": "chat",
        "provider": "openai",
        "input_tokens": 120,
        "output_tokens": 45,
        "cache_read_tokens": 64,
        "finish_reasons": ["tool_calls"],
        "streaming": False,
        "user_id": "u1",
        "billable": True,
    }
    assert store.rows("SELECT input_text, output_text FROM llm_texts") == [
        ("be terse\ncapital of France?", "Paris")
    ]
    assert store.call("attributes") == {"attributes": {}}


@pytest.mark.parametrize(
    ("kind", "operation", "billable"),
    [
        ("LLM", "chat", True),
        ("EMBEDDING", "embeddings", True),
        ("CHAIN", "invoke_workflow", False),
        ("AGENT", "invoke_agent", False),
        ("TOOL", "execute_tool", False),
        ("RETRIEVER", "retrieval", False),
    ],
)
def test_kinds_of_openinference(store: Store, kind: str, operation: str, billable: bool) -> None:
    found = _call(
        store, {"openinference.span.kind": kind, "llm.token_count.prompt": 9}, "operation, billable"
    )
    assert found == {"operation": operation, "billable": billable}


def test_openinference_keeps_the_answers_id_and_lifetimes_inside_json(store: Store) -> None:
    usage = {
        "input_tokens": 21,
        "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 40},
    }
    found = _call(
        store,
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "claude-sonnet-4-5-20250929",
            "llm.token_count.prompt": 1209,
            "llm.token_count.completion": 393,
            "llm.token_count.prompt_details.cache_read": 1000,
            "llm.token_count.prompt_details.cache_write": 188,
            "llm.invocation_parameters": '{"model": "claude-sonnet-4-5", "stream": true}',
            "output.value": json.dumps({"id": "msg_01", "content": [{"text": "{"}], "usage": usage}),
        },
        "response_id, request_model, response_model, streaming, input_tokens, "
        "cache_write_5m_tokens, cache_write_1h_tokens",
    )
    assert found == {
        "response_id": "msg_01",
        "request_model": "claude-sonnet-4-5",
        "response_model": "claude-sonnet-4-5-20250929",
        "streaming": True,
        "input_tokens": 1209,
        "cache_write_5m_tokens": 148,
        "cache_write_1h_tokens": 40,
    }


def test_openlits_anthropic_input_gets_its_cache_added(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.usage.input_tokens": 5000,
        "gen_ai.usage.output_tokens": 393,
        "gen_ai.usage.cache_read.input_tokens": 1000,
        "gen_ai.usage.cache_creation.input_tokens": 188,
    }
    assert _tokens(store, attributes, scope="openlit.instrumentation.anthropic")[0] == 6188


def test_a_cache_greater_than_its_input_means_that_it_was_left_out(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.usage.input_tokens": 21,
        "gen_ai.usage.cache_read.input_tokens": 1000,
    }
    assert _tokens(store, attributes, scope="somebody")[0] == 1021


def test_openlits_word_counts_are_estimates(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 6,
    }
    found = _call(store, attributes, "usage_source, input_tokens", scope="openlit.instrumentation.openai")
    assert found == {"usage_source": "estimated", "input_tokens": 12}


def test_openlits_first_token_of_a_call_without_stream_is_none(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.stream": False,
        "gen_ai.server.time_to_first_token": 0.8,
    }
    assert _call(store, attributes, "ttft_ms", scope="openlit.instrumentation.openai") == {"ttft_ms": None}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        # OpenAI's chat completions: inclusive.
        (
            {
                "prompt_tokens": 130,
                "completion_tokens": 60,
                "prompt_tokens_details": {"cached_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            (130, 60, 64, None, None, 20),
        ),
        # OpenAI's responses: inclusive, by the names of the details.
        (
            {
                "input_tokens": 130,
                "output_tokens": 60,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens_details": {"reasoning_tokens": 20},
            },
            (130, 60, 64, None, None, 20),
        ),
        # Anthropic's messages: exclusive, by the names of the cache counts.
        (
            {
                "input_tokens": 21,
                "output_tokens": 393,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 188,
                "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 40},
            },
            (1209, 393, 1000, 148, 40, None),
        ),
        # Langfuse's own names: what remains beside the parts.
        (
            {
                "input": 21,
                "output": 300,
                "input_cache_read": 1000,
                "input_cache_creation": 188,
                "output_reasoning": 93,
            },
            (1209, 393, 1000, 188, None, 93),
        ),
        ({"input": 21, "output": 393, "cache_read_input_tokens": 1000}, (1021, 393, 1000, None, None, None)),
        ({"input": 14}, (14, None, None, None, None, None)),
        ({"input": 100, "output": None, "total": 140}, (100, 40, None, None, None, None)),
    ],
)
def test_usage_in_langfuse(store: Store, usage: dict[str, Any], tokens: tuple[int | None, ...]) -> None:
    attributes: dict[str, Value] = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.usage_details": json.dumps(usage),
    }
    store.land(traces(Span(attributes, scope="langfuse-sdk")))
    assert tuple(store.call(_TOKENS).values()) == tokens


def test_langfuse_times_and_errors(store: Store) -> None:
    start = Span({}).start_ns // SECOND * SECOND
    found = _call(
        store,
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.level": "ERROR",
            "langfuse.observation.status_message": "Error code: 429 - slow down",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.metadata.finish_reason": '"stop"',
            "langfuse.environment": "test",
        },
        "status, error_type, request_model, response_model, finish_reasons",
        start_ns=start,
    )
    assert found == {
        "status": "error",
        "error_type": "429",
        "request_model": "gpt-4o",
        "response_model": "",
        "finish_reasons": ["stop"],
    }
    store.empty()
    first = start + 250 * MILLISECOND
    moment = f'"{datetime.fromtimestamp(first / SECOND, timezone.utc).isoformat()}"'
    found = _call(
        store,
        {"langfuse.observation.type": "generation", "langfuse.observation.completion_start_time": moment},
        "ttft_ms, streaming",
        start_ns=start,
    )
    assert found == {"ttft_ms": 250.0, "streaming": True}


def test_logfires_stream_is_one_call_that_lasted_as_long_as_the_stream(store: Store) -> None:
    common: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "request_data": '{"model": "gpt-4o", "stream": true, "messages": [{"content": "secret"}]}',
    }
    opening = Span(
        {**common, "logfire.span_type": "span"}, scope="logfire.openai", duration_ns=60 * MILLISECOND
    )
    end = Span(
        {
            **common,
            "logfire.span_type": "log",
            "duration": 1.5,
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.response.finish_reasons": '["stop"]',
            "gen_ai.usage.input_tokens": 130,
            "gen_ai.usage.output_tokens": 60,
            "gen_ai.usage.raw": '{"completion_tokens_details": {"reasoning_tokens": 20}}',
        },
        scope="logfire.openai",
        kind=1,
        start_ns=opening.start_ns + 1_600 * MILLISECOND,
        duration_ns=0,
    )
    store.land(traces(opening, end))
    (billed,) = store.rows(
        "SELECT span_id, duration_ms, toUnixTimestamp64Nano(ts), streaming, finish_reasons, "
        "input_tokens, reasoning_tokens, "
        "attributes FROM llm_calls_once WHERE billable"
    )
    assert billed[:7] == (end.span_id, 1500.0, opening.start_ns + 100 * MILLISECOND, True, ["stop"], 130, 20)
    assert "secret" not in str(billed[7])


def test_logfires_call_that_failed_is_the_call(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "logfire.span_type": "span",
    }
    exception = Event("exception", 1, {"exception.type": "openai.RateLimitError"})
    found = _call(
        store,
        attributes,
        "billable, status, error_type",
        scope="logfire.openai",
        status_code=2,
        events=[exception],
    )
    assert found == {"billable": True, "status": "error", "error_type": "openai.RateLimitError"}


def test_pydantic_ais_agents_sum_is_no_usage(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.aggregated_usage.input_tokens": 900,
        "operation.cost": 0.5,
    }
    found = _call(store, attributes, "billable, input_tokens, reported_cost_usd")
    assert found == {"billable": False, "input_tokens": None, "reported_cost_usd": None}


def test_litellms_zero_usage_is_unknown_and_its_raw_span_is_no_call(store: Store) -> None:
    request = Span(
        {
            "llm.request.type": "acompletion",
            "gen_ai.system": "azure",
            "gen_ai.request.model": "gpt-4o",
            "llm.is_streaming": "True",
            "gen_ai.usage.input_tokens": 0,
            "gen_ai.usage.output_tokens": 0,
            "gen_ai.cost.total_cost": 0.0,
            "gen_ai.response.finish_reasons": '["stop"]',
            "gen_ai.output.messages": '[{"role": "assistant", "parts": []}]',
        },
        name="litellm_request",
        scope="litellm",
    )
    raw = Span(
        {"llm.openai.messages": "[]", "llm.openai.model": "gpt-4o"},
        name="raw_gen_ai_request",
        scope="litellm",
    )
    store.land(traces(request, raw))
    columns = (
        "operation, provider, streaming, input_tokens, output_tokens, usage_source, status, finish_reasons, "
        "reported_cost_usd, billable"
    )
    assert store.call(columns) == {
        "operation": "chat",
        "provider": "azure.ai.openai",
        "streaming": True,
        "input_tokens": None,
        "output_tokens": None,
        "usage_source": "missing",
        "status": "ok",
        "finish_reasons": ["stop"],
        "reported_cost_usd": None,
        "billable": True,
    }


def test_anthropics_own_spans(store: Store) -> None:
    message: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.usage.input_tokens": 1209,
        "gen_ai.usage.output_tokens": 393,
        "gen_ai.usage.cache_write.input_tokens": 188,
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 148,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 40,
        "anthropic.message.stop_reason": "end_turn",
        "anthropic.response.service_tier": "standard",
    }
    found = _call(
        store, message, "cache_write_5m_tokens, cache_write_1h_tokens, finish_reasons, service_tier"
    )
    assert found == {
        "cache_write_5m_tokens": 148,
        "cache_write_1h_tokens": 40,
        "finish_reasons": ["stop"],
        "service_tier": "standard",
    }
    store.empty()
    counting: dict[str, Value] = {
        "gen_ai.request.model": "claude-sonnet-4-5",
        "anthropic.message.count_tokens.input_tokens": 7,
    }
    assert _call(store, counting, "operation, billable") == {"operation": "", "billable": False}


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        ({"gen_ai.provider.name": "openai", "server.address": "acme.openai.azure.com"}, "azure.ai.openai"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "https://openrouter.ai/api/v1"}, "openrouter"),
        (
            {
                "gen_ai.system": "openai",
                "gen_ai.openai.api_base": "http://127.0.0.1:9/openai/deployments/gpt/",
            },
            "azure.ai.openai",
        ),
        ({"gen_ai.system": "OpenAI", "server.address": "127.0.0.1"}, "openai"),
        ({"gen_ai.system": "vertex_ai"}, "gcp.vertex_ai"),
        ({"gen_ai.provider.name": "AWS.Bedrock"}, "aws.bedrock"),
        ({"gen_ai.system": "house-model"}, "house-model"),
        ({}, ""),
    ],
)
def test_providers_have_one_name_each(store: Store, attributes: dict[str, Value], provider: str) -> None:
    assert _call(store, {"gen_ai.operation.name": "chat", **attributes}, "provider") == {"provider": provider}


@pytest.mark.parametrize(
    ("sent", "reasons"),
    [
        (["stop"], ["stop"]),
        ('["end_turn"]', ["stop"]),
        ("tool_use", ["tool_calls"]),
        ('["COMPLETE"]', ["stop"]),
        ('["MAX_TOKENS"]', ["length"]),
        ('["TOOL_CALL"]', ["tool_calls"]),
        ('["PROHIBITED_CONTENT"]', ["content_filter"]),
        ('["guardrail_intervened"]', ["content_filter"]),
        ('["model_length"]', ["length"]),
        ('"max_tokens"', ["length"]),
        ('{"values":[{"stringValue":"stop"},{"stringValue":"length"}]}', ["stop", "length"]),
        ([], []),
        ("SAFETY", ["content_filter"]),
        ("something_new", ["something_new"]),
    ],
)
def test_finish_reasons_are_a_list_in_one_vocabulary(store: Store, sent: Value, reasons: list[str]) -> None:
    attributes: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": sent}
    assert _call(store, attributes, "finish_reasons") == {"finish_reasons": reasons}


def test_an_interrupted_stream_that_calls_itself_a_success_is_incomplete(store: Store) -> None:
    attributes: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.is_streaming": True}
    assert _call(store, attributes, "status", status_code=1) == {"status": "incomplete"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("asyncio.exceptions.CancelledError", "cancelled"),
        ("GeneratorExit", "incomplete"),
        ("RateLimitError", "error"),
    ],
)
def test_errors_that_are_none_of_the_providers(store: Store, error: str, status: str) -> None:
    attributes: dict[str, Value] = {"gen_ai.operation.name": "chat", "error.type": error}
    assert _call(store, attributes, "status, error_type", status_code=2) == {
        "status": status,
        "error_type": error,
    }


@pytest.mark.parametrize(
    ("source", "currency", "cost"),
    [("provider", "USD", "0.0123"), ("local", "USD", "None"), ("provider", "EUR", "None")],
)
def test_only_a_cost_that_the_provider_returned_is_a_reported_cost(
    store: Store, source: str, currency: str, cost: str
) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.cost.amount": 0.0123,
        "gen_ai.usage.cost.currency": currency,
        "gen_ai.usage.cost.source": source,
    }
    assert str(_call(store, attributes, "reported_cost_usd")["reported_cost_usd"]) == cost


def test_a_new_alias_is_a_row_and_counts_at_once(store: Store) -> None:
    attributes: dict[str, Value] = {"acme.model": "house-1", "acme.tokens.in": 7}
    store.land(traces(Span(attributes)))
    assert store.rows("SELECT count() FROM llm_calls") == [(0,)]
    store.command(
        "INSERT INTO attribute_aliases (attribute, field, priority) VALUES "
        "('acme.model', 'request_model', 99), ('acme.tokens.in', 'input_tokens', 99)"
    )
    store.land(traces(Span(attributes)))
    assert store.call("request_model, input_tokens, operation") == {
        "request_model": "house-1",
        "input_tokens": 7,
        "operation": "chat",
    }
    store.command("DELETE FROM attribute_aliases WHERE attribute LIKE 'acme.%'")
