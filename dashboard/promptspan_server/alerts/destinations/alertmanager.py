"""Prometheus Alertmanager, API v2: it groups, silences and routes by itself.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. Labels are an alert's
identity there, an alert without news resolves at its `endsAt`, and so firing alerts are sent again and again.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts.texts import alert_text, cleaned_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from promptspan_server.alerts.destinations.outcome import Outcome
    from promptspan_server.alerts.destinations.posting import Poster
    from promptspan_server.alerts.notice import Alert, Notice

RESEND_S = 60.0
# Three rounds may fail before an alert that fires would resolve over there.
_ENDS_AFTER = 4
_NAME = re.compile(r"[^a-zA-Z0-9_]")
_ID = "promptspan_fingerprint"


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Alertmanager:
    """Keeps one Alertmanager told."""

    def __init__(
        self, base_url: str, poster: Poster, *, resend_s: float = RESEND_S, now: Callable[[], datetime] = _now
    ) -> None:
        """Tell an Alertmanager.

        Args:
            base_url: Its address, without `/api/v2`.
            poster: How it is reached.
            resend_s: How often `resend` is called, in seconds.
            now: The time, UTC.
        """
        self._url = f"{base_url.rstrip('/')}/api/v2/alerts"
        self._poster = poster
        self._ahead = timedelta(seconds=_ENDS_AFTER * resend_s)
        self._now = now

    def send(self, notice: Notice) -> Outcome:
        """See `Sender.send`."""
        return self.resend(notice.alerts)

    def resend(self, alerts: Iterable[Alert]) -> Outcome:
        """Tell the present state of alerts. Needed while they fire, well before their `endsAt`."""
        body = json.dumps([self._posted(alert) for alert in alerts]).encode()
        # 200 is the API's answer; a 2xx of something else is not an Alertmanager's.
        return self._poster.post(
            self._url, body, {"content-type": "application/json"}, accepts=lambda status, _: status == 200
        )

    def _posted(self, alert: Alert) -> dict[str, Any]:
        clean = cleaned_alert(alert)
        labels = label_names(clean.labels)
        labels |= {"alertname": clean.rule or "unnamed", "severity": clean.severity, _ID: alert.fingerprint}
        # A label, as routes look at those. It stays as it is while the alert fires.
        labels.setdefault("owner", clean.owner)
        annotations = {"summary": clean.summary, "description": alert_text(alert)}
        if clean.runbook:
            annotations["runbook_url"] = clean.runbook
        ends_at = alert.ends_at or self._now() + self._ahead
        posted: dict[str, Any] = {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {name: value for name, value in annotations.items() if value},
            "startsAt": alert.starts_at.isoformat(),
            # An end before the start is refused; a clock may have stepped between the two.
            "endsAt": max(ends_at, alert.starts_at + timedelta(milliseconds=1)).isoformat(),
        }
        if clean.url:
            posted["generatorURL"] = clean.url
        return posted


def label_names(labels: Mapping[str, str]) -> dict[str, str]:
    """Make names fit for Prometheus (`[a-zA-Z_][a-zA-Z0-9_]*`); two that become one stay two."""
    named: dict[str, str] = {}
    for name, value in sorted(labels.items()):
        plain = _NAME.sub("_", name) or "_"
        if plain[0].isdigit():
            plain = f"_{plain}"
        while plain in named:
            plain += "_"
        named[plain] = value
    return named
