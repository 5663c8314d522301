"""A snapshot of what the caller may change before the background thread reads it.

Strings and numbers are shared, since nobody can change them; containers, pydantic models and dataclasses are
copied, down to a bound. So a snapshot of a conversation costs as much as it has messages, however long they
are.
"""

from __future__ import annotations

from typing import Any

from ._kinds import dataclass_fields, is_dict, is_list, type_of

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})
_MAX_NODES = 4_000
_MAX_DEPTH = 12
_SIZE_OF_NODE = 64


class Snapshot:
    """One snapshot being taken.

    Attributes:
        size_bytes: A guess of the memory that it keeps alive.
    """

    __slots__ = ("_left", "size_bytes")

    def __init__(self) -> None:
        self._left = _MAX_NODES
        self.size_bytes = 0

    def take(self, value: Any, depth: int = 0) -> Any:
        """Copy ``value`` as far as it can change; what is beyond the bounds is left out (``None``)."""
        kind = type_of(value)
        if kind in _LEAVES:
            self.size_bytes += len(value) if kind is str or kind is bytes else 8
            return value
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            return None
        self.size_bytes += _SIZE_OF_NODE
        if is_dict(value):
            return {key: self.take(item, depth + 1) for key, item in list(value.items())}
        if is_list(value):
            return [self.take(item, depth + 1) for item in list(value)]
        if hasattr(kind, "__pydantic_fields__") or hasattr(kind, "__dataclass_fields__"):
            return self._model(value, kind, depth)
        # Anything else is kept as it is and never looked into: a client with its key is no content.
        return value

    def _model(self, value: Any, kind: type[Any], depth: int) -> Any:
        fields = getattr(value, "__dict__", None)
        if not is_dict(fields):  # slots: no cheaper way to its fields than one by one
            fields = {name: getattr(value, name, None) for name in dataclass_fields(kind)}
        copied: dict[Any, Any] = {
            name: self.take(item, depth + 1) for name, item in list(fields.items()) if name[:1] != "_"
        }
        # pydantic keeps what its model does not declare (a gateway's extra fields) apart.
        extra = getattr(value, "__pydantic_extra__", None)
        if is_dict(extra):
            for name, item in list(extra.items()):
                copied.setdefault(name, self.take(item, depth + 1))
        # LiteLLM keeps the price that it was billed in a private field.
        hidden = getattr(value, "_hidden_params", None)
        if is_dict(hidden):
            copied["_hidden_params"] = {"response_cost": hidden.get("response_cost")}
        return copied


def frozen(value: Any) -> Any:
    """A snapshot of ``value``, see ``Snapshot.take``."""
    return Snapshot().take(value)
