"""Captured text, read as messages by role."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        role: system, user, assistant, tool, ...; empty if the text names none.
        text: What was said, other parts than text as JSON.
    """

    role: str
    text: str


def read_messages(captured: str, role: str = "") -> list[Message]:
    """Read what `llm_texts` holds: messages as JSON, shaped by the GenAI conventions or a provider, or text.

    Args:
        captured: The column's value.
        role: Role of what has none.
    """
    if not captured:
        return []
    try:
        value: Any = json.loads(captured)
    except ValueError:
        return [Message(role, captured)]
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return [Message(role, captured)]
    return [_message(item, role) for item in cast("list[Any]", value)]


def _message(item: Any, role: str) -> Message:
    if not isinstance(item, dict):
        return Message(role, item if isinstance(item, str) else _json(item))
    fields = cast("dict[str, Any]", item)
    content = fields.get("parts", fields.get("content"))
    text = _text(content)
    # Tool calls stand beside the content in a provider's own shape.
    if fields.get("tool_calls"):
        text = "\n".join(part for part in (text, _json(fields["tool_calls"])) if part)
    if content is None and not text:
        text = _json({name: value for name, value in fields.items() if name != "role"})
    return Message(str(fields.get("role") or role), text)


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_text(part) for part in cast("list[Any]", content))
    if isinstance(content, dict):
        part = cast("dict[str, Any]", content)
        inner = part.get("text", part.get("content"))
        if part.get("type", "text") == "text" and isinstance(inner, str):
            return inner
    return _json(content)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
