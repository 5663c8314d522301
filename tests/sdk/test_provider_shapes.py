"""Shapes beyond OpenAI's and Anthropic's, what they come wrapped in, and junk in their places."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptspan._chunks import ChunkReader
from promptspan._readers import assembler_for, read_response
from promptspan._reading import Reading, Usage

GENERATED: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"text": "Fo"},
                    {"text": "ur."},
                    {"functionCall": {"id": "f1", "name": "look", "args": {"at": 1}}},
                ],
            },
            "finishReason": "MAX_TOKENS",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 700,
        "candidatesTokenCount": 50,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 11,
        "totalTokenCount": 1091,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 600},
            {"modality": "AUDIO", "tokenCount": 150},
            {"modality": "IMAGE", "tokenCount": 250},
        ],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 40}],
        "trafficType": "ON_DEMAND_FLEX",
    },
    "modelVersion": "gemini-3-pro",
    "responseId": "g1",
}


def read(value: Any) -> Reading:
    reading = read_response(value)
    assert reading is not None
    return reading


def assembled(*chunks: Any) -> Reading:
    reader = ChunkReader()
    for chunk in chunks:
        reader.add(chunk)
    reading = reader.reading()
    assert reading is not None
    return reading


def test_googles_thoughts_and_tools_are_billed_beside_its_totals() -> None:
    reading = read(GENERATED)
    assert reading.usage == Usage(
        input_tokens=1011,
        output_tokens=80,
        cache_read_tokens=700,
        reasoning_tokens=30,
        audio_input_tokens=150,
        image_input_tokens=250,
        image_output_tokens=40,
    )
    assert (reading.provider, reading.model, reading.response_id) == ("gcp.vertex_ai", "gemini-3-pro", "g1")
    assert (reading.service_tier, reading.truncated, reading.text) == ("flex", True, "Four.")
    assert reading.output[0].parts[2]["arguments"] == {"at": 1}


def test_a_prompt_that_google_blocks_is_filtered_and_has_no_answer() -> None:
    reading = read(
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9}}
    )
    assert (reading.filtered, reading.finish_reasons) == (True, ("PROHIBITED_CONTENT",))
    assert reading.usage == Usage(input_tokens=9)


def test_bedrocks_cache_lies_beside_its_input() -> None:
    reading = read(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Four."}]}},
            "stopReason": "guardrail_intervened",
            "usage": {
                "inputTokens": 10,
                "outputTokens": 5,
                "cacheReadInputTokens": 100,
                "cacheWriteInputTokens": 30,
                "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}],
            },
            "serviceTier": {"type": "priority"},
            "ResponseMetadata": {"RequestId": "r1"},
        }
    )
    assert reading.usage == Usage(
        input_tokens=140,
        output_tokens=5,
        cache_read_tokens=100,
        cache_write_tokens=30,
        cache_write_1h_tokens=20,
    )
    assert (reading.filtered, reading.service_tier, reading.response_id) == (True, "priority", "r1")


def test_a_tool_call_that_bedrock_streams_is_put_together() -> None:
    start = {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "look"}}}
    reading = assembled(
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm."}}}},
        {"contentBlockStart": start},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"at"'}}}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ": 1}"}}}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 10, "outputTokens": 5}, "metrics": {"latencyMs": 12}}},
    )
    assert reading.output[0].parts == (
        {"type": "reasoning", "content": "Hm."},
        {"type": "tool_call", "id": "t1", "name": "look", "arguments": '{"at": 1}'},
    )
    assert (reading.usage, reading.timings_ms) == (
        Usage(input_tokens=10, output_tokens=5),
        {"total": 12.0},
    )


def test_a_bedrock_model_with_words_of_its_own_is_read() -> None:
    metrics = {"inputTokenCount": 7, "outputTokenCount": 3, "invocationLatency": 40}
    last = {"generation": "ur.", "amazon-bedrock-invocationMetrics": metrics}
    reading = assembled(
        {"chunk": {"bytes": b'{"generation": "Fo"}'}}, {"chunk": {"bytes": json.dumps(last).encode()}}
    )
    assert (reading.text, reading.usage) == ("Four.", Usage(input_tokens=7, output_tokens=3))


def test_coheres_tool_calls_are_put_together_and_its_bill_is_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    more = {"function": {"arguments": '{"at": 1}'}}
    usage = {"billed_units": {"input_tokens": 20.0, "output_tokens": 9.0}, "tokens": {"input_tokens": 600.0}}
    reading = assembled(
        {"type": "message-start", "id": "m1", "delta": {"message": {"role": "assistant"}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I shall look."}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": more}}},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": usage}},
    )
    assert reading.usage == Usage(input_tokens=20, output_tokens=9)
    assert reading.output[0].parts[1]["arguments"] == '{"at": 1}'
    assert (reading.response_id, reading.provider, reading.complete) == ("m1", "cohere", True)


def test_ollama_without_a_prompt_count_leaves_the_input_unknown() -> None:
    reading = read(
        {
            "model": "llama3.2",
            "message": {"role": "assistant", "content": "Four.", "thinking": "Hm."},
            "done": True,
            "done_reason": "length",
            "eval_count": 5,
            "load_duration": 2_000_000,
        }
    )
    assert reading.usage == Usage(output_tokens=5)
    assert (reading.truncated, reading.timings_ms, reading.provider) == (True, {"load": 2.0}, "ollama")


def message(**fields: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "ai", "content": "Four.", "response_metadata": {}}
    return said | fields


def test_langchain_with_a_tier_of_service_keeps_the_counts_under_other_names() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "input_token_details": {"flex": 40, "flex_cache_read": 60},
        "output_token_details": {"flex": 5, "flex_reasoning": 15},
    }
    metadata = {"model_name": "o4-mini", "service_tier": "flex", "id": "chatcmpl-1", "finish_reason": "stop"}
    reading = read(message(usage_metadata=usage, response_metadata=metadata, id="lc_run--1"))
    assert reading.usage == Usage(
        input_tokens=100, output_tokens=20, cache_read_tokens=60, reasoning_tokens=15
    )
    assert (reading.service_tier, reading.response_id) == ("flex", "chatcmpl-1")


def test_langchains_chunks_add_up() -> None:
    def chunk(content: Any, usage: Any = None, **fields: Any) -> dict[str, Any]:
        return message(type="AIMessageChunk", content=content, usage_metadata=usage) | fields

    piece = {"index": 0, "id": "t1", "name": "look", "args": '{"at"'}
    rest = {"index": 0, "id": None, "name": None, "args": ": 1}"}
    reading = assembled(
        chunk([{"type": "text", "text": "Fo"}], {"input_tokens": 90, "output_tokens": 0}),
        chunk("ur.", tool_call_chunks=[piece]),
        chunk("", {"input_tokens": 10, "output_tokens": 7}, tool_call_chunks=[rest], chunk_position="last"),
    )
    assert (reading.usage, reading.text) == (Usage(input_tokens=100, output_tokens=7), "Four.")
    assert reading.output[0].parts[1]["arguments"] == '{"at": 1}'
    assert reading.complete


def test_a_langchain_result_of_two_prompts_is_two_messages_and_one_sum() -> None:
    usage = {"input_tokens": 10, "output_tokens": 2}
    generation = {"text": "Four.", "message": message(usage_metadata=usage)}
    reading = read({"generations": [[generation, generation], [generation]], "llm_output": None})
    assert (reading.usage, len(reading.output)) == (Usage(input_tokens=20, output_tokens=4), 2)


def completion(usage: Any, **fields: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "Four."}
    return {"object": "chat.completion", "choices": [{"message": said}], "usage": usage} | fields


@pytest.mark.parametrize(
    ("usage", "output", "cost"),
    [
        # xAI counts reasoning beside the completion: the total tells. 1 USD is 10,000,000,000 ticks.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
                "cost_in_usd_ticks": 37_756_000,
            },
            105,
            Decimal("0.0037756"),
        ),
        # Elsewhere it is part of it.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 105,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            105,
            None,
        ),
        # Perplexity's deep research.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "citation_tokens": 200,
                "reasoning_tokens": 100,
                "cost": {"total_cost": 0.81},
            },
            305,
            Decimal("0.81"),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.00042}, 5, Decimal("0.00042")),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cost": 10**12}, 5, None),
    ],
    ids=["xai", "inclusive", "perplexity", "openrouter", "absurd"],
)
def test_output_and_cost_are_what_the_provider_bills(
    usage: dict[str, Any], output: int, cost: Decimal | None
) -> None:
    reading = read(completion(usage))
    assert reading.usage is not None
    assert (reading.usage.output_tokens, reading.reported_cost_usd) == (output, cost)


def test_litellms_own_price_is_not_the_providers() -> None:
    hidden = {"response_cost": 0.5, "custom_llm_provider": "vertex_ai"}
    reading = read(completion(None, _hidden_params=hidden))
    assert (reading.reported_cost_usd, reading.provider) == (None, "gcp.vertex_ai")


def test_who_speaks_is_seen_where_the_response_shows_it() -> None:
    assert read(completion(None, system_fingerprint="fp_ollama")).provider == "ollama"
    assert read(completion(None, x_groq={"id": "req_1"})).provider == "groq"
    assert read(completion(None, provider="Together")).provider == ""


def test_a_line_of_batch_results_is_read_as_such() -> None:
    body = completion({"prompt_tokens": 10, "completion_tokens": 5}, service_tier="default")
    line = {"id": "b1", "custom_id": "c1", "response": {"status_code": 200, "body": body}, "error": None}
    assert (read(line).service_tier, read(line).usage) == (
        "batch",
        Usage(input_tokens=10, output_tokens=5),
    )
    told: dict[str, Any] = {
        "type": "message",
        "role": "assistant",
        "content": [],
        "usage": {"input_tokens": 1},
    }
    succeeded: dict[str, Any] = {"type": "succeeded", "message": told}
    assert read(SimpleNamespace(custom_id="c2", result=succeeded)).service_tier == "batch"


def test_an_http_reply_that_was_read_is_read_and_one_that_was_not_is_left_alone() -> None:
    body = json.dumps(completion({"prompt_tokens": 10, "completion_tokens": 5}))
    assert read(httpx.Response(200, text=body)).usage == Usage(input_tokens=10, output_tokens=5)
    raw = SimpleNamespace(http_response=httpx.Response(200, text=body), parse=None)
    assert read(raw).usage == Usage(input_tokens=10, output_tokens=5)
    unread = httpx.Response(200, stream=httpx.ByteStream(body.encode()))
    assert read_response(unread) is None
    assert not unread.is_stream_consumed


def test_a_dataclass_of_the_applications_own_is_read() -> None:
    @dataclass
    class Answer:
        text: str
        raw: Any

    assert read(Answer("Four.", GENERATED)).response_id == "g1"


# Junk


class Hostile:
    """Whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class HostileDict(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise RuntimeError

    __getitem__ = __iter__ = values = items = keys = get  # type: ignore[assignment]


class HostileList(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError

    __getitem__ = __len__ = __bool__ = __iter__  # type: ignore[assignment]


class HostileText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    __len__ = __eq__ = __hash__ = startswith = lower = __str__  # type: ignore[assignment]


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
HOSTILE: dict[str, Any] = {
    "object": Hostile,
    "dictionary": lambda: HostileDict(a=1),
    "list": lambda: HostileList([1]),
    "text": lambda: HostileText("x"),
    "cycle": lambda: CYCLE,
    "mock": MagicMock,
    "negative": lambda: -1,
    "huge": lambda: 2**80,
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"\xff",
    "nan": lambda: float("nan"),
}
PLAIN_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SHAPES: list[Any] = [
    GENERATED,
    completion({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}),
    {
        "output": {"message": {"content": [{"text": "a"}, {"toolUse": {"input": {}}}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "cacheDetails": [{"ttl": "1h", "inputTokens": 1}]},
        "metrics": {"latencyMs": 1},
    },
    {
        "id": "c",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "a"}], "tool_calls": []},
        "usage": {"billed_units": {"input_tokens": 1.0}, "tokens": {"output_tokens": 1.0}},
    },
    {"model": "l", "message": {"content": "a", "tool_calls": []}, "done": True, "eval_count": 1},
    message(usage_metadata={"input_tokens": 1, "input_token_details": {"audio": 1}}, tool_calls=[]),
    message(type="AIMessageChunk", tool_call_chunks=[{"index": 0, "args": "a"}]),
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}},
    {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}},
    {"type": "response.completed", "response": {"object": "response", "output": [{"type": "message"}]}},
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]},
    {"ResponseMetadata": {"HTTPHeaders": {"x-amzn-bedrock-input-token-count": "1"}}},
    {"custom_id": "c", "response": {"body": {"object": "response", "output": []}}},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = ()
    if type(value) is dict:
        inner = cast("dict[str, Any]", value).items()
    elif type(value) is list and value is not CYCLE:
        inner = enumerate(cast("list[Any]", value))
    found = [path]
    for key, item in inner:
        found += places(item, (*path, key))
    return found


def spoiled(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = spoiled(value[path[0]], path[1:], junk)
    return copy


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_junk_anywhere_in_a_response_costs_its_field_and_nothing_else(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(SHAPES))
    for _ in range(data.draw(st.integers(1, 2))):
        # Drawn by name: the hostile ones would be hostile to Hypothesis, too.
        named = data.draw(st.sampled_from([*HOSTILE, "plain"]))
        junk = data.draw(PLAIN_JUNK) if named == "plain" else HOSTILE[named]()
        value = spoiled(value, data.draw(st.sampled_from(places(value))), junk)
    read_response(value)
    reader = ChunkReader()
    for chunk in (value, data.draw(st.sampled_from(SHAPES))):
        reader.add(chunk)
    reader.reading()


@pytest.mark.parametrize("named", [*HOSTILE])
def test_a_count_that_is_junk_leaves_the_others(named: str) -> None:
    junk = HOSTILE[named]()
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": junk}}
    assert read(completion(usage)).usage == Usage(input_tokens=10, output_tokens=5)
    assert assembler_for(junk) is None
