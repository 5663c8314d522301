"""A span of our own that travels the whole way, to see that it arrives and how long it takes."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING

from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.finding import Finding, Status
from promptspan_server.cli.probes import bearer, milliseconds, post
from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
from promptspan_server.queries.diagnosis import SpanArrived

if TYPE_CHECKING:
    from promptspan_server.queries.connection import Store

SERVICE = "promptspan-doctor"
_PATIENCE_S = 15.0
_CHECK = "test span"


def send_and_see(endpoint: str, token: str | None, store: Store) -> Finding:
    """Send one span over OTLP/HTTP and wait until the store shows it in `llm_calls`.

    It is a wrapper (`invoke_workflow`) without usage: it costs nothing and counts as no model call.
    """
    trace_id = secrets.token_hex(16)
    try:
        reply = post(f"{endpoint.rstrip('/')}/v1/traces", _span(trace_id), _headers(token), _PATIENCE_S)
    except CommandError as error:
        return Finding(_CHECK, Status.fail, error.message, "see OTLP/HTTP", unreachable=True)
    if reply.status_code != 200:
        return Finding(_CHECK, Status.fail, f"{endpoint} answers {reply.status_code}", "see OTLP/HTTP")
    acknowledged = time.perf_counter()
    try:
        while not (found := store.ask(SpanArrived(trace_id)).rows[0]).in_calls:
            if time.perf_counter() - acknowledged > _PATIENCE_S:
                where = "is in spans, not in llm_calls" if found.in_spans else "did not arrive"
                detail = f"{trace_id} was acknowledged and {where} within {_PATIENCE_S:.0f} s"
                return Finding(
                    _CHECK, Status.fail, detail, "do --endpoint and --dsn belong to the same store?"
                )
            time.sleep(0.1)
    except (StoreUnreachable, QueryFailed) as error:
        return Finding(_CHECK, Status.fail, str(error))
    detail = (
        f"{trace_id} acknowledged after {milliseconds(reply):.0f} ms, "
        f"seen in llm_calls {(time.perf_counter() - acknowledged) * 1000:.0f} ms later"
    )
    return Finding(_CHECK, Status.ok, detail)


def _headers(token: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json", **bearer(token)}


def _span(trace_id: str) -> bytes:
    end_ns = time.time_ns()
    span = {
        "traceId": trace_id,
        "spanId": secrets.token_hex(8),
        "name": "promptspan doctor",
        "kind": 1,
        "startTimeUnixNano": str(end_ns - 1_000_000),
        "endTimeUnixNano": str(end_ns),
        "attributes": [_attribute("gen_ai.operation.name", "invoke_workflow")],
    }
    resource = {"attributes": [_attribute("service.name", SERVICE)]}
    scopes = [{"scope": {"name": "promptspan"}, "spans": [span]}]
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}).encode()


def _attribute(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}
