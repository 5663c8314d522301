from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts.notice import Alert, Notice

if TYPE_CHECKING:
    from collections.abc import Sequence

SINCE = datetime(2026, 11, 20, 10, 0, tzinfo=timezone.utc)

ALERT = Alert(
    fingerprint="3f2a9c",
    rule="error-rate",
    severity="page",
    labels={"prompt_name": "inbox-summary", "prompt_version": "7"},
    state="firing",
    value=8.3,
    threshold=1.0,
    unit="%",
    starts_at=SINCE,
    ends_at=None,
    summary="8.3 % of calls of inbox-summary 7 fail",
    description="1.0 % is usual at this hour.",
    runbook="https://runbooks.example/errors",
    url="https://promptspan.example/incident?id=3f2a9c",
)
# What people and attackers write into names.
HOSTILE = (
    "<!channel> <https://evil.example|click> &amp; *bold*\r\nBcc: everyone@example.com\x1b[31m\u202eexe"
    "<script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% raw %}"
)


def alert(**changes: Any) -> Alert:
    return replace(ALERT, **changes)


def notice(number: int = 1, alerts: Sequence[Alert] = (ALERT,), **changes: Any) -> Notice:
    ended = all(each.ends_at for each in alerts)
    plain = Notice(
        id=f"n-{number}",
        group_key="error-rate/inbox-summary",
        destination="there",
        status="resolved" if ended else "firing",
        group_labels={"prompt_name": "inbox-summary", "severity": "page"},
        alerts=tuple(alerts),
        created_at=SINCE + timedelta(seconds=number),
    )
    return replace(plain, **changes)


def hostile() -> Notice:
    bad = alert(
        rule=HOSTILE,
        labels={HOSTILE: HOSTILE},
        summary=HOSTILE,
        description=HOSTILE * 50,
        unit=HOSTILE,
        url='javascript:alert(1)//"><script>',
        runbook='https://x.example/"><script>',
    )
    return notice(9, [bad], group_labels={"prompt": HOSTILE}, group_key=HOSTILE)
