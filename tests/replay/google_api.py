"""The JSON of Google's generateContent and streamGenerateContent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.demo.recording import RecordedUsage, Recording

Json = dict[str, Any]


def generated(recording: Recording, *, response_id: str) -> Json:
    return _response(recording, response_id, recording.answer, recording.finish_reason) | {
        "usageMetadata": usage(recording.usage)
    }


def generated_pieces(recording: Recording, *, response_id: str) -> Iterator[Json]:
    """Each piece has the counts so far; only the last has them all."""
    said = pieces(recording.answer)
    whole = usage(recording.usage)
    for number, piece in enumerate(said[:-1]):
        so_far = {"promptTokenCount": whole["promptTokenCount"], "totalTokenCount": whole["promptTokenCount"]}
        if number:
            so_far["candidatesTokenCount"] = number
        yield _response(recording, response_id, piece, None) | {"usageMetadata": so_far}
    yield _response(recording, response_id, said[-1], recording.finish_reason) | {"usageMetadata": whole}


def usage(recorded: RecordedUsage) -> Json:
    """The candidates' tokens are without the thoughts, the prompt's contain what the cache gave."""
    modalities = [{"modality": "TEXT", "tokenCount": recorded.input_tokens - recorded.audio_input_tokens}]
    if recorded.audio_input_tokens:
        modalities.append({"modality": "AUDIO", "tokenCount": recorded.audio_input_tokens})
    counts: Json = {
        "promptTokenCount": recorded.input_tokens,
        "candidatesTokenCount": recorded.output_tokens - recorded.reasoning_tokens,
        "totalTokenCount": recorded.input_tokens + recorded.output_tokens,
        "promptTokensDetails": modalities,
    }
    if recorded.cache_read_tokens:
        counts["cachedContentTokenCount"] = recorded.cache_read_tokens
    if recorded.reasoning_tokens:
        counts["thoughtsTokenCount"] = recorded.reasoning_tokens
    if recorded.audio_output_tokens:
        counts["candidatesTokensDetails"] = [
            {"modality": "AUDIO", "tokenCount": recorded.audio_output_tokens}
        ]
    return counts


def _response(recording: Recording, response_id: str, text: str, finish_reason: str | None) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {
        "candidates": [candidate],
        "modelVersion": recording.response_model,
        "responseId": response_id,
    }
