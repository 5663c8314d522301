"""Any value as plain data, without running code of its own: no ``__str__``, no property.

A value that raises, sleeps, contains itself or is enormous costs itself and nothing else.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import uuid
from pathlib import Path, PurePath
from typing import Any

from ._kinds import is_dict, is_list, listed, mapped, type_of

_MOST_NODES = 10_000
_MOST_DEPTH = 12
MOST_TEXT = 100_000
# Exactly these types: a subclass could have a ``__str__`` of its own.
_WRITTEN = frozenset(
    {
        decimal.Decimal,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        uuid.UUID,
        type(Path()),
        type(PurePath()),
    }
)


class Plain:
    """Makes values plain, within one budget of nodes."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MOST_NODES

    def of(self, value: Any, depth: int = 0) -> Any:
        """``value`` as None, bool, int, float, str, list or dict; anything else as ``<its type>``."""
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            value = value._value_  # the property may be overridden
        if isinstance(value, str):
            return cut(str.__str__(value))
        if isinstance(value, int):
            whole = int.__index__(value)
            return whole if -(1 << 63) <= whole < 1 << 63 else f"<int of {whole.bit_length()} bits>"
        if isinstance(value, float):
            number = float.__float__(value)
            return number if math.isfinite(number) else repr(number)
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value)} bytes>"
        if self._left < 0 or depth > _MOST_DEPTH:
            return "<cut>"
        if is_dict(value):
            return {
                self._key(key): self.of(item, depth + 1)
                for key, item in mapped(value).items()
                if self._left > 0
            }
        if is_list(value):
            return [self.of(item, depth + 1) for item in listed(value) if self._left > 0]
        kind = type_of(value)
        if kind in _WRITTEN:
            return str(value)
        return f"<{kind.__name__}>"

    def _key(self, key: Any) -> str:
        plain = self.of(key)
        return plain if isinstance(plain, str) else str(plain)


def cut(text: str) -> str:
    """A text of at most 100,000 characters."""
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… <cut, {len(text)} characters>"


def plain(value: Any) -> Any:
    """See ``Plain.of``."""
    return Plain().of(value)
