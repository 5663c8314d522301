"""From a provider's response, whole or in chunks, to its facts; no provider's package is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from promptspan._kinds import dataclass_fields, is_dict, is_list, type_of

from . import _chat_completions, _embeddings, _messages, _responses, _usage_beside
from ._fields import fields_of, get

if TYPE_CHECKING:
    from collections.abc import Iterable

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


_WHOLE = cast("tuple[_Whole, ...]", (_responses, _messages, _chat_completions, _embeddings, _usage_beside))
_STREAMED = (_chat_completions, _messages, _responses)
# Where applications put a response beside what they made of it.
_INSIDE = ("response", "completion", "raw", "raw_response", "message", "result")
_MAX_ITEMS = 8


def read_response(value: Any) -> Reading | None:
    """The facts of ``value``, or of the one response inside a tuple, list, dictionary or object around it."""
    reading = _read_one(value)
    if reading is not None or value is None:
        return reading
    for inner in _inside(value):
        reading = _read_one(inner)
        if reading is not None:
            return reading
    return None


def _read_one(value: Any) -> Reading | None:
    if value is None or isinstance(value, (str, bytes, int, float)):
        return None
    for shape in _WHOLE:
        if shape.matches(value):
            return shape.read(value)
    return None


def _inside(value: Any) -> Iterable[Any]:
    if is_dict(value):
        return list(value.values())[:_MAX_ITEMS]
    if is_list(value):
        return list(value[:_MAX_ITEMS])
    if fields := dataclass_fields(type_of(value)):
        return [getattr(value, name, None) for name in fields[:_MAX_ITEMS]]
    return [inner for name in _INSIDE if (inner := get(value, name)) is not None]


def assembler_for(chunk: Any) -> Assembler | None:
    """What puts together the stream that ``chunk`` belongs to; ``None`` if it is of no known shape."""
    if chunk is None or isinstance(chunk, (str, bytes, int, float)):
        return None
    return next((shape.Assembler() for shape in _STREAMED if shape.matches_chunk(chunk)), None)


__all__ = ["Assembler", "assembler_for", "fields_of", "read_response"]
