"""Writes spans as OTLP protobuf, field by field: a bad value costs itself, never the span or the batch.

Field numbers are those of ``opentelemetry/proto/trace/v1/trace.proto`` and its neighbours. A writer of our
own because building ``*_pb2`` messages costs several times more than the bytes themselves.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

from ._span import SCOPE_NAME, FinishedSpan, Shared, SpanEvent
from ._value import MAX_ITEMS, MAX_KEY_CHARS, MAX_VALUE_BYTES, UINT64, FieldError, sized_pair, utf8, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_SPAN_BYTES = 1024 * 1024
MAX_NAME_CHARS = 4_096
PROBLEMS_KEY = "promptspan.sdk.dropped_fields"

_MAX_PROBLEMS = 16
_SHARED_BYTES = 2 * MAX_VALUE_BYTES
_ATTRIBUTES_BYTES = MAX_SPAN_BYTES - 2 * MAX_NAME_CHARS - MAX_VALUE_BYTES - _SHARED_BYTES

_fixed64 = struct.Struct("<Q").pack
_fixed32 = struct.Struct("<I").pack
_rest_of_head = struct.Struct("<BBBQBQBBIBB").pack  # each value after its tag: kind, start, end, flags, name


def _attributes(
    tag: bytes, attributes: Mapping[str, Any], room: int, out: list[bytes], problems: list[str]
) -> tuple[int, int]:
    """Append attributes until the room is used up; returns (bytes written, attributes left out)."""
    pieces: list[bytes] = [b""]
    left, dropped = room, 0
    for number, (key, value) in enumerate(attributes.items()):
        if number >= MAX_ITEMS:
            dropped += len(attributes) - number
            break
        if value is None:
            continue
        try:
            # A key of another type, or a subclass that lies about itself, is not worth the trouble.
            piece = sized_pair(key, value) if type(key) is str else b""
        except FieldError as error:
            dropped += 1
            problems.append(f"{_shown(key)}: {error}")
            continue
        except Exception as error:  # noqa: BLE001  # a hostile object costs its own field only
            dropped += 1
            problems.append(f"{_shown(key)}: {type(error).__name__}")
            continue
        size = len(piece) + 1
        if not piece or size > left:
            dropped += 1
            problems.append(f"{_shown(key)}: {'no room' if piece else 'key is not a string'}")
            continue
        left -= size
        pieces.append(piece)
    out.append(tag.join(pieces))
    return room - left, dropped


def _shown(key: object) -> str:
    return str.__str__(key)[:80] if isinstance(key, str) else "?"


def _moment(value: Any, problems: list[str], field: str) -> int:
    """Nanoseconds since the epoch as an unsigned 64-bit number; what is none becomes 0, and is said."""
    if isinstance(value, int) and 0 <= value <= UINT64:
        return int.__index__(value)
    problems.append(f"{field}: not a time")
    return 0


def _number(value: Any, bits: int, problems: list[str], field: str) -> int:
    if isinstance(value, int) and 0 <= value < 1 << bits:
        return int.__index__(value)
    problems.append(f"{field}: out of range")
    return 0


def _text(value: Any, limit: int, problems: list[str], field: str) -> bytes:
    if isinstance(value, str):
        return utf8(str.__str__(value), limit)
    problems.append(f"{field}: not a string")
    return b""


def _event(event: SpanEvent, room: int, problems: list[str]) -> bytes:
    out: list[bytes] = []
    name = _text(event.name, MAX_NAME_CHARS, problems, "event name")
    moment = _moment(event.time_unix_nano, problems, "event time")
    out += (b"\x09", _fixed64(moment), b"\x12", varint(len(name)), name)
    _, dropped = _attributes(b"\x1a", event.attributes, room - len(name), out, problems)
    if dropped:
        out += (b"\x20", varint(dropped))
    return b"".join(out)


def encode_span(span: FinishedSpan) -> bytes:
    """One ``Span`` message of at most about 1 MB; what had to be left out is named in the span itself.

    Never raises for what a field holds. Attributes are written in their order: what matters most comes first.
    """
    problems: list[str] = []
    shared = span.shared
    if shared.encoded is None:
        _encode_shared(shared)
    out: list[bytes] = [_head(span, problems), shared.encoded or b""]
    written, dropped = _attributes(b"\x4a", span.attributes, _ATTRIBUTES_BYTES, out, problems)
    if shared.problems:
        dropped += shared.dropped
        problems += shared.problems
    if span.events:
        dropped_events = _events(span.events, _ATTRIBUTES_BYTES - written, out, problems)
        if dropped_events:
            out += (b"\x60", varint(dropped_events))
    if span.status_code or span.status_message:
        message = _text(span.status_message, MAX_VALUE_BYTES, problems, "status message")
        code = _number(span.status_code, 2, problems, "status code")
        status = (b"\x12" + varint(len(message)) + message if message else b"") + b"\x18" + varint(code)
        out += (b"\x7a", varint(len(status)), status)
    if problems:
        _attributes(b"\x4a", {PROBLEMS_KEY: problems[:_MAX_PROBLEMS]}, MAX_NAME_CHARS, out, [])
    if dropped:
        out += (b"\x50", varint(dropped))
    return b"".join(out)


def _encode_shared(shared: Shared) -> None:
    """Once for all spans that have it."""
    out: list[bytes] = []
    problems: list[str] = []
    _, shared.dropped = _attributes(b"\x4a", shared.attributes, _SHARED_BYTES, out, problems)
    shared.problems = problems[:_MAX_PROBLEMS]
    shared.encoded = b"".join(out)


def _head(span: FinishedSpan, problems: list[str]) -> bytes:
    """Everything of fixed size, and the name. The straight way first: nearly every span is well formed."""
    try:
        name = span.name.encode()
        if span.trace_id and span.span_id and not span.trace_state and span.kind <= 5 and len(name) < 128:
            parent = span.parent_span_id
            return b"".join(
                (
                    b"\x0a\x10",
                    span.trace_id.to_bytes(16, "big"),
                    b"\x12\x08",
                    span.span_id.to_bytes(8, "big"),
                    b"\x22\x08" + parent.to_bytes(8, "big") if parent else b"",
                    _rest_of_head(
                        *(0x30, span.kind, 0x39, span.start_unix_nano, 0x41, span.end_unix_nano),
                        *(0x85, 0x01, span.trace_flags & 0xFF, 0x2A, len(name)),
                    ),
                    name,
                )
            )
    except (struct.error, OverflowError, AttributeError, TypeError, UnicodeEncodeError):
        return _careful_head(span, problems)
    return _careful_head(span, problems)


def _careful_head(span: FinishedSpan, problems: list[str]) -> bytes:
    trace_id = _number(span.trace_id, 128, problems, "trace id") or random.getrandbits(128) | 1
    span_id = _number(span.span_id, 64, problems, "span id") or random.getrandbits(64) | 1
    parent = _number(span.parent_span_id, 64, problems, "parent span id")
    flags = _number(span.trace_flags, 8, problems, "flags")
    name = _text(span.name, MAX_NAME_CHARS, problems, "name")
    state = _text(span.trace_state, MAX_NAME_CHARS, problems, "trace state")
    return b"".join(
        (
            b"\x0a\x10",
            trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            span_id.to_bytes(8, "big"),
            b"\x22\x08" + parent.to_bytes(8, "big") if parent else b"",
            b"\x1a" + varint(len(state)) + state if state else b"",
            b"\x2a",
            varint(len(name)),
            name,
            b"\x30",
            varint(_number(span.kind, 3, problems, "kind")),
            b"\x39",
            _fixed64(_moment(span.start_unix_nano, problems, "start")),
            b"\x41",
            _fixed64(_moment(span.end_unix_nano, problems, "end")),
            b"\x85\x01" + _fixed32(flags) if flags else b"",
        )
    )


def _events(events: Iterable[SpanEvent], room: int, out: list[bytes], problems: list[str]) -> int:
    """Append events while there is room; returns how many were left out."""
    dropped = 0
    for event in events:
        try:
            encoded = _event(event, room, problems)
        except Exception as error:  # noqa: BLE001  # a hostile event costs itself only
            problems.append(f"event: {type(error).__name__}")
            dropped += 1
            continue
        if len(encoded) + 8 > room:
            dropped += 1
            continue
        room -= len(encoded) + 8
        out += (b"\x5a", varint(len(encoded)), encoded)
    return dropped


def framed(span_message: bytes) -> bytes:
    """The span as a member of ``ScopeSpans.spans``: batches are then made by joining."""
    return b"\x12" + varint(len(span_message)) + span_message


def encode_resource(attributes: Mapping[str, Any]) -> bytes:
    """The fields of a ``Resource`` message; messages of this kind may be joined."""
    out: list[bytes] = []
    _attributes(b"\x0a", attributes, MAX_SPAN_BYTES, out, [])
    return b"".join(out)


def _scope(version: str) -> bytes:
    name = SCOPE_NAME.encode()
    number = utf8(version, MAX_KEY_CHARS)
    message = b"\x0a" + varint(len(name)) + name
    if number:
        message += b"\x12" + varint(len(number)) + number
    return b"\x0a" + varint(len(message)) + message


def encode_request(resource: bytes, framed_spans: Sequence[bytes], version: str = "") -> bytes:
    """An ``ExportTraceServiceRequest`` around spans that are encoded already.

    Args:
        resource: From ``encode_resource``.
        framed_spans: Each from ``framed``.
        version: Of the SDK, for the scope.
    """
    scope = _scope(version)
    size = len(scope) + sum(map(len, framed_spans))
    head = b"\x0a" + varint(len(resource)) + resource + b"\x12" + varint(size) + scope
    total = len(head) + size - len(scope)
    return b"".join((b"\x0a", varint(total), head, *framed_spans))
