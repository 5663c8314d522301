"""What leaves the engine: notices about groups of alerts, and their form in the outbox."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["page", "ticket"]
NoticeStatus = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: a rule that holds for one set of labels.

    Attributes:
        fingerprint: Identity over its whole life, from firing to resolved: the receivers' deduplication key.
        rule: Name of the rule.
        severity: `page` wakes somebody, `ticket` waits for the morning.
        labels: What tells it from the rule's other alerts; data of applications, so never trusted as markup.
        state: As the engine names it (`firing`, `resolved`, ...).
        value: What was measured, in `unit`; None if it is unknown.
        threshold: What `value` was held against, in `unit`; None for rules without one.
        unit: Unit of both, empty for a plain number.
        starts_at: Since when it fires, UTC.
        ends_at: When it resolved, UTC; None while it fires.
        summary: One line.
        description: More lines.
        runbook: Address of what to do about it.
        url: Address of its incident page.
        owner: Who answers for the prompt that it is about, empty if nobody is named.
    """

    fingerprint: str
    rule: str
    severity: Severity
    labels: Mapping[str, str]
    state: str
    value: float | None
    threshold: float | None
    unit: str
    starts_at: datetime
    ends_at: datetime | None
    summary: str
    description: str = ""
    runbook: str | None = None
    url: str | None = None
    owner: str = ""

    @property
    def resolved(self) -> bool:
        """Whether it is over."""
        return self.ends_at is not None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell one destination: the present state of a group of alerts.

    Attributes:
        id: Stable over retries and restarts; two notices never share it.
        group_key: The group's identity over its notices.
        destination: Name of the destination, as configured.
        status: `firing` while any of its alerts fires.
        group_labels: What the alerts of the group have in common.
        alerts: At least one.
        created_at: When the engine decided to tell, UTC: the order of delivery.
    """

    id: str
    group_key: str
    destination: str
    status: NoticeStatus
    group_labels: Mapping[str, str]
    alerts: tuple[Alert, ...]
    created_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def to_json(self) -> str:
        """Write it as one JSON object, times as ISO 8601 in UTC; the same notice gives the same text."""
        return json.dumps(asdict(self), default=_written, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Notice:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The text is no notice; the message says which part is wrong.
        """
        try:
            fields = cast("dict[str, Any]", json.loads(text))
            alerts = tuple(_alert(each) for each in fields.pop("alerts"))
            created_at = datetime.fromisoformat(fields.pop("created_at"))
            notice = cls(**fields, alerts=alerts, created_at=created_at)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no notice: {error}") from error
        if not notice.alerts:
            raise ValueError("this is no notice: it names no alert")
        return notice


def _alert(fields: dict[str, Any]) -> Alert:
    starts_at = datetime.fromisoformat(fields.pop("starts_at"))
    ends = fields.pop("ends_at")
    return Alert(
        **fields, starts_at=starts_at, ends_at=None if ends is None else datetime.fromisoformat(ends)
    )


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    raise TypeError(f"{type(value).__name__} has no form in a notice")
