"""Asking for the kind of a duck-typed value in a way that type checkers follow."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether it is a dictionary."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list or tuple (read only)."""
    return isinstance(value, (list, tuple))


def type_of(value: object) -> type[Any]:
    """Its exact type."""
    return type(value)


def dataclass_fields(kind: type[Any]) -> tuple[str, ...]:
    """Names of the fields of a dataclass, empty for other types."""
    return tuple(getattr(kind, "__dataclass_fields__", ()))
