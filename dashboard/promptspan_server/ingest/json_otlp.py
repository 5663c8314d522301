"""OTLP/JSON to OTLP protobuf, straight from the parsed JSON to bytes.

The protocol's own JSON mapping: lowerCamelCase names, ids in hexadecimal, 64-bit integers as strings or
numbers, enums as numbers, unknown fields ignored.
Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from typing import TYPE_CHECKING, Any, Literal, cast

from promptspan_server.ingest.rpc_status import varint

if TYPE_CHECKING:
    from collections.abc import Callable

Signal = Literal["traces", "logs"]

_MAX_DEPTH = 64
_UINT64 = 1 << 64

Encode = "Callable[[Any, int], bytes]"


class JsonError(ValueError):
    """A body that is no OTLP/JSON request. The message is one line for the sender."""


def to_protobuf(body: bytes, signal: Signal) -> bytes:
    """An OTLP/JSON request as its protobuf bytes.

    Raises:
        JsonError: It is no JSON, or not of the request's shape.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        # A UnicodeDecodeError is a ValueError too.
        raise JsonError(f"The body is not valid JSON: {_one_line(error)}") from None
    if not isinstance(parsed, dict):
        raise JsonError("The body is not a JSON object.")
    return _message(_REQUESTS[signal])(parsed, 0)


class _Field:
    __slots__ = ("encode", "repeated", "tag")

    def __init__(
        self, number: int, kind: int, encode: Callable[[Any, int], bytes], *, repeated: bool
    ) -> None:
        self.tag = varint(number << 3 | kind)
        self.encode = encode
        self.repeated = repeated


def _message(name: str) -> Callable[[Any, int], bytes]:
    def encode(value: Any, depth: int) -> bytes:
        if not isinstance(value, dict):
            raise JsonError(f"{name} is not a JSON object.")
        if depth > _MAX_DEPTH:
            raise JsonError(f"The body is nested deeper than {_MAX_DEPTH} levels.")
        fields = _MESSAGES[name]
        out: list[bytes] = []
        for key, item in cast("dict[str, Any]", value).items():
            field = fields.get(key)
            if field is None or item is None:
                continue
            if not field.repeated:
                out += (field.tag, field.encode(item, depth + 1))
                continue
            if not isinstance(item, list):
                raise JsonError(f"{name}.{key} is not a JSON array.")
            for element in cast("list[Any]", item):
                out += (field.tag, field.encode(element, depth + 1))
        encoded = b"".join(out)
        return encoded if depth == 0 else varint(len(encoded)) + encoded

    return encode


def _string(value: Any, depth: int) -> bytes:
    del depth
    if not isinstance(value, str):
        raise JsonError(f"{_shown(value)} is not a string.")
    # A lone surrogate cannot be written as UTF-8; the rest of the text can.
    encoded = value.encode("utf-8", "replace")
    return varint(len(encoded)) + encoded


def _hex(value: Any, depth: int) -> bytes:
    del depth
    if not isinstance(value, str):
        raise JsonError(f"{_shown(value)} is not an id in hexadecimal.")
    try:
        encoded = bytes.fromhex(value)
    except ValueError:
        raise JsonError(f"{_shown(value)} is not an id in hexadecimal.") from None
    return varint(len(encoded)) + encoded


def _base64(value: Any, depth: int) -> bytes:
    del depth
    if not isinstance(value, str):
        raise JsonError(f"{_shown(value)} is not Base64.")
    try:
        encoded = base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4))
    except binascii.Error:
        raise JsonError(f"{_shown(value)} is not Base64.") from None
    return varint(len(encoded)) + encoded


def _integer(value: Any, low: int, high: int) -> int:
    number: int | None = None
    if isinstance(value, bool):
        number = None
    elif isinstance(value, int):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and len(value) <= 24:
        try:
            number = int(value)
        except ValueError:
            number = None
    if number is None or not low <= number < high:
        raise JsonError(f"{_shown(value)} is not an integer of its field.")
    return number


def _varint64(value: Any, depth: int) -> bytes:
    del depth
    return varint(_integer(value, -(1 << 63), 1 << 63) % _UINT64)


def _uint32(value: Any, depth: int) -> bytes:
    del depth
    return varint(_integer(value, 0, 1 << 32))


def _enum(value: Any, depth: int) -> bytes:
    if isinstance(value, str) and value in _ENUM_NAMES:
        value = _ENUM_NAMES[value]
    return _varint64(value, depth)


def _fixed64(value: Any, depth: int) -> bytes:
    del depth
    return struct.pack("<Q", _integer(value, 0, _UINT64))


def _fixed32(value: Any, depth: int) -> bytes:
    del depth
    return struct.pack("<I", _integer(value, 0, 1 << 32))


def _double(value: Any, depth: int) -> bytes:
    del depth
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        value = float(value.replace("Infinity", "inf"))
    elif isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise JsonError(f"{_shown(value)} is not a number.")
    try:
        return struct.pack("<d", value)
    except (OverflowError, struct.error):
        return struct.pack("<d", math.inf if value > 0 else -math.inf)


def _bool(value: Any, depth: int) -> bytes:
    del depth
    if not isinstance(value, bool):
        raise JsonError(f"{_shown(value)} is not true or false.")
    return b"\x01" if value else b"\x00"


def _shown(value: Any) -> str:
    return repr(value)[:40]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SCALARS: dict[str, tuple[int, Callable[[Any, int], bytes]]] = {
    "string": (_BYTES, _string),
    "hex": (_BYTES, _hex),
    "bytes": (_BYTES, _base64),
    "int64": (_VARINT, _varint64),
    "uint32": (_VARINT, _uint32),
    "enum": (_VARINT, _enum),
    "bool": (_VARINT, _bool),
    "fixed64": (_FIXED64, _fixed64),
    "fixed32": (_FIXED32, _fixed32),
    "double": (_FIXED64, _double),
}
# The protocol asks for numbers; the general JSON mapping of protobuf writes these.
_ENUM_NAMES = {
    **{
        f"SPAN_KIND_{name}": number
        for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
    },
    **{f"STATUS_CODE_{name}": number for number, name in enumerate(("UNSET", "OK", "ERROR"))},
}
# Name of a message: its fields, as in opentelemetry/proto. A `*` marks a repeated field.
_OUTLINES: dict[str, str] = {
    "ExportTraceServiceRequest": "1 resourceSpans *ResourceSpans",
    "ResourceSpans": "1 resource Resource, 2 scopeSpans *ScopeSpans, 3 schemaUrl string",
    "ScopeSpans": "1 scope InstrumentationScope, 2 spans *Span, 3 schemaUrl string",
    "ExportLogsServiceRequest": "1 resourceLogs *ResourceLogs",
    "ResourceLogs": "1 resource Resource, 2 scopeLogs *ScopeLogs, 3 schemaUrl string",
    "ScopeLogs": "1 scope InstrumentationScope, 2 logRecords *LogRecord, 3 schemaUrl string",
    "Resource": "1 attributes *KeyValue, 2 droppedAttributesCount uint32",
    "InstrumentationScope": (
        "1 name string, 2 version string, 3 attributes *KeyValue, 4 droppedAttributesCount uint32"
    ),
    "Span": (
        "1 traceId hex, 2 spanId hex, 3 traceState string, 4 parentSpanId hex, 5 name string, 6 kind enum, "
        "7 startTimeUnixNano fixed64, 8 endTimeUnixNano fixed64, 9 attributes *KeyValue, "
        "10 droppedAttributesCount uint32, 11 events *Event, 12 droppedEventsCount uint32, 13 links *Link, "
        "14 droppedLinksCount uint32, 15 status Status, 16 flags fixed32"
    ),
    "Event": (
        "1 timeUnixNano fixed64, 2 name string, 3 attributes *KeyValue, 4 droppedAttributesCount uint32"
    ),
    "Link": (
        "1 traceId hex, 2 spanId hex, 3 traceState string, 4 attributes *KeyValue, "
        "5 droppedAttributesCount uint32, 6 flags fixed32"
    ),
    "Status": "2 message string, 3 code enum",
    "LogRecord": (
        "1 timeUnixNano fixed64, 2 severityNumber enum, 3 severityText string, 5 body AnyValue, "
        "6 attributes *KeyValue, 7 droppedAttributesCount uint32, 8 flags fixed32, 9 traceId hex, "
        "10 spanId hex, 11 observedTimeUnixNano fixed64, 12 eventName string"
    ),
    "KeyValue": "1 key string, 2 value AnyValue",
    "AnyValue": (
        "1 stringValue string, 2 boolValue bool, 3 intValue int64, 4 doubleValue double, "
        "5 arrayValue ArrayValue, 6 kvlistValue KeyValueList, 7 bytesValue bytes"
    ),
    "ArrayValue": "1 values *AnyValue",
    "KeyValueList": "1 values *KeyValue",
}
_REQUESTS: dict[Signal, str] = {"traces": "ExportTraceServiceRequest", "logs": "ExportLogsServiceRequest"}


def _fields(outline: str) -> dict[str, _Field]:
    fields: dict[str, _Field] = {}
    for part in outline.split(", "):
        number, name, kind = part.split(" ")
        repeated = kind.startswith("*")
        kind = kind.removeprefix("*")
        wire, encode = _SCALARS.get(kind) or (_BYTES, _message(kind))
        fields[name] = _Field(int(number), wire, encode, repeated=repeated)
    return fields


_MESSAGES: dict[str, dict[str, _Field]] = {name: _fields(outline) for name, outline in _OUTLINES.items()}
