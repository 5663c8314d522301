"""One attribute as OTLP protobuf: ``KeyValue`` and ``AnyValue``, whatever the value is.

Field numbers are those of ``opentelemetry/proto/common/v1/common.proto``.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_VALUE_BYTES = 128 * 1024
MAX_DEPTH = 6
MAX_ITEMS = 10_000
MAX_KEY_CHARS = 512
UINT64 = (1 << 64) - 1

_MAX_INT_BITS = 4_096
_CACHED_KEYS = 4_096
_CACHED_PAIRS = 2_048
_CACHED_STRING_CHARS = 48

_double = struct.Struct("<d").pack

_SMALL = [bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(1 << 14)]
# Keys recur in every span, and so do most short strings (model, version, provider): their bytes are kept.
_keys: dict[str, bytes] = {}
_pairs: dict[tuple[str, str], bytes] = {}


class FieldError(Exception):
    """This value cannot be written; the message says why, without the value."""


def varint(number: int) -> bytes:
    """A protobuf varint; negative numbers take ten bytes, as int64 and enum fields want it."""
    if 0 <= number < 1 << 14:
        return _SMALL[number]
    number &= UINT64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def utf8(text: str, limit_bytes: int) -> bytes:
    """UTF-8 of at most ``limit_bytes``, cut at a character; lone surrogates become U+FFFD."""
    if len(text) > limit_bytes:
        text = text[:limit_bytes]
    try:
        raw = str.encode(text)
    except UnicodeEncodeError:
        # UTF-16 joins the halves that belong together and finds those that do not.
        raw = str.encode(text, "utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    if len(raw) > limit_bytes:
        raw = raw[:limit_bytes].decode("utf-8", "ignore").encode()
    return raw


def _any_value(value: Any, depth: int, budget: list[int]) -> bytes:
    """``AnyValue`` of one attribute. Only exact conversions: no ``str()`` of a foreign object, ever."""
    kind = cast("type[object]", type(value))
    if kind is str:
        raw = utf8(value, MAX_VALUE_BYTES)
        return b"\x0a" + varint(len(raw)) + raw
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int:
        return _int_value(value)
    if kind is float:
        # Not a number is not JSON and poisons every sum behind: it is left out, and said.
        if not math.isfinite(value):
            raise FieldError("not a finite number")
        return b"\x21" + _double(value)
    if isinstance(value, str):
        return _any_value(str.__str__(value), depth, budget)
    if isinstance(value, int):
        return _int_value(int.__index__(value))
    if isinstance(value, float):
        return _any_value(float.__float__(value), depth, budget)
    if isinstance(value, bytes):
        raw = bytes.__getitem__(value, slice(0, MAX_VALUE_BYTES))
        return b"\x3a" + varint(len(raw)) + raw
    if isinstance(value, list | tuple):
        return _array_value(cast("Sequence[Any]", value), depth, budget)
    if isinstance(value, dict):
        return _map_value(cast("Mapping[Any, Any]", value), depth, budget)
    raise FieldError(f"type {kind.__name__}")


def _int_value(value: int) -> bytes:
    if -(1 << 63) <= value < 1 << 63:
        return b"\x18" + varint(value)
    if value.bit_length() > _MAX_INT_BITS:
        raise FieldError("integer too large")
    raw = str(value).encode()
    return b"\x0a" + varint(len(raw)) + raw


def _spend(budget: list[int], size: int) -> None:
    """Bound what one value may cost: the items visited and the bytes written."""
    budget[0] -= 1
    budget[1] -= size
    if budget[0] < 0 or budget[1] < 0:
        raise FieldError("too many items")


def _array_value(values: Sequence[Any], depth: int, budget: list[int]) -> bytes:
    if depth >= MAX_DEPTH:
        raise FieldError("nested too deep")
    parts: list[bytes] = []
    for item in values:
        # None is an empty AnyValue in an array: positions carry meaning there.
        part = b"" if item is None else _any_value(item, depth + 1, budget)
        _spend(budget, len(part))
        parts.append(b"\x0a" + varint(len(part)) + part)
    inner = b"".join(parts)
    return b"\x2a" + varint(len(inner)) + inner


def _map_value(values: Mapping[Any, Any], depth: int, budget: list[int]) -> bytes:
    if depth >= MAX_DEPTH:
        raise FieldError("nested too deep")
    parts: list[bytes] = []
    for key, item in values.items():
        if not isinstance(key, str):
            raise FieldError(f"key of type {type(key).__name__}")
        raw = utf8(str.__str__(key), MAX_KEY_CHARS)
        part = b"" if item is None else _any_value(item, depth + 1, budget)
        _spend(budget, len(part) + len(raw))
        pair = b"\x0a" + varint(len(raw)) + raw + b"\x12" + varint(len(part)) + part
        parts.append(b"\x0a" + varint(len(pair)) + pair)
    inner = b"".join(parts)
    return b"\x32" + varint(len(inner)) + inner


def _key_bytes(key: str) -> bytes:
    known = _keys.get(key)
    if known is not None:
        return known
    raw = utf8(key, MAX_KEY_CHARS)
    encoded = b"\x0a" + varint(len(raw)) + raw + b"\x12"
    if len(_keys) >= _CACHED_KEYS:
        _keys.clear()
    _keys[key] = encoded
    return encoded


def _known_text(key: str, value: str) -> bytes:
    """A short text of one key, with its length before it; written once and kept."""
    raw = utf8(value, MAX_VALUE_BYTES)
    size = varint(len(raw))
    pair = b"".join((_key_bytes(key), varint(len(raw) + 1 + len(size)), b"\x0a", size, raw))
    if len(_pairs) >= _CACHED_PAIRS:
        _pairs.clear()
    piece = _pairs[key, value] = varint(len(pair)) + pair
    return piece


def sized_pair(key: str, value: Any) -> bytes:
    """The ``KeyValue`` message of one attribute, with its length before it.

    Raises:
        FieldError: The value cannot be written.
    """
    if type(value) is str and len(value) <= _CACHED_STRING_CHARS:
        return _pairs.get((key, value)) or _known_text(key, value)
    if type(value) is int and 0 <= value < 1 << 14:
        raw = _SMALL[value]
        pair = _key_bytes(key) + _SMALL[len(raw) + 1] + b"\x18" + raw
    else:
        encoded = _any_value(value, 0, [MAX_ITEMS, MAX_VALUE_BYTES])
        pair = b"".join((_key_bytes(key), varint(len(encoded)), encoded))
    return varint(len(pair)) + pair
