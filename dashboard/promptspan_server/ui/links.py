"""Addresses inside the dashboard. Neither prompt text nor user ids go into them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from promptspan_server.ui.window import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

OVERVIEW, PROMPT, DRIFT, TRACES, TRACE, HEALTH = "", "prompt", "drift", "traces", "trace", "health"
ALERTS, INCIDENT = "alerts", "incident"
SPEND = "spend"
CLOSE = "close"


def link(page: str, *parameters: Mapping[str, str | None]) -> str:
    """Build the relative address of a page; parameters that are None are left out."""
    merged = {name: value for part in parameters for name, value in part.items() if value is not None}
    return (page or "./") + (f"?{urlencode(merged)}" if merged else "")


def incident_link(fingerprint: str) -> str:
    """Build the address of an alert's page."""
    return link(INCIDENT, {"id": fingerprint})


def trace_link(trace_id: str, span_id: str, at: datetime) -> str:
    """Build the address of one call. `at` bounds the search in time."""
    return link(TRACE, {"trace": trace_id, "span": span_id, "at": stamp(at)})
