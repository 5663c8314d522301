"""A value of the application's own that has a ``usage`` beside its answer, in a provider's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan import _attributes as a
from promptspan._reading import Message, Reading

from . import _chat_completions, _converse, _generate_content, _messages, _responses
from ._fields import count, get, text, text_part

if TYPE_CHECKING:
    from promptspan._reading import Usage

SHAPE = "usage_beside"
_RULES = (
    _responses.read_usage,
    _chat_completions.read_usage,
    _converse.read_usage,
    _generate_content.read_usage,
)
_ANSWERS = ("text", "output_text", "answer", "content", "output", "completion")


def matches(response: Any) -> bool:
    """Whether ``response`` has usage that can be read."""
    return read_usage(get(response, "usage")) is not None


def read_usage(usage: Any) -> Usage | None:
    """Token counts in the words of any known shape."""
    # Only Anthropic's words have the cache at this level, and only its counts leave it out of the input.
    exclusive = (
        count(usage, "cache_read_input_tokens") is not None
        or count(usage, "cache_creation_input_tokens") is not None
    )
    if exclusive and count(usage, "input_tokens") is not None:
        return _messages.read_usage(usage)
    return next((known for rules in _RULES if (known := rules(usage)) is not None), None)


def read(response: Any) -> Reading:
    """Read what can be found beside the usage."""
    answer = next((words for name in _ANSWERS if (words := text(response, name))), None)
    finish = text(response, "finish_reason") or text(response, "stop_reason")
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_CHAT,
        model=text(response, "model"),
        response_id=text(response, "response_id") or text(response, "id"),
        finish_reasons=(finish,) if finish else (),
        usage=read_usage(get(response, "usage")),
        output=(Message(role="assistant", parts=(text_part(answer),), finish_reason=finish),)
        if answer
        else (),
        truncated=finish in ("length", "max_tokens"),
        reported_cost_usd=_chat_completions.reported_cost(get(response, "usage")),
    )
