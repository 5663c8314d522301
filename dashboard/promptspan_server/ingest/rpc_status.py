"""`google.rpc.Status`, the error body that OTLP asks for, over HTTP and gRPC.

Source: https://opentelemetry.io/docs/specs/otlp/#failures and #otlphttp-response.
"""

from __future__ import annotations

import json

INVALID_ARGUMENT = 3
NOT_FOUND = 5
PERMISSION_DENIED = 7
UNAVAILABLE = 14
UNAUTHENTICATED = 16

_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def status_protobuf(code: int, message: str, *, retry_after_s: int = 0) -> bytes:
    """The status as protobuf, with a `RetryInfo` if the sender should come back."""
    details = b""
    if retry_after_s:
        duration = _field(1, b"\x08" + varint(retry_after_s))
        details = _field(3, _field(1, _RETRY_INFO) + _field(2, duration))
    return b"\x08" + varint(code) + _field(2, message.encode("utf-8", "replace")) + details


def status_json(code: int, message: str) -> bytes:
    """The status as JSON."""
    return json.dumps({"code": code, "message": message}).encode()


def varint(number: int) -> bytes:
    """A protobuf varint: seven bits a byte, lowest first, the high bit says that more follow."""
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value
