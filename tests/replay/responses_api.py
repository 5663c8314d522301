"""The JSON of OpenAI's responses and embeddings APIs."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING, Any

from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from promptspan_server.demo.recording import RecordedUsage, Recording

Json = dict[str, Any]


def response(recording: Recording, *, response_id: str, created: int) -> Json:
    cut = recording.finish_reason in {"length", "content_filter", "max_tokens"}
    reason = "content_filter" if recording.finish_reason == "content_filter" else "max_output_tokens"
    return _envelope(recording, response_id, created) | {
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": reason} if cut else None,
        "output": _output(recording, response_id),
        "usage": usage(recording.usage),
    }


def response_events(recording: Recording, *, response_id: str, created: int) -> Iterator[Json]:
    opening: Json = {
        **_envelope(recording, response_id, created),
        "status": "in_progress",
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    whole = response(recording, response_id=response_id, created=created)
    item = whole["output"][-1]
    index = len(whole["output"]) - 1
    part = item["content"][0]
    said = "refusal" if recording.refusal else "output_text"
    place: Json = {"item_id": item["id"], "output_index": index, "content_index": 0}
    final = "refusal" if recording.refusal else "text"
    empty: Json = {**part, final: ""}
    events: list[Json] = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
    ]
    for position, thought in enumerate(whole["output"][:-1]):
        events += [
            {"type": "response.output_item.added", "output_index": position, "item": thought},
            {"type": "response.output_item.done", "output_index": position, "item": thought},
        ]
    started: Json = {**item, "status": "in_progress", "content": []}
    events += [
        {"type": "response.output_item.added", "output_index": index, "item": started},
        {"type": "response.content_part.added", **place, "part": empty},
    ]
    logprobs: Json = {} if recording.refusal else {"logprobs": []}
    events += [
        {"type": f"response.{said}.delta", **place, "delta": piece, **logprobs}
        for piece in pieces(recording.answer)
    ]
    events += [
        {"type": f"response.{said}.done", **place, final: recording.answer, **logprobs},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": item},
        {"type": f"response.{whole['status']}", "response": whole},
    ]
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}


def usage(recorded: RecordedUsage) -> Json:
    return {
        "input_tokens": recorded.input_tokens,
        "input_tokens_details": {
            "cached_tokens": recorded.cache_read_tokens,
            "cache_write_tokens": recorded.cache_write_5m_tokens + recorded.cache_write_1h_tokens,
        },
        "output_tokens": recorded.output_tokens,
        "output_tokens_details": {"reasoning_tokens": recorded.reasoning_tokens},
        "total_tokens": recorded.input_tokens + recorded.output_tokens,
    }


def embeddings(texts: Sequence[str], *, model: str, input_tokens: int, encoding: str) -> Json:
    """Eight stable numbers a text stand for its vector."""
    vectors = [_vector(text) for text in texts]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _packed(vector) if encoding == "base64" else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    used = {"prompt_tokens": input_tokens, "total_tokens": input_tokens}
    return {"object": "list", "data": data, "model": model, "usage": used}


def _vector(text: str) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [(byte - 127.5) / 127.5 for byte in digest[:8]]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _output(recording: Recording, response_id: str) -> list[Json]:
    suffix = response_id.removeprefix("resp_")
    if recording.refusal:
        content: Json = {"type": "refusal", "refusal": recording.answer}
    else:
        content = {"type": "output_text", "text": recording.answer, "annotations": [], "logprobs": []}
    message: Json = {
        "id": f"msg_{suffix}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }
    thought: Json = {"id": f"rs_{suffix}", "type": "reasoning", "summary": []}
    return [thought, message] if recording.usage.reasoning_tokens else [message]


def _envelope(recording: Recording, response_id: str, created: int) -> Json:
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "model": recording.response_model,
        "error": None,
        "instructions": recording.system or None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }
