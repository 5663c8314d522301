"""Reading fields of objects and dictionaries alike, and taking only values of the expected type."""

from __future__ import annotations

import enum
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from promptspan._kinds import is_dict, is_list, is_text, listed, mapped, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TOKENS = 2**53
_LITELLM = "_hidden_params"
_MAX_USD = 10**9


def get(source: Any, *path: str) -> Any:
    """The value at ``path``, through keys or attributes; ``None`` where it breaks off."""
    for name in path:
        if source is None or type(source) is str:
            return None
        source = fields_of(source).get(name)
    return source


class _Attributes:
    """An object that keeps its fields in no dictionary, in the form of one."""

    __slots__ = ("_source",)

    def __init__(self, source: Any) -> None:
        self._source = source

    def get(self, name: str) -> Any:
        try:
            return getattr(self._source, name, None)
        except Exception:  # noqa: BLE001  # a property of somebody else's
            return None


def fields_of(source: Any) -> Any:
    """What has ``get(name)`` for the fields of ``source``; nothing has none.

    pydantic models are asked for their own dictionary: a field that they do not have costs them an exception.
    """
    kind = type_of(source)
    if kind is dict:
        return source
    way = _ways.get(kind)
    if way is None:
        if len(_ways) >= _MOST_KINDS:  # an application that makes classes as it goes
            _ways.clear()
        way = _ways[kind] = _way_into(source)
    return way(source)


def _way_into(source: Any) -> Callable[[Any], Any]:
    if source is None:
        return _nothing
    if type_of(source) is _Attributes:
        return _itself
    if is_dict(source):
        return mapped
    return _of_pydantic if hasattr(type_of(source), "__pydantic_fields__") else _Attributes


def _nothing(_: None) -> dict[str, Any]:
    return {}


def _itself(source: Any) -> Any:
    return source


def _of_pydantic(source: Any) -> Any:
    fields: Any = getattr(source, "__dict__", None)
    if not is_dict(fields):
        return _Attributes(source)
    # What a model does not declare (a gateway's extra fields), and LiteLLM's facts about the call.
    extra: Any = getattr(source, "__pydantic_extra__", None)
    private: Any = getattr(source, "__pydantic_private__", None)
    if extra and is_dict(extra):
        fields = {**extra, **fields}
    return (
        {**fields, _LITELLM: private[_LITELLM]}
        if private and is_dict(private) and _LITELLM in private
        else fields
    )


_ways: dict[type[Any], Callable[[Any], Any]] = {}
_MOST_KINDS = 1_000


def text(source: Any, *path: str) -> str | None:
    """The string at ``path``; an enumeration gives its value; ``None`` for anything else and for nothing."""
    return as_text(get(source, *path))


def as_text(value: Any) -> str | None:
    """``value`` if it is a string with something in it, or an enumeration of such."""
    if value is None or type(value) is str:
        return value or None
    if issubclass(type(value), enum.Enum):
        value = value._value_  # the property may be overridden
    return (str.__str__(value) or None) if is_text(value) else None


def count(source: Any, *path: str) -> int | None:
    """The token count at ``path``; ``None`` for what cannot be one (negative, huge, not a number)."""
    return as_count(get(source, *path))


def as_count(value: Any) -> int | None:
    """``value`` if it can be a count of tokens."""
    if type(value) is int:
        return value if 0 <= value < _MAX_TOKENS else None
    kind = type_of(value)
    if value is None or kind is bool:
        return None
    if issubclass(kind, float):
        value = float.__float__(value)
        return as_count(int(value)) if value.is_integer() else None
    if not issubclass(kind, int):
        return None
    whole = int.__index__(value)
    return whole if 0 <= whole < _MAX_TOKENS else None


def number(source: Any, *path: str) -> float | None:
    """The number at ``path``: finite, of a size that is one of something."""
    value = get(source, *path)
    if type(value) is not int and type(value) is not float:
        return None
    return float(value) if abs(value) < _MAX_TOKENS else None


def items(source: Any, *path: str) -> list[Any]:
    """The list at ``path``, empty for anything else."""
    value = get(source, *path)
    return listed(value) if value is not None and is_list(value) else []


def money(source: Any, *path: str) -> Decimal | None:
    """The non-negative amount at ``path``, exact in the digits that the provider sent."""
    value = get(source, *path)
    kind = type_of(value)
    if kind is bool or not issubclass(kind, (int, float, str, Decimal)):
        return None
    if issubclass(kind, str):
        value = str.__str__(value)
    elif issubclass(kind, float):
        value = repr(float.__float__(value))
    elif issubclass(kind, int):
        value = int.__index__(value)
    try:
        amount = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and 0 <= amount < _MAX_USD else None


def texts(source: Any, *path: str) -> str:
    """All text at ``path``: a string, or a list of strings and of parts with a ``text``."""
    value = get(source, *path)
    if is_text(value):
        return str.__str__(value)
    return "".join(
        str.__str__(item) if is_text(item) else text(item, "text") or "" for item in items(source, *path)
    )


def total(*counts: int | None) -> int | None:
    """The sum of the known counts; ``None`` if none is known."""
    known = [n for n in counts if n is not None]
    return sum(known) if known else None


def text_part(content: str) -> dict[str, Any]:
    """A text in the parts of the GenAI conventions."""
    return {"type": "text", "content": content}


def tool_call_part(call_id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    """A tool call in the parts of the GenAI conventions."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
