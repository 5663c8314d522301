"""What OpenTelemetry sees of a running call: its current span.

Spans of other instrumentations nest under it, and ``trace.get_current_span().set_attribute(...)`` reaches it.
What is noted is a snapshot, read in the background.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, SpanContext, TraceFlags

from . import _attributes as a
from ._freeze import frozen
from ._guard import Guard
from ._kinds import as_dict
from ._span import SpanEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Status, StatusCode, TraceState
    from opentelemetry.util import types

_SPAN = Guard("current OpenTelemetry span")
_MOST_NOTES = 128


class RunningSpan(Span):
    """A span that is current until ``status`` says how it ended."""

    trace_id: int
    span_id: int
    trace_flags: int
    status: str

    _span_context: SpanContext | None = None
    trace_state: TraceState | None = None
    noted: dict[str, Any] | None = None
    events: list[SpanEvent] | None = None

    def note(self, key: object, value: Any) -> None:
        """Note an attribute; the first 128 keys are kept, what is no key or no value is not."""
        if value is None or not isinstance(key, str):
            return
        name = str.__str__(key)
        if self.noted is None:
            self.noted = {}
        if len(self.noted) < _MOST_NOTES or name in self.noted:
            self.noted[name] = frozen(value)

    def get_span_context(self) -> SpanContext:
        """Ids of this span, made when somebody first asks."""
        if self._span_context is None:
            self._span_context = SpanContext(
                self.trace_id,
                self.span_id,
                is_remote=False,
                trace_flags=TraceFlags(self.trace_flags),
                trace_state=self.trace_state,
            )
        return self._span_context

    def is_recording(self) -> bool:
        """Until the call has ended."""
        return not self.status

    def end(self, end_time: int | None = None) -> None:
        """Ignored: the decorated function ends it."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Note an attribute."""
        if not self.status:
            with _SPAN:
                self.note(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Note attributes."""
        with _SPAN:
            for key, value in as_dict(attributes).items():
                self.set_attribute(key, value)

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        """Note an event."""
        if self.status:
            return
        with _SPAN:
            self.events = self.events or []
            if len(self.events) < _MOST_NOTES:
                at = timestamp if type(timestamp) is int else time_ns()
                self.events.append(SpanEvent(name, at, frozen(as_dict(attributes))))

    def update_name(self, name: str) -> None:
        """Ignored: the name follows the conventions."""

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Ignored: the call's own end decides."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: ARG002  # OpenTelemetry's signature
    ) -> None:
        """Note an exception that the user's code handled; its text is not kept, it may quote the prompt."""
        kind = type(exception)
        with _SPAN:
            named = {**as_dict(attributes), a.EXCEPTION_TYPE: f"{kind.__module__}.{kind.__qualname__}"}
            self.add_event("exception", named, timestamp)
