"""The JSON of Cohere's chat API (v2), whole and as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.demo.recording import RecordedUsage, Recording

Json = dict[str, Any]
_UNBILLED_TOKENS = 71  # what Cohere puts around each prompt and does not bill


def chat(recording: Recording, *, response_id: str) -> Json:
    return {
        "id": response_id,
        "finish_reason": recording.finish_reason,
        "message": {"role": "assistant", "content": [{"type": "text", "text": recording.answer}]},
        "usage": usage(recording.usage),
    }


def chat_events(recording: Recording, *, response_id: str) -> Iterator[Json]:
    start: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"type": "message-start", "id": response_id, "delta": {"message": start}}
    opened = {"message": {"content": {"type": "text", "text": ""}}}
    yield {"type": "content-start", "index": 0, "delta": opened}
    for piece in pieces(recording.answer):
        yield {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
    yield {"type": "content-end", "index": 0}
    end = {"finish_reason": recording.finish_reason, "usage": usage(recording.usage)}
    yield {"type": "message-end", "id": response_id, "delta": end}


def usage(recorded: RecordedUsage) -> Json:
    return {
        "billed_units": {"input_tokens": recorded.input_tokens, "output_tokens": recorded.output_tokens},
        "tokens": {
            "input_tokens": recorded.input_tokens + _UNBILLED_TOKENS,
            "output_tokens": recorded.output_tokens + 2,
        },
        "cached_tokens": recorded.cache_read_tokens,
    }
