"""How Google, Bedrock, Ollama, Cohere, Mistral and Groq say an answer and its usage."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

from schema.capturing import replies as say

if TYPE_CHECKING:
    from schema.capturing.replies import Json, Reply

_GEMINI_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_CONVERSE_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "guardrail_intervened",
}
_COHERE_REASONS = {"stop": "COMPLETE", "tool_calls": "TOOL_CALL", "length": "MAX_TOKENS"}


def gemini(reply: Reply, response_id: str, piece: str | None = None, *, last: bool = True) -> Json:
    """A body of generateContent, or of a piece of its stream; only the last has a finish reason.

    Thoughts are counted beside the candidates' tokens, cached ones within the prompt's.
    """
    part: Json = {"text": reply.text if piece is None else piece}
    if reply.tool:
        part = {"functionCall": {"name": reply.tool, "args": json.loads(reply.tool_arguments)}}
    candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0}
    used: Json = {
        "promptTokenCount": reply.input,
        "candidatesTokenCount": reply.output - reply.reasoning,
        "totalTokenCount": reply.input + reply.output,
    }
    if reply.cache_read:
        used["cachedContentTokenCount"] = reply.cache_read
    if reply.reasoning:
        used["thoughtsTokenCount"] = reply.reasoning
    body: Json = {"candidates": [candidate], "modelVersion": reply.model, "responseId": response_id}
    if last:
        candidate["finishReason"] = _GEMINI_REASONS[reply.finish]
        if reply.tells_usage:
            body["usageMetadata"] = used
    return body


def gemini_chunks(reply: Reply, response_id: str) -> list[Json]:
    pieces = [""] if reply.tool else reply.pieces
    return [
        gemini(reply, response_id, piece, last=number == len(pieces))
        for number, piece in enumerate(pieces, 1)
    ]


def converse_usage(reply: Reply) -> Json:
    """Cache reads and writes are beside the input, as Anthropic's."""
    used: Json = {
        "inputTokens": reply.input - reply.cache_read - reply.write_5m,
        "outputTokens": reply.output,
        "totalTokens": reply.input + reply.output,
    }
    if reply.cache_read or reply.write_5m:
        used |= {"cacheReadInputTokens": reply.cache_read, "cacheWriteInputTokens": reply.write_5m}
    return used


def converse(reply: Reply) -> Json:
    block: Json = {"text": reply.text}
    if reply.tool:
        block = {
            "toolUse": {"toolUseId": "t1", "name": reply.tool, "input": json.loads(reply.tool_arguments)}
        }
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": _CONVERSE_REASONS[reply.finish],
        "usage": converse_usage(reply),
        "metrics": {"latencyMs": 12},
    }


def converse_events(reply: Reply) -> list[bytes]:
    events: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
    events += [
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in reply.pieces
    ]
    events += [
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": _CONVERSE_REASONS[reply.finish]}),
        ("metadata", {"usage": converse_usage(reply), "metrics": {"latencyMs": 12}}),
    ]
    return [_aws_event(kind, body) for kind, body in events]


def _aws_event(kind: str, body: Json) -> bytes:
    """A message of `application/vnd.amazon.eventstream`: lengths, CRC, headers, payload, CRC."""
    headers = b"".join(
        struct.pack("!B", len(name)) + name + b"\x07" + struct.pack("!H", len(value)) + value
        for name, value in (
            (b":event-type", kind.encode()),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    payload = json.dumps(body).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def ollama(reply: Reply, piece: str | None = None, *, last: bool = True) -> Json:
    message: Json = {"role": "assistant", "content": reply.text if piece is None else piece}
    if reply.tool:
        message = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": reply.tool, "arguments": json.loads(reply.tool_arguments)}}],
        }
    body: Json = {
        "model": reply.model,
        "created_at": "2025-10-09T08:53:20Z",
        "message": message,
        "done": last,
    }
    if last:
        body |= {
            "done_reason": "length" if reply.finish == "length" else "stop",
            "total_duration": 5_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": reply.input,
            "prompt_eval_duration": 1_000_000,
            "eval_count": reply.output,
            "eval_duration": 3_000_000,
        }
    return body


def ollama_chunks(reply: Reply) -> list[Json]:
    return [*(ollama(reply, piece, last=False) for piece in reply.pieces), ollama(reply, "")]


def cohere_usage(reply: Reply) -> Json:
    counts: Json = {"input_tokens": reply.input, "output_tokens": reply.output}
    return {"billed_units": counts, "tokens": counts}


def cohere(reply: Reply, response_id: str) -> Json:
    message: Json = {"role": "assistant", "content": [{"type": "text", "text": reply.text}]}
    if reply.tool:
        function: Json = {"name": reply.tool, "arguments": reply.tool_arguments}
        message = {
            "role": "assistant",
            "tool_calls": [{"id": "t1", "type": "function", "function": function}],
        }
    return {
        "id": response_id,
        "finish_reason": _COHERE_REASONS[reply.finish],
        "message": message,
        "usage": cohere_usage(reply),
    }


def cohere_events(reply: Reply, response_id: str) -> list[Json]:
    opening: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    return [
        {"type": "message-start", "id": response_id, "delta": {"message": opening}},
        {
            "type": "content-start",
            "index": 0,
            "delta": {"message": {"content": {"type": "text", "text": ""}}},
        },
        *(
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
            for piece in reply.pieces
        ),
        {"type": "content-end", "index": 0},
        {
            "type": "message-end",
            "id": response_id,
            "delta": {"finish_reason": _COHERE_REASONS[reply.finish], "usage": cohere_usage(reply)},
        },
    ]


def chat_chunks(reply: Reply, response_id: str, *, usage_in: str = "") -> list[Json]:
    """OpenAI's chunks; usage comes unasked, in the last of them: as it is, or within a field of its own."""
    chunks = say.chat_chunks(reply, response_id, include_usage=False)
    used = {"usage": say.chat_usage(reply)}
    chunks[-1] |= {usage_in: {"id": "req_1"} | used} if usage_in else used
    return chunks
