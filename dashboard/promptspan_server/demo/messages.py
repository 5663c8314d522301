"""The JSON of Anthropic's messages API, whole and as events, for a recorded call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.demo.recording import RecordedUsage, Recording

Json = dict[str, Any]


def message(recording: Recording, *, response_id: str) -> Json:
    """Answer as ``POST /v1/messages`` does without ``stream``.

    Args:
        recording: The call to answer with.
        response_id: Id of the message, ``msg_...``.

    Returns:
        The body of the response.
    """
    return _envelope(recording, response_id) | {
        "content": [{"type": "text", "text": recording.answer}],
        "stop_reason": recording.finish_reason,
        "usage": usage(recording.usage),
    }


def message_events(recording: Recording, *, response_id: str) -> Iterator[Json]:
    """Answer as ``POST /v1/messages`` does with ``stream``.

    The first event carries the input's usage and one token of output, the last but one all of both again: a
    reader that adds them up counts too much.

    Args:
        recording: The call to answer with.
        response_id: Id of the message, ``msg_...``.

    Yields:
        The data of one event each; its ``type`` is the event's name.
    """
    opening = usage(recording.usage) | {"output_tokens": 1}
    yield {"type": "message_start", "message": _envelope(recording, response_id) | {"usage": opening}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for piece in pieces(recording.answer):
        delta = {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": recording.finish_reason, "stop_sequence": None},
        "usage": {
            name: count
            for name, count in usage(recording.usage).items()
            if name not in ("cache_creation", "service_tier")
        },
    }
    yield {"type": "message_stop"}


def usage(recorded: RecordedUsage) -> Json:
    """Write usage as the messages API does: ``input_tokens`` leaves the cache out.

    Args:
        recorded: What was billed.

    Returns:
        The ``usage`` object.
    """
    return {
        "input_tokens": recorded.uncached_tokens,
        "cache_read_input_tokens": recorded.cache_read_tokens,
        "cache_creation_input_tokens": recorded.cache_write_5m_tokens + recorded.cache_write_1h_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": recorded.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": recorded.cache_write_1h_tokens,
        },
        "output_tokens": recorded.output_tokens,
        "service_tier": "standard",
    }


def _envelope(recording: Recording, response_id: str) -> Json:
    return {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": recording.response_model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
