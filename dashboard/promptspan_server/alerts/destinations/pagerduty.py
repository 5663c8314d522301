"""PagerDuty, Events API v2: one event an alert, deduplicated there by `dedup_key`.

Source: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/. 202 is accepted; 429 and 5xx may
be tried again, 400 never.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts import texts
from promptspan_server.alerts.destinations.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.alerts.destinations.posting import Poster
    from promptspan_server.alerts.notice import Alert, Notice

URL = "https://events.pagerduty.com/v2/enqueue"
_MAX_SUMMARY = 1024
_MAX_KEY = 255


class PagerDuty:
    """Tells one service of PagerDuty."""

    def __init__(self, routing_key: Callable[[], str], poster: Poster, url: str = URL) -> None:
        """Tell a service.

        Args:
            routing_key: Reads its integration key.
            poster: How it is reached.
            url: Where, for the European region.
        """
        self._routing_key = routing_key
        self._poster = poster
        self._url = url

    def send(self, notice: Notice) -> Outcome:
        """See `Sender.send`. An alert that was told before a failure is told again, under its same key."""
        key = self._routing_key()
        refused: Outcome | None = None
        for alert in notice.alerts:
            body = json.dumps(event(alert, key)).encode()
            outcome = self._poster.post(
                self._url,
                body,
                {"content-type": "application/json"},
                secrets=(key,),
                accepts=lambda status, _: status == 202,
            )
            if outcome.kind == "retry":
                return outcome
            if outcome.kind == "refused":
                refused = outcome
        return refused or Outcome("delivered", f"{len(notice.alerts)} accepted")


def event(alert: Alert, routing_key: str) -> dict[str, Any]:
    """Build the event that triggers or resolves an alert's incident."""
    clean = texts.cleaned_alert(alert)
    common: dict[str, Any] = {"routing_key": routing_key, "dedup_key": alert.fingerprint[:_MAX_KEY]}
    if alert.resolved:
        return {**common, "event_action": "resolve"}
    summary = clean.summary or clean.rule
    links = [
        {"href": href, "text": text}
        for href, text in ((clean.url, "Incident"), (clean.runbook, "Runbook"))
        if href
    ]
    return {
        **common,
        "event_action": "trigger",
        "client": "promptspan",
        **({"client_url": clean.url} if clean.url else {}),
        "links": links,
        "payload": {
            "summary": summary[:_MAX_SUMMARY],
            "source": clean.labels.get("service") or clean.labels.get("prompt_name") or "promptspan",
            "severity": "critical" if clean.severity == "page" else "warning",
            "timestamp": alert.starts_at.isoformat(),
            "class": clean.rule,
            "custom_details": {
                "labels": dict(clean.labels),
                "value": texts.measure(clean.value, clean.unit),
                "threshold": None if clean.threshold is None else texts.measure(clean.threshold, clean.unit),
                "description": clean.description,
                **({"owner": clean.owner} if clean.owner else {}),
            },
        },
    }
