"""The JSON of OpenAI's chat completions API, whole and in chunks, for a recorded call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.demo.recording import RecordedUsage, Recording

Json = dict[str, Any]


def completion(recording: Recording, *, response_id: str, created: int) -> Json:
    """Answer as ``POST /v1/chat/completions`` does without ``stream``.

    Args:
        recording: The call to answer with.
        response_id: Id of the response, ``chatcmpl-...``.
        created: Seconds since the epoch.

    Returns:
        The body of the response.
    """
    message: Json = {"role": "assistant", "content": recording.answer, "refusal": None, "annotations": []}
    if recording.refusal:
        message |= {"content": None, "refusal": recording.answer}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": recording.finish_reason}
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": recording.response_model,
        "choices": [choice],
        "usage": usage(recording.usage),
        "service_tier": "default",
        "system_fingerprint": "fp_5b1e4a9c02",
    }


def completion_chunks(
    recording: Recording, *, response_id: str, created: int, include_usage: bool
) -> Iterator[Json]:
    """Answer as ``POST /v1/chat/completions`` does with ``stream``.

    Args:
        recording: The call to answer with.
        response_id: Id of the response, ``chatcmpl-...``.
        created: Seconds since the epoch.
        include_usage: ``stream_options.include_usage`` of the request; without it no chunk has usage.

    Yields:
        The data of one event each.
    """
    head: Json = {
        "id": response_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": recording.response_model,
        "service_tier": "default",
        "system_fingerprint": "fp_5b1e4a9c02",
    }

    def chunk(delta: Json, finish_reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return head | {"choices": [choice]} | ({"usage": None} if include_usage else {})

    yield chunk({"role": "assistant", "content": "", "refusal": None}, None)
    said = "refusal" if recording.refusal else "content"
    for piece in pieces(recording.answer):
        yield chunk({said: piece}, None)
    yield chunk({}, recording.finish_reason)
    if include_usage:
        yield head | {"choices": [], "usage": usage(recording.usage)}


def usage(recorded: RecordedUsage) -> Json:
    """Write usage as chat completions do: inclusive, with the details beside the totals.

    Args:
        recorded: What was billed.

    Returns:
        The ``usage`` object.
    """
    prompt_details: Json = {
        "cached_tokens": recorded.cache_read_tokens,
        "audio_tokens": recorded.audio_input_tokens,
    }
    written = recorded.cache_write_5m_tokens + recorded.cache_write_1h_tokens
    if written:
        prompt_details["cache_write_tokens"] = written
    return {
        "prompt_tokens": recorded.input_tokens,
        "completion_tokens": recorded.output_tokens,
        "total_tokens": recorded.input_tokens + recorded.output_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": recorded.reasoning_tokens,
            "audio_tokens": recorded.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
