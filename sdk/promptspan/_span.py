"""The one span object of the pipeline: what the recorder hands over and every way out reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

AttributeValue = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]

SCOPE_NAME = "promptspan"

# Span kinds and status codes carry OTLP's numbers, so that the encoder writes them as they are.
KIND_INTERNAL = 1
KIND_CLIENT = 3
STATUS_UNSET = 0
STATUS_OK = 1
STATUS_ERROR = 2


@dataclass(slots=True)
class SpanEvent:
    """Something that happened at one moment of a span.

    Attributes:
        name: The event's name, for example ``exception``.
        time_unix_nano: When, in nanoseconds since the epoch (UTC).
        attributes: What is known of it.
    """

    name: str
    time_unix_nano: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])


class Shared:
    """Attributes that many spans have alike (names, models, tags): put together and encoded once.

    Attributes:
        attributes: Never changed once they are in a span.
        encoded: As the encoder wrote them, the first time.
        dropped: How many of them it could not write.
        problems: What was wrong with those.
    """

    __slots__ = ("attributes", "dropped", "encoded", "problems")

    def __init__(self, attributes: Mapping[str, AttributeValue]) -> None:
        self.attributes = attributes
        self.encoded: bytes | None = None
        self.dropped = 0
        self.problems: list[str] = []


NOTHING_SHARED = Shared({})


@dataclass(slots=True)
class FinishedSpan:
    """A span that has ended, ready to be encoded, spooled or given to an exporter.

    Attributes:
        name: Span name, ``{operation} {model}`` for a model call.
        kind: One of the ``KIND_`` numbers.
        trace_id: 128-bit id.
        span_id: 64-bit id.
        parent_span_id: 64-bit id, or 0 for a root.
        trace_flags: W3C trace flags (1 = sampled by the application).
        trace_state: W3C tracestate header, empty if none.
        start_unix_nano: Start, nanoseconds since the epoch (UTC).
        end_unix_nano: End; start plus a monotonic duration.
        attributes: Its own; the essential ones (tokens) come first: encoders cut from the end.
        events: Exceptions and the like.
        status_code: One of the ``STATUS_`` numbers.
        status_message: Redacted text, empty if none.
        shared: What it has in common with others; none of its keys is in ``attributes``.
    """

    name: str
    kind: int
    trace_id: int
    span_id: int
    parent_span_id: int
    trace_flags: int
    trace_state: str
    start_unix_nano: int
    end_unix_nano: int
    attributes: dict[str, AttributeValue]
    events: list[SpanEvent] = field(default_factory=list[SpanEvent])
    status_code: int = STATUS_UNSET
    status_message: str = ""
    shared: Shared = NOTHING_SHARED

    def all_attributes(self) -> dict[str, AttributeValue]:
        """Those in common and its own."""
        return {**self.shared.attributes, **self.attributes}


class Note(Protocol):
    """What the caller's path leaves behind: references only, turned into a span in the background.

    Attributes:
        size_bytes: A cheap upper guess of the memory that it holds, for the queue's bound.
    """

    size_bytes: int

    def build(self) -> FinishedSpan | None:
        """Make the span (background thread). ``None`` means there is nothing to send."""
        ...
