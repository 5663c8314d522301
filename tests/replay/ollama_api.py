"""The JSON of Ollama's own API: chat, generate and embed; streams are lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from promptspan_server.demo.recording import Recording

Json = dict[str, Any]
LINES = "application/x-ndjson"
_NS_PER_MS = 1_000_000


def answered(recording: Recording, *, generate: bool) -> Json:
    return _piece(recording, recording.answer, generate=generate) | _end(recording)


def answered_lines(recording: Recording, *, generate: bool) -> Iterator[bytes]:
    for piece in pieces(recording.answer):
        yield json.dumps(_piece(recording, piece, generate=generate) | {"done": False}).encode() + b"\n"
    yield json.dumps(_piece(recording, "", generate=generate) | _end(recording)).encode() + b"\n"


def embedded(texts: Sequence[str], *, model: str, input_tokens: int) -> Json:
    vectors = [[(len(text) % 7) / 7.0, 0.5] for text in texts]
    return {
        "model": model,
        "embeddings": vectors,
        "total_duration": 14 * _NS_PER_MS,
        "load_duration": _NS_PER_MS,
        "prompt_eval_count": input_tokens,
    }


def _piece(recording: Recording, text: str, *, generate: bool) -> Json:
    said: Json = {"response": text} if generate else {"message": {"role": "assistant", "content": text}}
    return {"model": recording.response_model, "created_at": "2026-11-25T12:00:00.000000Z"} | said


def _end(recording: Recording) -> Json:
    return {
        "done": True,
        "done_reason": recording.finish_reason,
        "total_duration": int(recording.latency_ms * _NS_PER_MS),
        "load_duration": 3 * _NS_PER_MS,
        "prompt_eval_count": recording.usage.input_tokens,
        "prompt_eval_duration": 5 * _NS_PER_MS,
        "eval_count": recording.usage.output_tokens,
        "eval_duration": 7 * _NS_PER_MS,
    }
