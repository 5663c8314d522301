"""What a reply of the receiver means for the spans that were sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from ._process import not_while_forking

if TYPE_CHECKING:
    from ._http import Reply

MAX_RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one reply means.

    Attributes:
        kind: ``taken``; ``later`` (try the same again); ``refused`` (something in this body); ``wrong`` (the
            endpoint or the credentials: somebody must mend it, nothing is lost meanwhile).
        reason: For people.
        retry_after_s: What the receiver asked for, or ``None``.
        rejected: Spans of an accepted request that were not taken.
        too_large: Refused for its size.
    """

    kind: Literal["taken", "later", "refused", "wrong"]
    reason: str = ""
    retry_after_s: float | None = None
    rejected: int = 0
    too_large: bool = False


def judge(reply: Reply) -> Verdict:
    """Decide what a reply means for the spans that were sent.

    Source: OTLP specification 1.x, section OTLP/HTTP response; stricter: only an OTLP reply is an acceptance.
    """
    status = reply.status
    if 200 <= status < 300:
        return _accepted(reply)
    said = f"HTTP {status}"
    if status in {408, 429} or status >= 500:
        return Verdict("later", said, _retry_after(reply))
    if status in {400, 413, 422}:
        return Verdict("refused", said, too_large=status == 413)
    return Verdict("wrong", said, _retry_after(reply))


def _accepted(reply: Reply) -> Verdict:
    content_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if content_type == "application/json":
            rejected, message = _partial_json(reply.body)
        elif content_type in {"application/x-protobuf", "application/protobuf"}:
            rejected, message = _partial_protobuf(reply.body)
        elif not content_type and not reply.body:
            rejected, message = 0, ""
        else:
            return Verdict(
                "wrong", f"HTTP {reply.status} with {content_type or 'no content type'}: not an OTLP receiver"
            )
    except (ValueError, IndexError, RecursionError):
        return Verdict("wrong", f"HTTP {reply.status}, but the reply is not OTLP")
    return Verdict("taken", message, rejected=max(0, rejected))


def _partial_json(body: bytes) -> tuple[int, str]:
    reply: object = json.loads(body)
    if not isinstance(reply, dict):
        raise ValueError("not an object")  # noqa: TRY004  # one kind of error for the caller: not OTLP
    fields = cast("dict[str, object]", reply)
    partial = fields.get("partialSuccess", fields.get("partial_success"))
    if partial is None:
        return 0, ""
    if not isinstance(partial, dict):
        raise ValueError("not an object")  # noqa: TRY004
    facts = cast("dict[str, object]", partial)
    rejected = facts.get("rejectedSpans", facts.get("rejected_spans")) or 0
    return int(str(rejected)), str(facts.get("errorMessage", facts.get("error_message")) or "")


def _partial_protobuf(body: bytes) -> tuple[int, str]:
    """``ExportTraceServiceResponse.partial_success``: rejected_spans = 1, error_message = 2."""
    partial = _fields(body).get(1, b"")
    if not isinstance(partial, bytes):
        raise ValueError("wrong type")  # noqa: TRY004
    facts = _fields(partial)
    rejected, message = facts.get(1, 0), facts.get(2, b"")
    if not isinstance(rejected, int) or not isinstance(message, bytes):
        raise ValueError("wrong type")  # noqa: TRY004
    return (rejected if rejected < 1 << 63 else 0), message.decode("utf-8", "replace")


def _fields(data: bytes) -> dict[int, int | bytes]:
    """Fields of one protobuf message by number, the last of each.

    Raises:
        ValueError: Not protobuf.
        IndexError: Cut short.
    """
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            found[tag >> 3], at = _varint(data, at)
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("wire type")
        if at + size > len(data) or not tag >> 3:
            raise ValueError("length")
        found[tag >> 3] = data[at : at + size]
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("varint")


def _retry_after(reply: Reply) -> float | None:
    """Seconds to wait, capped at 60. A date is read against the reply's own clock, not against ours."""
    text = reply.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    with not_while_forking():
        from email.utils import parsedate_to_datetime  # rare, and 14 ms to import

    try:
        wait = (parsedate_to_datetime(text) - parsedate_to_datetime(reply.headers["date"])).total_seconds()
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER_S)
