"""What the SDK sends through its real pipeline, as an exporter or a receiver of OTLP gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import promptspan
from recorded.received import spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from faults.sink import Sink


class Recorded:
    """What was sent since it was made.

    Args:
        sink: Where our own sender sends to; ``None`` for an exporter in memory in its place.
    """

    def __init__(self, sink: Sink | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.sink = sink
        self._seen = 0
        self.clear()

    def configure(self, **options: Any) -> None:
        way: dict[str, Any] = (
            {"exporter": self.exporter} if self.sink is None else {"endpoint": self.sink.endpoint}
        )
        promptspan.configure(service_name="tests", spool=None, **way, **options)

    def all(self) -> list[ReadableSpan]:
        assert promptspan.flush(10)
        if self.sink is None:
            return list(self.exporter.get_finished_spans())
        requests = self.sink.accepted[self._seen :]
        return [span for request in requests for span in spans_of(request.message)]

    def clear(self) -> None:
        """Forget what was sent."""
        self.exporter.clear()
        self._seen = 0 if self.sink is None else len(self.sink.accepted)

    def one(self) -> ReadableSpan:
        found = self.all()
        assert len(found) == 1, [span.name for span in found]
        return found[0]

    def attributes(self) -> dict[str, Any]:
        return dict(self.one().attributes or {})

    def named(self, prompt: str) -> dict[str, Any]:
        every = [dict(span.attributes or {}) for span in self.all()]
        found = [attributes for attributes in every if attributes.get("gen_ai.prompt.name") == prompt]
        assert len(found) == 1, [span.name for span in self.all()]
        return found[0]

    def statuses(self) -> list[Any]:
        return [(span.attributes or {})["promptspan.status"] for span in self.all()]
