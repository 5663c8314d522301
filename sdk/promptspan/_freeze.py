"""A snapshot of what the caller may change before the background thread reads it.

Strings and numbers are shared, since nobody can change them; containers, pydantic models and dataclasses are
copied, down to a bound. So a snapshot of a conversation costs as much as it has messages, however long they
are.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from ._kinds import MOST_ITEMS, dataclass_fields, is_dict, is_list, listed, mapped, type_of

# What nobody can change.
LEAVES = frozenset({str, int, float, bool, bytes, type(None)})
_NUMBERS = frozenset({int, float, bool, type(None), None})
_MAX_NODES = 4_000
_MAX_DEPTH = 12
_MOST_MODELS = 1_000
_LITELLM_FACTS = ("custom_llm_provider", "litellm_model_name", "provider_response_model")
_SIZE_OF_NODE = 64

# Of pydantic's models: the fields that may hold a text, or anything that can change.
_wordy: dict[type[Any], tuple[str, ...]] = {}


class Snapshot:
    """One snapshot being taken.

    Args:
        texts_only: Leave out objects that are never looked into, so that the application's are let go when
            the call ends.

    Attributes:
        size_bytes: A guess of the memory that it keeps alive.
    """

    __slots__ = ("_left", "_texts_only", "size_bytes")

    def __init__(self, *, texts_only: bool = False) -> None:
        self._texts_only = texts_only
        self._left = _MAX_NODES
        self.size_bytes = 0

    def take(self, value: Any, depth: int = 0) -> Any:
        """Copy ``value`` as far as it can change; what is beyond the bounds is left out (``None``)."""
        kind = type_of(value)
        if kind in LEAVES:
            if kind is str:
                self.size_bytes += len(value)
            return value
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            return None
        if kind is list or kind is tuple:
            return self._items(listed(value), depth)
        if kind in _wordy:
            return self._model(value, kind, depth)
        if kind is dict:
            return self._inside(mapped(value), depth)
        if hasattr(kind, "__pydantic_fields__"):
            return self._model(value, kind, depth)
        if hasattr(kind, "__dataclass_fields__"):
            return self._inside(_dataclass_fields(value, kind), depth)
        if is_dict(value):  # of a class of its own
            return self._inside(mapped(value), depth)
        if is_list(value):
            return self._items(listed(value), depth)
        # Anything else is kept as it is and never looked into: a client with its key is no content.
        return value if not self._texts_only or isinstance(value, type) else None

    def _items(self, items: list[Any], depth: int) -> Any:
        size = _SIZE_OF_NODE + 8 * len(items)
        if items and type_of(items[0]) is float:  # an embedding: long, and numbers all through
            self.size_bytes += size
            return items
        for index, item in enumerate(items):
            kind = type_of(item)
            if kind is str:
                size += len(item)
            elif kind is dict and self._left > 0 and depth < _MAX_DEPTH and len(item) <= MOST_ITEMS:
                self._left -= 1  # a message, as most of these are: without the way through take()
                items[index] = self._inside(item.copy(), depth + 1)
            elif kind not in LEAVES:
                items[index] = self.take(item, depth + 1)
        self.size_bytes += size
        return items

    def _inside(self, fields: dict[Any, Any], depth: int) -> dict[Any, Any]:
        """Replace the values of a fresh dictionary that can change."""
        size = _SIZE_OF_NODE
        for name, item in fields.items():
            kind = type_of(item)
            if kind is str:
                size += len(item)
            elif kind not in LEAVES:
                fields[name] = self.take(item, depth + 1)
        self.size_bytes += size
        return fields

    def _model(self, value: Any, kind: type[Any], depth: int) -> dict[Any, Any]:
        """The fields of one of pydantic's, those that can hold a text or change copied in turn."""
        extra = value.__pydantic_extra__
        if extra or value.__pydantic_private__:
            return self._inside(_pydantic_fields(value, extra), depth)
        fields: dict[Any, Any] = value.__dict__.copy()
        size = _SIZE_OF_NODE
        names = _wordy.get(kind)
        for name in _wordy_fields(kind) if names is None else names:
            item = fields.get(name)
            if item is None:
                continue
            if type_of(item) is str:
                size += len(item)
            else:
                fields[name] = self.take(item, depth + 1)
        self.size_bytes += size
        return fields


def _dataclass_fields(value: Any, kind: type[Any]) -> dict[Any, Any]:
    names = [name for name in dataclass_fields(kind) if name[:1] != "_"]
    # What the instance holds itself: an attribute that is loaded when it is asked for (an ORM's) stays alone.
    held = getattr(value, "__dict__", None)
    if held is None:  # slots
        return {name: getattr(value, name, None) for name in names}
    return {name: held[name] for name in names if name in held}


def _pydantic_fields(value: Any, extra: Any) -> dict[Any, Any]:
    fields: dict[Any, Any] = value.__dict__.copy()
    # What the model does not declare (a gateway's extra fields) is kept apart.
    if extra:
        fields = {**extra, **fields}
    # LiteLLM keeps whom it asked and who answered in a private field.
    private = value.__pydantic_private__
    if private and is_dict(hidden := private.get("_hidden_params")):
        fields["_hidden_params"] = {name: hidden.get(name) for name in _LITELLM_FACTS}
    return fields


def _wordy_fields(kind: type[Any]) -> tuple[str, ...]:
    """What to look at in each model of a class, worked out with its first one.

    Most fields of a response are counts, and words of which the provider has a few: they are no text of
    anybody's and cannot change, and reading them all would cost more than the rest of a call's path.
    """
    if len(_wordy) >= _MOST_MODELS:  # an application that makes classes as it goes
        _wordy.clear()
    declared: dict[str, Any] = kind.__pydantic_fields__
    _wordy[kind] = found = tuple(name for name, field in declared.items() if not _is_number(field.annotation))
    return found


def _is_number(annotation: Any) -> bool:
    """Whether a field declared so holds a number or one of a few words."""
    try:
        if annotation in _NUMBERS:
            return True
    except TypeError:  # ``list[Annotated[int, {...}]]`` has no hash
        return False
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return True
    if origin is typing.Union or origin is types.UnionType:
        return all(_is_number(each) for each in typing.get_args(annotation))
    return False


def frozen(value: Any) -> Any:
    """A snapshot of ``value``, see ``Snapshot.take``."""
    return Snapshot().take(value)
