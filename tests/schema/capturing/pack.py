"""Packs what `run` wrote into the file that the tests read: `python -m schema.capturing.pack OUT_FOLDER`.

Set-ups that the folder does not have stay as they are.

Ids and times count from the beginning of a capture, so that the file depends on the instrumentations alone.
"""

from __future__ import annotations

import base64
import itertools
import json
import lzma
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from schema.capturing.replies import Reply

PACKED = Path(__file__).parents[1] / "captures.json.xz"

_LENGTHY = ("stacktrace", "stack_trace", "json_schema", "code.", "filepath", "version_hash", "_pydantic_ai")
_LONGEST = 1500
# Where the packages were installed is nobody's business.
_PLACE = re.compile(r"/(?:tmp|home|root|usr|work)/[^\s\"']*")


def main() -> None:
    setups: dict[str, Any] = json.loads(lzma.decompress(PACKED.read_bytes())) if PACKED.exists() else {}
    setups |= {path.stem: _setup(path) for path in sorted(Path(sys.argv[1]).glob("*.json"))}
    text = json.dumps({name: setup for name, setup in setups.items() if setup["captures"]}, sort_keys=True)
    PACKED.write_bytes(lzma.compress(text.encode(), preset=9))
    sys.stdout.write(f"{len(setups)} set-ups, {len(text):,} bytes, packed {PACKED.stat().st_size:,}\n")


def _setup(path: Path) -> dict[str, Any]:
    made = json.loads(path.read_text(encoding="utf-8"))
    captures = {name: _capture(capture) for name, capture in made["captures"].items() if capture["calls"]}
    return {"versions": made["versions"], "captures": captures}


def _capture(capture: dict[str, Any]) -> dict[str, Any]:
    request = ExportTraceServiceRequest.FromString(base64.b64decode(capture["otlp"]))
    spans = [
        (group.scope, span)
        for resource in request.resource_spans
        for group in resource.scope_spans
        for span in group.spans
    ]
    begin = min((span.start_time_unix_nano for _, span in spans), default=0)
    counter = itertools.count(1)
    numbers: defaultdict[bytes, int] = defaultdict(lambda: next(counter))
    return {
        "calls": [_call(call) for call in capture["calls"]],
        "expected_calls": capture["expected_calls"],
        "ending": capture["ending"],
        "spans": [
            _span(scope, span, begin, numbers)
            for scope, span in sorted(spans, key=lambda pair: pair[1].start_time_unix_nano)
        ],
    }


def _call(call: dict[str, Any]) -> dict[str, Any]:
    usual = Reply().__dict__
    kept = {
        name: value
        for name, value in call["reply"].items()
        if value != usual[name] or name in {"model", "input", "output"}
    }
    return call | {"reply": kept}


def _span(scope: Any, span: Any, begin: int, numbers: dict[bytes, int]) -> dict[str, Any]:
    packed: dict[str, Any] = {
        "scope": scope.name,
        "version": scope.version,
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano - begin,
        "duration": span.end_time_unix_nano - span.start_time_unix_nano,
        "trace": numbers[span.trace_id],
        "id": numbers[span.span_id],
        "parent": numbers[span.parent_span_id] if span.parent_span_id else 0,
        "status": span.status.code,
        "message": _PLACE.sub("~", span.status.message)[:200],
        "attributes": _attributes(span.attributes),
    }
    events = [
        {"name": event.name, "at": event.time_unix_nano - begin, "attributes": _attributes(event.attributes)}
        for event in span.events
    ]
    return packed | ({"events": events} if events else {})


def _attributes(pairs: Any) -> dict[str, Any]:
    found = {pair.key: _value(pair.value) for pair in pairs if not any(word in pair.key for word in _LENGTHY)}
    return {
        key: value
        for key, value in found.items()
        if not (isinstance(value, str) and len(value) > _LONGEST and not value.startswith("{"))
    }


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    if kind == "string_value":
        return _PLACE.sub("~", value.string_value)
    return getattr(value, kind) if kind else None


if __name__ == "__main__":
    main()
