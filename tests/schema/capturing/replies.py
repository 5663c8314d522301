"""What the double answers and bills, and how each API says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_ANTHROPIC_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. Counts are tokens, inclusive.

    `input` contains cache reads, writes and audio; `output` contains reasoning and audio.
    """

    model: str = "gpt-4o-mini-2024-07-18"
    input: int = 120
    output: int = 45
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    finish: str = "stop"
    text: str = "The capital of France is Paris."
    tool: str = ""
    tool_arguments: str = '{"city": "Paris"}'
    refusal: bool = False
    tier: str = ""
    cost_usd: float | None = None
    status: int = 200
    code: str = ""
    choices: int = 1
    tells_usage: bool = True
    break_after: int | None = None
    """Events after which the connection is cut."""
    pace_s: float = 0.0
    """Pause before each event of a stream."""

    @property
    def pieces(self) -> list[str]:
        return [word + " " for word in self.text.split()]


def chat_usage(reply: Reply) -> Json:
    used: Json = {
        "prompt_tokens": reply.input,
        "completion_tokens": reply.output,
        "total_tokens": reply.input + reply.output,
        "prompt_tokens_details": {"cached_tokens": reply.cache_read, "audio_tokens": reply.audio_in},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning,
            "audio_tokens": reply.audio_out,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    return used if reply.cost_usd is None else used | {"cost": reply.cost_usd}


def chat_completion(reply: Reply, response_id: str) -> Json:
    message: Json = {
        "role": "assistant",
        "content": None if reply.tool or reply.refusal else reply.text,
        "refusal": None,
    }
    if reply.refusal:
        message["refusal"] = reply.text
    if reply.tool:
        message["tool_calls"] = [
            {
                "id": f"call_{response_id[-6:]}",
                "type": "function",
                "function": {"name": reply.tool, "arguments": reply.tool_arguments},
            }
        ]
    body: Json = {
        "id": response_id,
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": reply.model,
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": reply.finish}
            for index in range(reply.choices)
        ],
        "system_fingerprint": "fp_1",
    }
    if reply.tells_usage:
        body["usage"] = chat_usage(reply)
    if reply.tier:
        body["service_tier"] = reply.tier
    return body


def chat_chunks(reply: Reply, response_id: str, *, include_usage: bool) -> list[Json]:
    head: Json = {
        "id": response_id,
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": reply.model,
        "system_fingerprint": "fp_1",
    }
    if reply.tier:
        head["service_tier"] = reply.tier

    def chunk(delta: Json, finish: str | None = None) -> Json:
        return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    found = [chunk({"role": "assistant", "content": "" if not reply.tool else None})]
    if reply.tool:
        call: Json = {"index": 0, "id": f"call_{response_id[-6:]}", "type": "function"}
        found += [
            chunk({"tool_calls": [call | {"function": {"name": reply.tool, "arguments": ""}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": reply.tool_arguments}}]}),
        ]
    else:
        found += [chunk({"content": piece}) for piece in reply.pieces]
    found.append(chunk({}, reply.finish))
    if include_usage and reply.tells_usage:
        found.append(head | {"choices": [], "usage": chat_usage(reply)})
    return found


def text_completion(reply: Reply, response_id: str) -> Json:
    return {
        "id": response_id,
        "object": "text_completion",
        "created": 1_760_000_000,
        "model": reply.model,
        "choices": [{"index": 0, "text": reply.text, "logprobs": None, "finish_reason": reply.finish}],
        "usage": {
            "prompt_tokens": reply.input,
            "completion_tokens": reply.output,
            "total_tokens": reply.input + reply.output,
        },
    }


def response_usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.input,
        "input_tokens_details": {"cached_tokens": reply.cache_read, "cache_write_tokens": 0},
        "output_tokens": reply.output,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning},
        "total_tokens": reply.input + reply.output,
    }


def response(reply: Reply, response_id: str) -> Json:
    cut = reply.finish in {"length", "content_filter"}
    reason = "content_filter" if reply.finish == "content_filter" else "max_output_tokens"
    output: list[Json] = [{"id": "rs_1", "type": "reasoning", "summary": []}] if reply.reasoning else []
    if reply.tool:
        output.append(
            {
                "id": "fc_1",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{response_id[-6:]}",
                "name": reply.tool,
                "arguments": reply.tool_arguments,
            }
        )
    else:
        content: Json = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        output.append(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "incomplete" if cut else "completed",
                "content": [content],
            }
        )
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1_760_000_000,
        "model": reply.model,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": reason} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": reply.tier or "default",
        "usage": response_usage(reply) if reply.tells_usage else None,
    }


def response_events(reply: Reply, response_id: str) -> list[Json]:
    whole = response(reply, response_id)
    opening: Json = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[Json] = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
    ]
    for index, item in enumerate(whole["output"]):
        events.append(
            {
                "type": "response.output_item.added",
                "output_index": index,
                "item": item | {"status": "in_progress"},
            }
        )
        if item["type"] == "message":
            place: Json = {"item_id": item["id"], "output_index": index, "content_index": 0}
            events.append(
                {"type": "response.content_part.added", **place, "part": item["content"][0] | {"text": ""}}
            )
            events += [
                {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
                for piece in reply.pieces
            ]
            events.append({"type": "response.output_text.done", **place, "text": reply.text, "logprobs": []})
            events.append({"type": "response.content_part.done", **place, "part": item["content"][0]})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def embeddings(reply: Reply, count: int, encoding: str) -> Json:
    vector: Any = "AACAPwAAAEAAAEBA" if encoding == "base64" else [1.0, 2.0, 3.0]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)],
        "model": reply.model,
        "usage": {"prompt_tokens": reply.input, "total_tokens": reply.input},
    }


def message_usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.input - reply.cache_read - reply.write_5m - reply.write_1h,
        "cache_read_input_tokens": reply.cache_read,
        "cache_creation_input_tokens": reply.write_5m + reply.write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": reply.write_5m,
            "ephemeral_1h_input_tokens": reply.write_1h,
        },
        "output_tokens": reply.output,
        "service_tier": reply.tier or "standard",
    }


def message(reply: Reply, response_id: str) -> Json:
    content: list[Json] = []
    if reply.reasoning:
        content.append({"type": "thinking", "thinking": "France has a capital.", "signature": "c2ln"})
    if reply.tool:
        content.append(
            {
                "type": "tool_use",
                "id": f"toolu_{response_id[-6:]}",
                "name": reply.tool,
                "input": {"city": "Paris"},
            }
        )
    else:
        content.append({"type": "text", "text": reply.text})
    return {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": _ANTHROPIC_REASONS[reply.finish],
        "stop_sequence": None,
        "usage": message_usage(reply),
    }


def message_events(reply: Reply, response_id: str) -> list[Json]:
    whole = message(reply, response_id)
    used = whole["usage"]
    start: Json = whole | {"content": [], "stop_reason": None, "usage": used | {"output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        empty = block | ({"input": {}} if kind == "tool_use" else {kind: ""})
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
        if kind == "tool_use":
            deltas = [{"type": "input_json_delta", "partial_json": reply.tool_arguments}]
        elif kind == "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": "c2ln"},
            ]
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {
                name: used[name]
                for name in (
                    "input_tokens",
                    "cache_read_input_tokens",
                    "cache_creation_input_tokens",
                    "output_tokens",
                )
            },
        }
    )
    events.append({"type": "message_stop"})
    return events


def failure(reply: Reply, api: str) -> Json:
    if api == "messages":
        kind = {
            429: "rate_limit_error",
            529: "overloaded_error",
            400: "invalid_request_error",
            401: "authentication_error",
        }.get(reply.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "req_1"}
    code = {429: "rate_limit_exceeded", 400: "context_length_exceeded", 401: "invalid_api_key"}.get(
        reply.status
    )
    return {"error": {"message": "No.", "type": "error", "param": None, "code": reply.code or code}}
