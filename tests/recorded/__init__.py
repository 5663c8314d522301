"""What the SDK sends, as an OpenTelemetry exporter behind its real pipeline gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import promptspan

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class Recorded:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def configure(self, **options: Any) -> None:
        promptspan.configure(service_name="tests", exporter=self.exporter, spool=None, **options)

    def all(self) -> list[ReadableSpan]:
        assert promptspan.flush(10)
        return list(self.exporter.get_finished_spans())

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
