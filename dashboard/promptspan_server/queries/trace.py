"""Everything about one call: its trace, its text, its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import TimeRange

MAX_SPANS = 200
_MAX_SCORES = 50


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span of a trace.

    Attributes:
        at: Start, UTC.
        trace_id: Lower case hex.
        span_id: Lower case hex.
        parent_span_id: Lower case hex, empty for a root.
        name: Its name.
        service: Who made it.
        scope: What produced it.
        duration_ms: Start to end.
        status: Unset, Ok or Error.
        status_message: What the producer said of it.
        attributes: As sent.
    """

    at: datetime
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    service: str
    scope: str
    duration_ms: float
    status: str
    status_message: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TraceSpans(Query[SpanRow]):
    """What happened in this trace? In order of start, at most 200 spans.

    Attributes:
        trace_id: Lower case hex.
        range: Where to look.
    """

    trace_id: str
    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                toUnixTimestamp64Micro(ts), trace_id, span_id, parent_span_id, name, service, scope,
                duration_ms, status, status_message, attributes
            FROM spans FINAL
            WHERE trace_id = {{trace_id:String}} AND {self.range.where()}
            ORDER BY ts, span_id
            LIMIT {MAX_SPANS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"trace_id": self.trace_id, **self.range.parameters()}

    def row(self, values: Sequence[Any]) -> SpanRow:
        """See `Query.row`."""
        at, *rest, attributes = values
        return SpanRow(from_micros(at), *rest, attributes=dict(attributes))


@dataclass(frozen=True, slots=True)
class TextRow:
    """Captured text of one call.

    Attributes:
        input_text: The prompt: JSON messages, or text; empty if not captured.
        output_text: The answer, likewise.
    """

    input_text: str
    output_text: str


@dataclass(frozen=True, slots=True)
class CallText(Query[TextRow]):
    """What was said? No row if content was not captured, or is past its keeping time.

    Attributes:
        trace_id: Lower case hex.
        span_id: Lower case hex.
        range: Where to look.
        max_characters: Longer texts are cut.
    """

    trace_id: str
    span_id: str
    range: TimeRange
    max_characters: int = 200_000

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                substringUTF8(input_text, 1, {{max_characters:UInt32}}),
                substringUTF8(output_text, 1, {{max_characters:UInt32}})
            FROM llm_texts FINAL
            WHERE trace_id = {{trace_id:String}} AND span_id = {{span_id:String}} AND {self.range.where()}
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "max_characters": self.max_characters,
            **self.range.parameters(),
        }

    def row(self, values: Sequence[Any]) -> TextRow:
        """See `Query.row`."""
        return TextRow(*values)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One judgement of a call.

    Attributes:
        at: When it was judged, UTC.
        name: Name of the evaluation.
        value: Its number, None if it has none.
        label: Its label, may be empty.
        explanation: Its reasons, may be empty.
    """

    at: datetime
    name: str
    value: float | None
    label: str
    explanation: str


@dataclass(frozen=True, slots=True)
class CallScores(Query[ScoreRow]):
    """How was this call judged? The newest first, at most 50.

    Judgement comes after the call, here by up to 90 days.

    Attributes:
        trace_id: Lower case hex.
        span_id: Lower case hex.
        response_id: The provider's id of the answer, may be empty.
        range: Where the call is.
    """

    trace_id: str
    span_id: str
    response_id: str
    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT toUnixTimestamp64Micro(ts), name, value, label, explanation
            FROM scores FINAL
            WHERE ts >= fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC')
              AND ts < fromUnixTimestamp64Milli({{end_ms:Int64}}, 'UTC') + toIntervalDay(90)
              AND ((trace_id = {{trace_id:String}} AND span_id IN ('', {{span_id:String}}))
                   OR (response_id != '' AND response_id = {{response_id:String}}))
            ORDER BY ts DESC, name
            LIMIT {_MAX_SCORES}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "response_id": self.response_id,
            **self.range.parameters(),
        }

    def row(self, values: Sequence[Any]) -> ScoreRow:
        """See `Query.row`."""
        at, *rest = values
        return ScoreRow(from_micros(at), *rest)
