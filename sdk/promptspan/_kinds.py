"""Asking for the kind of a duck-typed value in a way that type checkers follow.

By its type alone: ``isinstance`` asks the value for its ``__class__`` too, and a proxy answers with code of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeGuard

MOST_ITEMS = 10_000  # of one list or dictionary; more is no content, and would cost the caller milliseconds

_FIRST = slice(0, MOST_ITEMS)


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether it is a dictionary."""
    return issubclass(type(value), dict)


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string."""
    return issubclass(type(value), str)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list or tuple (read only)."""
    return issubclass(type(value), (list, tuple))


def listed(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    """A list of its own with the first items of a list or tuple; a subclass's own methods are not asked."""
    if type(value) is list and len(value) <= MOST_ITEMS:
        return value.copy()
    if isinstance(value, list):
        return list[Any].__getitem__(value, _FIRST)
    return list(tuple[Any, ...].__getitem__(value, _FIRST))


def mapped(value: dict[Any, Any]) -> dict[Any, Any]:
    """A plain dictionary of its own with the first entries; a subclass's own methods are not asked."""
    if type(value) is dict and len(value) <= MOST_ITEMS:
        return value.copy()
    return dict(islice(dict[Any, Any].items(value), MOST_ITEMS))


# The exact type of a value: the builtin, in a form that type checkers follow.
type_of: Callable[[object], type[Any]] = type


def dataclass_fields(kind: type[Any]) -> tuple[str, ...]:
    """Names of the fields of a dataclass, empty for other types."""
    return tuple(getattr(kind, "__dataclass_fields__", ()))


def as_dict(value: Any) -> dict[Any, Any]:
    """A mapping as a dictionary of its own; empty for what is none."""
    if is_dict(value):
        return mapped(value)
    return dict(value) if _is_mapping(value) else {}


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)
