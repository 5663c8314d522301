"""From a provider's response, whole or in chunks, to its facts; no provider's package is imported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from promptspan._kinds import type_of

from . import (
    _chat_completions,
    _cohere_chat,
    _converse,
    _embeddings,
    _generate_content,
    _invoke_model,
    _langchain,
    _messages,
    _ollama,
    _responses,
    _usage_beside,
)
from ._envelopes import TIER_OF_BATCHES, amazon_event, batch_result, inside, json_body
from ._fields import fields_of, get

if TYPE_CHECKING:
    from promptspan._reading import Reading


class _Whole(Protocol):
    @staticmethod
    def matches(response: Any) -> bool: ...
    @staticmethod
    def read(response: Any) -> Reading: ...


class Assembler(Protocol):
    """Takes chunks one after another and can say at any time what is known."""

    def add(self, chunk: Any) -> None:
        """Take the next chunk."""
        ...

    def reading(self) -> Reading:
        """What is known so far."""
        ...


# The frequent ones first; the last takes anything with usage beside it.
_WHOLE = cast(
    "tuple[_Whole, ...]",
    (
        _responses,
        _messages,
        _chat_completions,
        _langchain,
        _generate_content,
        _converse,
        _cohere_chat,
        _ollama,
        _embeddings,
        _invoke_model,
        _usage_beside,
    ),
)
_STREAMED = (
    _chat_completions,
    _messages,
    _responses,
    _langchain,
    _generate_content,
    _converse,
    _cohere_chat,
    _ollama,
    _invoke_model,
)
_SCALARS = (str, bytes, int, float)
# What a provider's class was read as before: its fields say which shape it has.
_shapes: dict[type[Any], _Whole] = {}
_MOST_CLASSES = 1_000


def read_response(value: Any) -> Reading | None:
    """The facts of ``value``, or of the one response inside a tuple, list, dictionary or object around it."""
    reading = _read_one(value)
    if reading is not None or value is None or issubclass(type(value), _SCALARS):
        return reading
    batched = _read_one(batch_result(value))
    if batched is not None:
        return replace(batched, service_tier=TIER_OF_BATCHES)
    for inner in inside(value):
        reading = _read_one(inner)
        if reading is not None:
            return reading
    return None


def _read_one(value: Any) -> Reading | None:
    if value is None or issubclass(type(value), _SCALARS):
        return None
    fields = fields_of(value)
    kind = type_of(value)
    known = _shapes.get(kind)
    if known is not None and known.matches(fields):
        return known.read(fields)
    for shape in _WHOLE:
        if shape.matches(fields):
            if hasattr(kind, "__pydantic_fields__") and len(_shapes) < _MOST_CLASSES:
                _shapes[kind] = shape
            return shape.read(fields)
    body = json_body(value)
    return None if body is None else _read_one(body)


def unwrapped(chunk: Any) -> Any:
    """The chunk in an event of a client's own: OpenAI's helper, Mistral's and Amazon's streams wrap each."""
    fields = fields_of(chunk)
    event = amazon_event(fields)
    if event is not None:
        return event
    inner = fields.get("chunk")
    if inner is not None:
        # Bedrock has a key of this name, too.
        return chunk if fields_of(inner).get("bytes") is not None else inner
    inner = fields.get("data")
    return chunk if inner is None or get(inner, "choices") is None else inner


def assembler_for(chunk: Any) -> Assembler | None:
    """What puts together the stream that ``chunk`` belongs to; ``None`` if it is of no known shape."""
    if chunk is None or issubclass(type(chunk), _SCALARS):
        return None
    fields = fields_of(chunk)
    return next((shape.Assembler() for shape in _STREAMED if shape.matches_chunk(fields)), None)


__all__ = ["Assembler", "assembler_for", "fields_of", "read_response", "unwrapped"]
