"""The other ways out: any OpenTelemetry exporter, and the application's own tracer provider.

Both get ordinary ``ReadableSpan`` objects. ``opentelemetry-sdk`` loads here with the first span, not before.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, cast

from ._guard import without_words
from ._span import SCOPE_NAME, STATUS_ERROR, FinishedSpan
from ._value import MAX_VALUE_BYTES, utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

    from ._buffer import Batch

_log = logging.getLogger("promptspan")


def readable_span(
    span: FinishedSpan, resource: Resource, version: str, hidden: Callable[[str], bool] | None = None
) -> ReadableSpan:
    """The span as ``opentelemetry-sdk`` knows it.

    Args:
        span: What was recorded.
        resource: What emitted it.
        version: Of this SDK, for the scope.
        hidden: Says which attributes to leave out, by key.
    """
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

    state = TraceState.from_header([span.trace_state]) if span.trace_state else TraceState()
    flags = TraceFlags(span.trace_flags)
    context = SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=flags, trace_state=state)
    parent = None
    if span.parent_span_id:
        parent = SpanContext(
            span.trace_id, span.parent_span_id, is_remote=False, trace_flags=flags, trace_state=state
        )
    message = (
        utf8(span.status_message, MAX_VALUE_BYTES).decode() if span.status_code == STATUS_ERROR else None
    )
    return ReadableSpan(
        name=utf8(span.name, MAX_VALUE_BYTES).decode(),
        context=context,
        parent=parent,
        resource=resource,
        attributes=_attributes(span.all_attributes(), hidden),
        events=[Event(e.name, _attributes(e.attributes, hidden), e.time_unix_nano) for e in span.events],
        kind=SpanKind(span.kind - 1),  # OTLP counts from one: zero is "unspecified" there
        status=Status(StatusCode(span.status_code), message or None),
        start_time=span.start_unix_nano,
        end_time=span.end_unix_nano,
        instrumentation_scope=InstrumentationScope(SCOPE_NAME, version),
    )


def _attributes(attributes: Mapping[str, Any], hidden: Callable[[str], bool] | None) -> dict[str, Any]:
    """What every exporter can write: one value that it cannot would cost the whole batch there."""
    clean = {
        utf8(key, MAX_VALUE_BYTES).decode(): _clean(value)
        for key, value in attributes.items()
        if not (hidden and hidden(key))
    }
    return {key: value for key, value in clean.items() if value is not None}


def _clean(value: Any) -> Any:
    """The value as a plain OpenTelemetry attribute, or ``None`` if it is none; calls no foreign ``str()``."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str.__str__(value)
        return (
            text if text.isascii() and len(text) <= MAX_VALUE_BYTES else utf8(text, MAX_VALUE_BYTES).decode()
        )
    if isinstance(value, int):
        number = int.__index__(value)
        if -(1 << 63) <= number < 1 << 63:
            return number
        return str(number) if number.bit_length() <= 4_096 else None
    if isinstance(value, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else None
    if isinstance(value, list | tuple):
        parts = cast("Sequence[Any]", value)
        items = [None if isinstance(part, list | tuple) else _clean(part) for part in parts]
        alike = all(type(item) is type(items[0]) for item in items)
        return tuple(items) if alike and None not in items else None
    return None


class ExporterWay:
    """Gives batches to an OpenTelemetry exporter, which does its own retries: its "failure" is final.

    Args:
        exporter: Of the user's choice; shut down at the end.
        resource: Resource attributes of this process.
        version: Of this SDK.
    """

    max_bytes = 1 << 62  # exporters split as they need; the number of spans bounds a batch
    failures = 0  # none of them is tried again

    def __init__(self, exporter: SpanExporter, resource: Mapping[str, Any], version: str) -> None:
        self._exporter = exporter
        self._attributes = resource
        self._version = version
        self._resource: Resource | None = None

    def deliver(self, batch: Batch[FinishedSpan]) -> None:
        """Export one batch; what the exporter does not take is lost, and counted."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._resource is None:
            self._resource = Resource(_attributes(self._attributes, None))
        spans: list[ReadableSpan] = []
        odd = 0
        for span in batch.items:
            try:
                spans.append(readable_span(span, self._resource, self._version))
            except Exception as exc:  # noqa: BLE001, PERF203  # one odd span must not cost its neighbours
                odd += 1
                _log.error("promptspan: a span does not fit OpenTelemetry: %s", without_words(exc))
        count = len(batch.items)
        try:
            taken = not spans or self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001  # an exporter of the user's
            taken = False
            _log.exception("promptspan: the exporter failed")
        batch.delivered(count, odd if taken else count, "export_failed")

    def close(self) -> None:
        """Shut the exporter down."""
        try:
            self._exporter.shutdown()
        except Exception:  # noqa: BLE001
            _log.exception("promptspan: the exporter could not be shut down")

    def abandon(self) -> None:
        """In a forked child the exporter goes on to be used: how to do that is its own business."""


def emit_to_provider(
    span: FinishedSpan, provider: TracerProvider, version: str, hidden: Callable[[str], bool] | None = None
) -> bool:
    """Give a span to the processors of the application's own provider, as if one of its tracers had ended it.

    ``opentelemetry-sdk`` has no public way in for a finished span with ids of its own: a tracer would make
    new ids and sample again. So this calls ``on_end`` of the processor that the provider's tracers share, as
    ``Span.end()`` does. Processors skip what is flagged "not sampled", as they do for any span.

    Args:
        span: What was recorded.
        provider: For example ``opentelemetry.trace.get_tracer_provider()``.
        version: Of this SDK, for the scope.
        hidden: Says which attributes to leave out, by key: content, unless it is allowed.

    Returns:
        False if the provider is not one of ``opentelemetry-sdk`` (the API's proxy, or a no-op).
    """
    processor: Any = getattr(provider, "_active_span_processor", None)
    resource: Any = getattr(provider, "resource", None)
    if processor is None or resource is None or getattr(provider, "_disabled", False):
        return False
    processor.on_end(readable_span(span, resource, version, hidden))
    return True
