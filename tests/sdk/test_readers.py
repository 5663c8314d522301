"""Each API shape, as a dictionary and as an object, whole and in chunks."""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan._kinds import is_dict, is_list
from promptspan._readers import assembler_for, read_response
from promptspan._reading import Usage


def as_object(value: Any) -> Any:
    if is_dict(value):
        return SimpleNamespace(**{key: as_object(item) for key, item in value.items()})
    return [as_object(item) for item in value] if is_list(value) else value


def assembled(chunks: list[Any]) -> Any:
    assembler = assembler_for(chunks[0])
    assert assembler is not None
    for chunk in chunks:
        assembler.add(chunk)
    return assembler.reading()


COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-5",
    "service_tier": "flex",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at": 1}'},
                    }
                ],
            },
        }
    ],
    "usage": {
        "prompt_tokens": 2000,
        "completion_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 7, "cache_write_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 3},
    },
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5-2025-08-07",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Four."}]},
    ],
    "usage": {
        "input_tokens": 120,
        "input_tokens_details": {"cached_tokens": 20},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 32},
    },
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-8",
    "content": [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Four."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 50,
        "service_tier": "priority",
        "output_tokens_details": {"thinking_tokens": 30},
    },
}


@pytest.mark.parametrize("form", [dict, as_object])
def test_a_chat_completion_is_read_in_all_its_parts(form: Any) -> None:
    reading = read_response(form(COMPLETION))
    assert reading is not None
    assert reading.usage == Usage(
        input_tokens=2000,
        output_tokens=300,
        cache_read_tokens=1024,
        cache_write_tokens=64,
        reasoning_tokens=192,
        audio_input_tokens=7,
        audio_output_tokens=3,
    )
    assert (reading.operation, reading.provider, reading.model) == ("chat", "openai", "gpt-5")
    assert (reading.response_id, reading.finish_reasons) == ("chatcmpl-1", ("tool_calls",))
    assert reading.service_tier == "flex"
    assert reading.text == "Let me look."
    call = {"type": "tool_call", "id": "call_1", "name": "look", "arguments": '{"at": 1}'}
    assert reading.output[0].parts[1] == call


@pytest.mark.parametrize("form", [dict, as_object])
def test_a_response_is_read_in_all_its_parts(form: Any) -> None:
    reading = read_response(form(RESPONSE))
    assert reading is not None
    assert reading.usage == Usage(
        input_tokens=120, output_tokens=40, cache_read_tokens=20, reasoning_tokens=32
    )
    assert (reading.shape, reading.finish_reasons, reading.text) == ("responses", ("stop",), "Four.")


@pytest.mark.parametrize("form", [dict, as_object])
def test_a_messages_exclusive_counts_become_inclusive(form: Any) -> None:
    reading = read_response(form(MESSAGE))
    assert reading is not None
    assert reading.usage == Usage(
        input_tokens=1310,
        output_tokens=50,
        cache_read_tokens=1000,
        cache_write_tokens=300,
        cache_write_1h_tokens=200,
        reasoning_tokens=30,
    )
    assert (reading.provider, reading.finish_reasons) == ("anthropic", ("tool_use",))
    assert reading.service_tier == "priority"
    assert reading.text == "Four."


def test_a_refusal_is_the_providers_own_word() -> None:
    refused = json.loads(json.dumps(COMPLETION))
    refused["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I will not."}
    assert getattr(read_response(refused), "refused", None) is True
    assert getattr(read_response(MESSAGE | {"stop_reason": "refusal"}), "refused", None) is True
    content = [{"type": "refusal", "refusal": "I will not."}]
    output = [{"type": "message", "content": content}]
    assert getattr(read_response(RESPONSE | {"output": output}), "refused", None) is True


def test_a_content_filter_is_seen_in_azures_results_and_in_the_finish_reason() -> None:
    choice = COMPLETION["choices"][0]
    results = {"hate": {"filtered": False}, "violence": {"filtered": True, "severity": "high"}}
    filtered = COMPLETION | {"choices": [choice | {"content_filter_results": results}]}
    assert getattr(read_response(filtered), "filtered", None) is True
    finished = COMPLETION | {"choices": [choice | {"finish_reason": "content_filter"}]}
    assert getattr(read_response(finished), "filtered", None) is True


def test_the_cost_that_a_gateway_reports_is_kept_to_the_digit() -> None:
    usage = COMPLETION["usage"] | {"cost": 0.00014}
    reading = read_response(COMPLETION | {"usage": usage, "provider": "Fireworks"})
    assert reading is not None
    assert reading.reported_cost_usd == Decimal("0.00014")
    assert reading.provider == ""  # a gateway: the host decides


def test_embeddings_are_input_only() -> None:
    reading = read_response(
        {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "embedding": [0.1], "index": 0}],
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    )
    assert reading is not None
    assert reading.operation == "embeddings"
    assert reading.usage == Usage(input_tokens=8, output_tokens=0)


def test_a_streamed_tool_call_is_put_together_from_its_pieces() -> None:
    def piece(**delta: Any) -> dict[str, Any]:
        return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}

    head = {"index": 0, "id": "call_1", "function": {"name": "look", "arguments": ""}}
    more = [{"index": 0, "function": {"arguments": text}} for text in ('{"at"', ": 1}")]
    last: dict[str, Any] = {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}],
    }
    chunks = [piece(tool_calls=[head]), *(piece(tool_calls=[call]) for call in more), last]
    reading = assembled(chunks)
    assert reading.output[0].parts == (
        {"type": "tool_call", "id": "call_1", "name": "look", "arguments": '{"at": 1}'},
    )
    assert reading.complete


def test_a_streamed_message_takes_the_last_cumulative_counts() -> None:
    tool: dict[str, Any] = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    arguments = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    reading = assembled(
        [
            {
                "type": "message_start",
                "message": {
                    "id": "msg_1",
                    "model": "claude-opus-4-8",
                    "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Fo"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ur."}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "content_block_start",
                "index": 1,
                "content_block": tool,
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": arguments,
            },
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 25}},
            {"type": "message_stop"},
        ]
    )
    assert reading.usage == Usage(input_tokens=100, output_tokens=25, cache_read_tokens=90)
    assert reading.text == "Four."
    assert reading.output[0].parts[1]["arguments"] == '{"a":1}'
    assert reading.complete


def test_a_streamed_response_that_broke_off_keeps_its_words() -> None:
    reading = assembled(
        [
            {
                "type": "response.created",
                "response": {"id": "resp_1", "model": "gpt-5", "object": "response", "output": []},
            },
            {"type": "response.output_text.delta", "delta": "Fo"},
        ]
    )
    assert (reading.response_id, reading.text, reading.complete) == ("resp_1", "Fo", False)
    assert reading.usage is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input_tokens=5, output_tokens=2)),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(input_tokens=5, output_tokens=2)),
        (
            {"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 2},
            Usage(input_tokens=95, output_tokens=2, cache_read_tokens=90),
        ),
        (
            {"input_tokens": 95, "input_tokens_details": {"cached_tokens": 90}, "output_tokens": 2},
            Usage(input_tokens=95, output_tokens=2, cache_read_tokens=90),
        ),
    ],
)
def test_a_value_of_the_applications_own_with_usage_is_read(usage: Any, expected: Usage) -> None:
    for value in (
        {"text": "Four.", "model": "m", "usage": usage},
        as_object({"text": "Four.", "usage": usage}),
    ):
        reading = read_response(value)
        assert reading is not None
        assert (reading.usage, reading.text) == (expected, "Four.")


def test_a_response_beside_what_was_made_of_it_is_found() -> None:
    for value in (
        ("text", COMPLETION),
        {"answer": "text", "raw": COMPLETION},
        SimpleNamespace(text="text", response=COMPLETION),
    ):
        assert getattr(read_response(value), "response_id", None) == "chatcmpl-1"


NO_RESPONSES: list[Any] = [None, "text", 3, [], {}, object(), {"choices": []}, {"usage": None}, [[[]]]]


@pytest.mark.parametrize("value", NO_RESPONSES)
def test_what_is_no_response_is_nothing(value: Any) -> None:
    assert read_response(value) is None


@pytest.mark.parametrize("count", [-1, 1.5, "12", None, True, 2**60, float("nan")])
def test_a_count_that_cannot_be_one_is_unknown(count: Any) -> None:
    reading = read_response(COMPLETION | {"usage": {"prompt_tokens": count, "completion_tokens": 3}})
    assert reading is not None
    assert reading.usage == Usage(output_tokens=3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
FIELDS = [
    "id",
    "object",
    "type",
    "choices",
    "message",
    "delta",
    "usage",
    "content",
    "output",
    "model",
    "role",
]


@given(
    st.dictionaries(
        st.sampled_from(FIELDS), json_values | st.sampled_from(["chat.completion", "message", "response"])
    )
)
def test_no_malformed_response_raises(value: dict[str, Any]) -> None:
    read_response(value)
    assembler = assembler_for(value)
    if assembler is not None:
        assembler.add(value)
        assembler.reading()
