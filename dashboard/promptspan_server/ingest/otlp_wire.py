"""The outline of an OTLP protobuf body: is it one, and how many spans or log records are in it.

Only the three outer levels are walked (request, resource, scope), which are the same for traces and logs;
what is inside a span is for the engine.
"""

from __future__ import annotations

MAX_ITEMS = 100_000

# Field numbers: resource_spans and resource_logs are 1, scope_spans and scope_logs 2, spans and records 2.
_PATH = (1, 2, 2)
_MAX_VARINT_BITS = 63


class MalformedError(ValueError):
    """A body that is no OTLP request. The message is one line for the sender."""


def count_items(body: bytes) -> int:
    """Spans of an `ExportTraceServiceRequest`, or log records of an `ExportLogsServiceRequest`.

    Raises:
        MalformedError: It does not parse, or holds more than `MAX_ITEMS`.
    """
    try:
        return _walk(body, 0, len(body), 0, 0)
    except IndexError:
        raise MalformedError("The body is cut; it is no OTLP protobuf request.") from None


def _walk(body: bytes, position: int, end: int, level: int, items: int) -> int:
    wanted = _PATH[level] << 3 | 2
    last = level == len(_PATH) - 1
    while position < end:
        tag = body[position]
        position += 1
        if tag > 127:
            tag, position = _long_varint(body, position - 1)
        if tag & 7 != 2:
            position = _skip(body, position, tag)
        else:
            size = body[position]
            position += 1
            if size > 127:
                size, position = _long_varint(body, position - 1)
            start, position = position, position + size
            if tag == wanted and last:
                items += 1
                if items > MAX_ITEMS:
                    raise MalformedError(f"The request has more than {MAX_ITEMS} items.")
            elif tag == wanted:
                if position > end:
                    break
                items = _walk(body, start, position, level + 1, items)
    if position != end:
        raise MalformedError("The body is malformed; it is no OTLP protobuf request.")
    return items


def _skip(body: bytes, position: int, tag: int) -> int:
    kind = tag & 7
    if tag < 8:
        raise MalformedError("The body is malformed: a field has number 0.")
    if kind == 0:
        return _long_varint(body, position)[1]
    if kind == 1:
        return position + 8
    if kind == 5:
        return position + 4
    raise MalformedError("The body is malformed: a field has a wire type that protobuf does not know.")


def _long_varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > _MAX_VARINT_BITS:
            raise MalformedError("The body is malformed: a number is too long.")
