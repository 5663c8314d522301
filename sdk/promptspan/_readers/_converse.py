"""Bedrock's converse shape, whole and as events. Cache reads and writes lie beside ``inputTokens``.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._kinds import is_dict, is_list
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._fields import count, get, items, number, text, text_part, tool_call_part

SHAPE = "converse"
PROVIDER = "aws.bedrock"
_ACCOUNTING = Accounting(
    input_tokens="inputTokens",
    output_tokens="outputTokens",
    cache_read_tokens=("cacheReadInputTokens", "cacheReadInputTokenCount"),
    cache_write_tokens=("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
    cache_write_1h_tokens="cacheDetails[ttl=1h].inputTokens",
    beside_input=("cache_read_tokens", "cache_write_tokens"),
)
read_usage = _ACCOUNTING.read
_EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop")
_FILTERED = frozenset({"guardrail_intervened", "content_filtered"})
_TRUNCATED = frozenset({"max_tokens", "model_context_window_exceeded"})


def matches(response: Any) -> bool:
    """Whether ``response`` is a reply of ``converse``."""
    return text(response, "stopReason") is not None and is_list(get(response, "output", "message", "content"))


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is an event of ``converse_stream``: one key, which names it."""
    return any(is_dict(get(chunk, name)) for name in _EVENTS) or (
        count(chunk, "metadata", "usage", "inputTokens") is not None
    )


def _part(block: Any) -> dict[str, Any]:
    if (content := text(block, "text")) is not None:
        return text_part(content)
    if (call := get(block, "toolUse")) is not None:
        return tool_call_part(text(call, "toolUseId"), text(call, "name"), get(call, "input"))
    if (thought := get(block, "reasoningContent")) is not None:
        return {"type": "reasoning", "content": text(thought, "reasoningText", "text") or ""}
    return {"type": "unknown"}


def read(response: Any) -> Reading:
    """Read a whole reply."""
    parts = tuple(map(_part, items(response, "output", "message", "content")))
    request_id = text(response, "ResponseMetadata", "RequestId")
    return _reading(response, parts, text(response, "stopReason"), request_id)


def _reading(
    facts: Any, parts: tuple[dict[str, Any], ...], stop: str | None, request_id: str | None
) -> Reading:
    """From the fields that a reply and the last event of a stream have in common."""
    latency_ms = number(facts, "metrics", "latencyMs")
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_CHAT,
        provider=PROVIDER,
        model=text(facts, "trace", "promptRouter", "invokedModelId"),
        response_id=request_id,
        finish_reasons=(stop,) if stop else (),
        usage=_ACCOUNTING.read(get(facts, "usage")),
        output=(Message(role="assistant", parts=parts, finish_reason=stop),),
        filtered=stop in _FILTERED,
        truncated=stop in _TRUNCATED,
        service_tier=text(facts, "serviceTier", "type"),
        timings_ms={} if latency_ms is None else {"total": latency_ms},
        complete=stop is not None,
    )


class Assembler:
    """Puts a streamed reply together from its events."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._stop: str | None = None
        self._facts: Any = None

    def add(self, chunk: Any) -> None:
        """Take the next event."""
        if (event := get(chunk, "contentBlockDelta")) is not None:
            self._add_delta(event)
        elif (event := get(chunk, "contentBlockStart")) is not None:
            tool = get(event, "start", "toolUse")
            if tool is not None:
                part = tool_call_part(text(tool, "toolUseId"), text(tool, "name"), "")
                self._blocks[count(event, "contentBlockIndex") or 0] = part
        elif (event := get(chunk, "messageStop")) is not None:
            self._stop = text(event, "stopReason") or self._stop
        elif (event := get(chunk, "metadata")) is not None:
            self._facts = event

    def _add_delta(self, event: Any) -> None:
        index, delta = count(event, "contentBlockIndex") or 0, get(event, "delta")
        if (piece := text(delta, "toolUse", "input")) is not None:
            part = self._blocks.setdefault(index, tool_call_part(None, None, ""))
            if part["type"] == "tool_call":
                part["arguments"] += piece
            return
        kind, piece = "text", text(delta, "text")
        if piece is None:
            kind, piece = "reasoning", text(delta, "reasoningContent", "text")
        if piece is not None:
            part = self._blocks.setdefault(index, {"type": kind, "content": ""})
            if "content" in part:
                part["content"] += piece

    def reading(self) -> Reading:
        """What is known so far; the usage comes in an event after the answer's end."""
        parts = tuple(dict(part) for _, part in sorted(self._blocks.items()))
        return _reading(self._facts, parts, self._stop, None)
