"""Markers: what people and pipelines did and when (migration 0016)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.store.executor import Executor

KINDS = ("deploy", "config", "note", "incident")
_LONGEST = {"text": 2000, "link": 2000}
_LONGEST_NAME = 200
_AHEAD = timedelta(days=1)
_BACK = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Marker:
    """One thing that happened.

    Attributes:
        id: Its identity; a second one of the same id replaces it.
        at: When, UTC.
        kind: One of `KINDS`.
        text: One line.
        author: Who or what did it.
        environment: Where; empty for everywhere.
        service: Of which application; empty for all.
        prompt_name: To which prompt; empty for all.
        prompt_version: To which version of it.
        incident: Fingerprint of the alert that it is about.
        link: More about it.
    """

    id: str
    at: datetime
    kind: str
    text: str
    author: str = ""
    environment: str = ""
    service: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    incident: str = ""
    link: str = ""


_NAMES = tuple(field.name for field in fields(Marker))


def read_marker(given: Mapping[str, Any], now: datetime | None = None) -> Marker:
    """Read what somebody sent.

    Args:
        given: Fields by name: `text`, and optionally the others of `Marker`; `at` as ISO 8601 (UTC where it
            names no zone), now if it is missing.
        now: The time, UTC.

    Raises:
        ValueError: A field is unknown, missing, or not as it should be; the message says which.
    """
    now = now or datetime.now(timezone.utc)
    unknown = sorted(set(given) - set(_NAMES))
    if unknown:
        raise ValueError(f"{unknown[0][:60]!r} is no field of a marker; there are {', '.join(_NAMES)}")
    values: dict[str, str] = {}
    for name in _NAMES:
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name} is text")
        text = " ".join((value or "").split())
        if len(text) > _LONGEST.get(name, _LONGEST_NAME):
            raise ValueError(f"{name} is longer than {_LONGEST.get(name, _LONGEST_NAME)} characters")
        if any(not character.isprintable() for character in text):
            raise ValueError(f"{name} has characters in it that cannot be shown")
        values[name] = text
    if not values["text"]:
        raise ValueError("text is missing: one line of what happened")
    values["kind"] = values["kind"] or "note"
    if values["kind"] not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    if values["link"] and not values["link"].startswith(("https://", "http://")):
        raise ValueError("link begins with https:// or http://")
    at = _moment(values.pop("at"), now)
    identity = values.pop("id") or _identity(values, at)
    return Marker(id=identity, at=at, **values)


def record(executor: Executor, marker: Marker) -> None:
    """Write a marker; writing it again changes nothing.

    Raises:
        StoreError: The store refused.
    """
    executor.insert("markers", _NAMES, [[getattr(marker, name) for name in _NAMES]])


def _moment(text: str, now: datetime) -> datetime:
    if not text:
        return now
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError("at is a time like 2026-01-31T14:05:00Z") from None
    at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
    if not now - _BACK <= at <= now + _AHEAD:
        raise ValueError(f"at is within the last {_BACK.days} days")
    return at


def _identity(values: Mapping[str, str], at: datetime) -> str:
    content = json.dumps([at.isoformat(), *sorted(values.items())])
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
