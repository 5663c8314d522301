"""The messages shape of Anthropic.

Its counts are exclusive: what the cache read or took is not in ``input_tokens``, and is added here.

Source: https://docs.anthropic.com/en/api/messages and .../build-with-claude/prompt-caching
"""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._kinds import is_list
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._fields import count, get, items, text, text_part, tool_call_part

SHAPE = "messages"
_EVENTS = frozenset(
    {
        "message_start",
        "message_delta",
        "message_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    }
)


def matches(response: Any) -> bool:
    """Whether ``response`` is a whole message."""
    return (
        text(response, "type") == "message"
        and text(response, "role") == "assistant"
        and is_list(get(response, "content"))
    )


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is an event of a streamed message."""
    return text(chunk, "type") in _EVENTS


_ACCOUNTING = Accounting(
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    cache_read_tokens="cache_read_input_tokens",
    cache_write_tokens=(
        "cache_creation_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens + cache_creation.ephemeral_1h_input_tokens",
    ),
    cache_write_1h_tokens="cache_creation.ephemeral_1h_input_tokens",
    reasoning_tokens="output_tokens_details.thinking_tokens",
    beside_input=("cache_read_tokens", "cache_write_tokens"),
)
read_usage = _ACCOUNTING.read


def block_part(block: Any) -> dict[str, Any]:
    """One content block in the parts of the GenAI conventions."""
    kind = text(block, "type") or "unknown"
    if kind == "text":
        return text_part(text(block, "text") or "")
    if kind == "thinking":
        return {"type": "reasoning", "content": text(block, "thinking") or ""}
    if kind.endswith("tool_use"):
        return tool_call_part(text(block, "id"), text(block, "name"), get(block, "input"))
    if kind == "tool_result":
        return {
            "type": "tool_call_response",
            "id": text(block, "tool_use_id"),
            "result": get(block, "content"),
        }
    return {"type": kind}


def read(response: Any) -> Reading:
    """Read a whole message."""
    parts = tuple(block_part(block) for block in items(response, "content"))
    return _reading(response, parts, text(response, "stop_reason"), get(response, "usage"), complete=True)


def _reading(
    message: Any, parts: tuple[dict[str, Any], ...], stop: str | None, usage: Any, *, complete: bool
) -> Reading:
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_CHAT,
        provider="anthropic",
        model=text(message, "model"),
        response_id=text(message, "id"),
        finish_reasons=(stop,) if stop else (),
        usage=_ACCOUNTING.read(usage),
        output=(Message(role="assistant", parts=parts, finish_reason=stop),),
        refused=stop == "refusal",
        truncated=stop in ("max_tokens", "model_context_window_exceeded"),
        service_tier=text(usage, "service_tier"),
        complete=complete,
    )


class Assembler:
    """Puts a streamed message together from its events."""

    def __init__(self) -> None:
        self._message: Any = None
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._stop: str | None = None

    def add(self, chunk: Any) -> None:
        """Take the next event."""
        kind = text(chunk, "type")
        if kind == "message_start":
            self._message = get(chunk, "message")
            self._take_usage(get(self._message, "usage"))
            self._usage.pop("output_tokens", None)
        elif kind == "message_delta":
            self._stop = text(chunk, "delta", "stop_reason") or self._stop
            self._take_usage(get(chunk, "usage"))
        elif kind == "content_block_start":
            block = get(chunk, "content_block")
            part = block_part(block)
            # A tool's input comes in pieces of JSON after an empty one.
            part["pieces"] = [part["content"]] if part.get("content") else []
            self._blocks[count(chunk, "index") or 0] = part
        elif kind == "content_block_delta":
            part = self._blocks.setdefault(count(chunk, "index") or 0, {"type": "text", "pieces": []})
            delta = get(chunk, "delta")
            piece = text(delta, "text") or text(delta, "thinking") or text(delta, "partial_json")
            if piece:
                part["pieces"].append(piece)

    def _take_usage(self, usage: Any) -> None:
        # The counts of ``message_delta`` are cumulative; it repeats the input's only in newer versions of the
        # API.
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "cache_creation",
            "output_tokens_details",
            "service_tier",
        ):
            value = get(usage, name)
            if value is not None:
                self._usage[name] = value

    def reading(self) -> Reading:
        """What is known so far. Before the end nothing is known of the output: the start counts one token."""
        parts: list[dict[str, Any]] = []
        for _, block in sorted(self._blocks.items()):
            part = {key: value for key, value in block.items() if key != "pieces"}
            joined = "".join(block["pieces"])
            if part["type"] == "tool_call":
                part["arguments"] = joined or part["arguments"]
            elif joined or "content" in part:
                part["content"] = joined
            parts.append(part)
        return _reading(self._message, tuple(parts), self._stop, self._usage, complete=self._stop is not None)
