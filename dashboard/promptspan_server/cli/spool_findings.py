"""What waits in the spools of this machine: spans that are not delivered, and those that are refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from promptspan._spool_report import LAST_ERROR_KEY, REFUSED_KEY, default_spool_dir, waiting_in
from promptspan_server.cli.finding import Finding, Status
from promptspan_server.cli.store_findings import age_text, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from promptspan._spool_report import Waiting

_PATIENCE_S = 60.0
_SHOWN = 3


def spools(root: Path | None) -> list[Finding]:
    """Look into the spools below ``root``, by default where the SDK keeps them."""
    place = root or default_spool_dir()
    if place is None:
        return [Finding("spool", Status.skip, "no home directory, so no default place: --spool names one")]
    folders = waiting_in(place)
    found = [_waiting(folder) for folder in folders if folder.spans]
    found += [finding for folder in folders if folder.refused and (finding := _refused(folder.refused))]
    return found or [Finding("spool", Status.ok, f"nothing waits in {place}")]


def _waiting(folder: Waiting) -> Finding:
    facts = _facts(folder.resource)
    age_s = _age_s(folder.oldest)
    detail = f"{folder.spans} spans of {facts.get('service.name') or 'an unnamed service'} wait"
    detail += f" in {folder.folder} ({size_text(folder.size_bytes)}"
    if age_s is not None:
        detail += f", the oldest {age_text(age_s)} old"
    detail += ")"
    if LAST_ERROR_KEY in facts:
        detail += f"; the receiver: {facts[LAST_ERROR_KEY]}"
    late = age_s is not None and age_s > _PATIENCE_S
    if not late and folder.writers:
        return Finding("spool", Status.ok, detail)
    remedy = (
        "they are sent once the receiver takes them: is its address right, does it run, is the token right?"
        if folder.writers
        else "the process that wrote them has ended: the next start of the application sends them"
    )
    return Finding("spool", Status.warn, detail, remedy)


def _refused(path: Path) -> Finding | None:
    try:
        requests = list(_delimited(path.read_bytes()))
    except OSError as error:
        return Finding("refused spans", Status.warn, f"{path} cannot be read: {error.strerror}")
    examples: list[str] = []
    number = 0
    for request in requests:
        for resource in request.resource_spans:
            facts = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                number += len(scope.spans)
                examples += [f"{span.name!r} ({facts.get(REFUSED_KEY, 'no reason')})" for span in scope.spans]
    if not number:
        return None
    more = f" and {number - _SHOWN} more" if number > _SHOWN else ""
    return Finding(
        "refused spans",
        Status.warn,
        f"{number} spans that the receiver refused are in {path}: {', '.join(examples[-_SHOWN:])}{more}",
        "length-delimited ExportTraceServiceRequest messages; look into them, then remove the file",
    )


def _facts(resource: bytes) -> dict[str, str]:
    try:
        attributes = Resource.FromString(resource).attributes
    except DecodeError:
        return {}
    return {pair.key: pair.value.string_value for pair in attributes}


def _age_s(oldest: bytes) -> float | None:
    try:
        spans = ScopeSpans.FromString(oldest).spans
    except DecodeError:
        return None
    return max(0.0, time.time() - spans[0].end_time_unix_nano / 1e9) if spans else None


def _delimited(data: bytes) -> Iterator[ExportTraceServiceRequest]:
    """Messages with a varint of their length before each; what is cut short ends the walk."""
    at = 0
    while at < len(data):
        size = shift = 0
        while at < len(data):
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        try:
            yield ExportTraceServiceRequest.FromString(data[at : at + size])
        except DecodeError:
            return
        at += size
