"""The responses shape of OpenAI and of those who copy it. Counts are inclusive.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._kinds import is_list
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._chat_completions import reported_cost
from ._fields import get, items, text, text_part, tool_call_part

SHAPE = "responses"
_FINISHED = ("response.completed", "response.incomplete", "response.failed")


def matches(response: Any) -> bool:
    """Whether ``response`` is a whole response object."""
    return text(response, "object") == "response" and is_list(get(response, "output"))


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is an event of a streamed response."""
    return (text(chunk, "type") or "").startswith("response.")


_ACCOUNTING = Accounting(
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    # The images API and transcriptions call the same details by slightly other names.
    cache_read_tokens=("input_tokens_details.cached_tokens", "input_token_details.cached_tokens"),
    cache_write_tokens="input_tokens_details.cache_write_tokens",
    reasoning_tokens="output_tokens_details.reasoning_tokens",
    audio_input_tokens=("input_tokens_details.audio_tokens", "input_token_details.audio_tokens"),
    audio_output_tokens=("output_tokens_details.audio_tokens", "output_token_details.audio_tokens"),
    image_input_tokens=("input_tokens_details.image_tokens", "input_token_details.image_tokens"),
    image_output_tokens=("output_tokens_details.image_tokens", "output_token_details.image_tokens"),
)
read_usage = _ACCOUNTING.read


def _parts(item: Any) -> tuple[list[dict[str, Any]], bool]:
    """The parts of one output item, and whether it is a refusal."""
    kind = text(item, "type")
    if kind == "message":
        parts: list[dict[str, Any]] = []
        refused = False
        for piece in items(item, "content"):
            if (refusal := text(piece, "refusal")) is not None:
                parts.append({"type": "refusal", "content": refusal})
                refused = True
            elif (content := text(piece, "text")) is not None:
                parts.append(text_part(content))
        return parts, refused
    if kind == "reasoning":
        pieces = items(item, "summary") or items(item, "content")
        summary = "\n".join(piece for part in pieces if (piece := text(part, "text")))
        return ([{"type": "reasoning", "content": summary}] if summary else []), False
    if kind and kind.endswith("_call"):
        name = text(item, "name") or kind.removesuffix("_call")
        return [
            tool_call_part(text(item, "call_id") or text(item, "id"), name, get(item, "arguments"))
        ], False
    return [], False


def read(response: Any, *, complete: bool = True) -> Reading:
    """Read a response object, whole or as far as it has come."""
    parts: list[dict[str, Any]] = []
    refused = False
    for item in items(response, "output"):
        more, refusal = _parts(item)
        parts.extend(more)
        refused = refused or refusal
    # The shape has a status and a reason in place of a finish reason.
    status = text(response, "status")
    reason = text(response, "incomplete_details", "reason") or ("stop" if status == "completed" else status)
    if reason == "stop" and any(part["type"] == "tool_call" for part in parts):
        reason = "tool_calls"
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_CHAT,
        provider="openai",
        model=text(response, "model"),
        response_id=text(response, "id"),
        finish_reasons=(reason,) if reason and complete else (),
        usage=read_usage(get(response, "usage")),
        output=(Message(role="assistant", parts=tuple(parts), finish_reason=reason if complete else None),),
        refused=refused,
        filtered=reason == "content_filter" or text(response, "error", "code") == "content_filter",
        truncated=reason == "max_output_tokens",
        service_tier=text(response, "service_tier"),
        reported_cost_usd=reported_cost(get(response, "usage")),
        complete=complete,
    )


class Assembler:
    """Reads a streamed response: its last event carries the whole; before it, the pieces are put together."""

    def __init__(self) -> None:
        self._response: Any = None
        self._finished = False
        self._text: list[str] = []
        self._refusal: list[str] = []

    def add(self, chunk: Any) -> None:
        """Take the next event."""
        kind = text(chunk, "type")
        response = get(chunk, "response")
        if response is not None:
            self._response = response
            self._finished = self._finished or kind in _FINISHED
        elif kind == "response.output_text.delta" and (piece := text(chunk, "delta")):
            self._text.append(piece)
        elif kind == "response.refusal.delta" and (piece := text(chunk, "delta")):
            self._refusal.append(piece)

    def reading(self) -> Reading:
        """What is known so far."""
        if self._finished:
            return read(self._response)
        known = read(self._response, complete=False)
        parts = [text_part("".join(self._text))] if self._text else []
        if self._refusal:
            parts.append({"type": "refusal", "content": "".join(self._refusal)})
        return Reading(
            shape=SHAPE,
            operation=known.operation,
            provider=known.provider,
            model=known.model,
            response_id=known.response_id,
            usage=known.usage,
            output=(Message(role="assistant", parts=tuple(parts)),),
            refused=bool(self._refusal),
            service_tier=known.service_tier,
            complete=False,
        )
