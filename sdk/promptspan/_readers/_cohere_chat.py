"""Cohere's chat (v2), whole and as events. ``billed_units`` are what is paid for; ``tokens`` contain more.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._fields import count, get, items, text, text_part, texts, tool_call_part

SHAPE = "cohere_chat"
_ACCOUNTING = Accounting(
    input_tokens=("billed_units.input_tokens", "tokens.input_tokens"),
    output_tokens=("billed_units.output_tokens", "tokens.output_tokens"),
    cache_read_tokens="cached_tokens",
    image_input_tokens="billed_units.images",
)
_EVENTS = frozenset(
    {
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    }
)


def matches(response: Any) -> bool:
    """Whether ``response`` is a whole answer."""
    return get(response, "message") is not None and _ACCOUNTING.read(get(response, "usage")) is not None


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is an event of a streamed answer."""
    return text(chunk, "type") in _EVENTS


def _parts(message: Any) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if plan := text(message, "tool_plan"):
        parts.append({"type": "reasoning", "content": plan})
    for block in items(message, "content"):
        if (thought := text(block, "thinking")) is not None:
            parts.append({"type": "reasoning", "content": thought})
        elif (said := text(block, "text")) is not None:
            parts.append(text_part(said))
    parts.extend(
        tool_call_part(text(call, "id"), text(call, "function", "name"), get(call, "function", "arguments"))
        for call in items(message, "tool_calls")
    )
    return parts


def read(response: Any) -> Reading:
    """Read a whole answer."""
    return _reading(response, text(response, "id"), tuple(_parts(get(response, "message"))), complete=True)


def _reading(
    end: Any, response_id: str | None, parts: tuple[dict[str, Any], ...], *, complete: bool
) -> Reading:
    reason = text(end, "finish_reason")
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_CHAT,
        provider="cohere",
        response_id=response_id,
        finish_reasons=(reason,) if reason else (),
        usage=_ACCOUNTING.read(get(end, "usage")),
        output=(Message(role="assistant", parts=parts, finish_reason=reason),),
        filtered=reason == "ERROR_TOXIC",
        truncated=reason == "MAX_TOKENS",
        complete=complete,
    )


class Assembler:
    """Puts a streamed answer together from its events."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._tools: dict[int, dict[str, Any]] = {}
        self._end: Any = None

    def add(self, chunk: Any) -> None:
        """Take the next event."""
        kind = text(chunk, "type")
        message = get(chunk, "delta", "message")
        if kind == "message-start":
            self._id = text(chunk, "id") or self._id
        elif kind in ("content-start", "content-delta"):
            content = get(message, "content")
            self._text.append(text(content, "text") or "")
            self._thoughts.append(text(content, "thinking") or "")
        elif kind == "tool-plan-delta":
            self._thoughts.append(texts(message, "tool_plan"))
        elif kind in ("tool-call-start", "tool-call-delta"):
            call = get(message, "tool_calls")
            part = self._tools.setdefault(count(chunk, "index") or 0, tool_call_part(None, None, ""))
            part["id"] = text(call, "id") or part["id"]
            part["name"] = text(call, "function", "name") or part["name"]
            part["arguments"] += text(call, "function", "arguments") or ""
        elif kind == "message-end":
            self._end = get(chunk, "delta")
            self._id = text(chunk, "id") or self._id

    def reading(self) -> Reading:
        """What is known so far."""
        said, thought = "".join(self._text), "".join(self._thoughts)
        parts = [{"type": "reasoning", "content": thought}] if thought else []
        if said:
            parts.append(text_part(said))
        parts.extend(dict(part) for _, part in sorted(self._tools.items()))
        return _reading(self._end, self._id, tuple(parts), complete=self._end is not None)
