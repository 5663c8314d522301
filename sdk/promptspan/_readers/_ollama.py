"""Ollama's own API: chat, generate and embed. The last piece of a stream carries the counts.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._fields import get, items, number, text, text_part, tool_call_part

SHAPE = "ollama"
_ACCOUNTING = Accounting(input_tokens="prompt_eval_count", output_tokens="eval_count")
_TIMINGS = {
    "load": "load_duration",
    "input": "prompt_eval_duration",
    "output": "eval_duration",
    "total": "total_duration",
}
_NS_PER_MS = 1e6


def matches(response: Any) -> bool:
    """Whether ``response`` is an answer or a piece of one."""
    return matches_chunk(response) or _embeds(response)


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is a piece of a streamed answer."""
    return type(get(chunk, "done")) is bool and text(chunk, "model") is not None


def _embeds(response: Any) -> bool:
    return get(response, "prompt_eval_count") is not None and bool(items(response, "embeddings"))


class Assembler:
    """Puts a streamed answer together; a whole one is a stream of one piece."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._tools: list[dict[str, Any]] = []
        self._last: Any = None
        self._generated = False

    def add(self, chunk: Any) -> None:
        """Take the next piece."""
        self._last = chunk
        message = get(chunk, "message")
        said = chunk if message is None else message
        self._generated = self._generated or message is None
        self._text.append(text(said, "response" if message is None else "content") or "")
        self._thoughts.append(text(said, "thinking") or "")
        self._tools.extend(
            tool_call_part(None, text(call, "function", "name"), get(call, "function", "arguments"))
            for call in items(message, "tool_calls")
        )

    def reading(self) -> Reading:
        """What is known so far."""
        last = self._last
        reason = text(last, "done_reason")
        said, thought = "".join(self._text), "".join(self._thoughts)
        parts = [{"type": "reasoning", "content": thought}] if thought else []
        if said:
            parts.append(text_part(said))
        return Reading(
            shape=SHAPE,
            operation=a.OPERATION_TEXT_COMPLETION if self._generated else a.OPERATION_CHAT,
            provider="ollama",
            model=text(last, "model"),
            finish_reasons=(reason,) if reason else (),
            usage=_ACCOUNTING.read(last),
            output=(Message(role="assistant", parts=(*parts, *self._tools), finish_reason=reason),),
            truncated=reason == "length",
            timings_ms=_timings(last),
            complete=get(last, "done") is True,
        )


def _timings(response: Any) -> dict[str, float]:
    known = {name: number(response, field) for name, field in _TIMINGS.items()}
    return {name: ns / _NS_PER_MS for name, ns in known.items() if ns is not None and ns >= 0}


def read(response: Any) -> Reading:
    """Read a whole answer."""
    if not _embeds(response):
        assembler = Assembler()
        assembler.add(response)
        return assembler.reading()
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_EMBEDDINGS,
        provider="ollama",
        model=text(response, "model"),
        usage=Accounting(input_tokens="prompt_eval_count").read(response),
        timings_ms=_timings(response),
    )
