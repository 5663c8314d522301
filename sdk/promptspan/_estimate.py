"""Tokens that the provider did not tell, counted here and marked: a stream without usage, or one left early.

What the provider did say stays as it said it. The input is counted only where the very text is known that the
model was given: the request that the client sent, the conversation among the arguments, or the rendered
prompt. Reasoning that is not shown, images and audio cannot be counted.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from . import _content
from ._kinds import is_dict, is_list, is_text
from ._plain import plain
from ._readers._envelopes import json_of
from ._readers._fields import as_text, fields_of, get
from ._reading import Usage
from ._vocabulary import tokens_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._call import Call
    from ._reading import Reading

_OPERATIONS = frozenset({a.OPERATION_CHAT, a.OPERATION_TEXT_COMPLETION, a.OPERATION_GENERATE_CONTENT})
# What a chat's format adds: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
_TOKENS_OF_A_MESSAGE = 4
_TOKENS_OF_THE_REPLY = 3
_PROMPTS = ("system", "instructions", "systemInstruction", "messages", "input", "contents", "prompt", "tools")
_TEXTS = frozenset({"content", "text", "parts", "arguments", "function", "tool_calls", "output"})
_MOST_TEXTS = 5_000


def completed(
    call: Call, arguments: dict[str, Any], reading: Reading | None, usage: Usage | None, model: str | None
) -> Usage | None:
    """``usage`` with estimates where it knows nothing of a total.

    Args:
        call: The call.
        arguments: Of the decorated function, by name.
        reading: What was read of its response; without one, nobody knows whether the model ran at all.
        usage: What the provider said of its tokens.
        model: Which model; without one there is nothing to count with, and no price.
    """
    if reading is None or not model or (call.spec.operation or reading.operation) not in _OPERATIONS:
        return usage
    if usage is not None and usage.input_tokens is not None and usage.output_tokens is not None:
        # LiteLLM says 0 and 0 where it was told nothing.
        if usage.input_tokens or usage.output_tokens or not reading.text:
            return usage
        usage = None
    if call.noted and call.noted.get(a.PROMPTSPAN_CACHED):
        return usage  # no model ran
    known = usage or Usage()
    download = call.recorder.config.download_vocabulary
    if known.output_tokens is None:
        said = "".join(_said(reading))
        known = replace(known, output_tokens=tokens_in(said, model, download=download), estimated=True)
    if known.input_tokens is None:
        messages = list(_given(call, arguments))
        if messages:
            count = tokens_of_messages(messages, model, download=download)
            known = replace(known, input_tokens=count, estimated=True)
    return known


def tokens_of_messages(messages: list[str], model: str, *, download: bool = False) -> int:
    """About how many tokens the texts of messages are as input, with what a chat's format adds."""
    count = sum(tokens_in(text, model, download=download) for text in messages)
    return count + _TOKENS_OF_A_MESSAGE * len(messages) + _TOKENS_OF_THE_REPLY


def _said(reading: Reading) -> Iterator[str]:
    for message in reading.output:
        for part in message.parts:
            for value in (part.get("content"), part.get("name"), part.get("arguments")):
                if is_text(value):
                    yield value
                elif value is not None:
                    yield json.dumps(plain(value), ensure_ascii=False)


def _given(call: Call, arguments: dict[str, Any]) -> Iterator[str]:
    """The texts that the model was given, one a message."""
    body = json_of(get(call.request, "content"))
    if body is not None:
        yield from _messages(body)
    elif any(_content.conversation(arguments.get(name)) for name in _content.CONVERSATIONS):
        yield from _messages(arguments)
    else:
        yield from call.rendered or ()


def _messages(request: Any) -> Iterator[str]:
    fields = fields_of(request)
    for name in _PROMPTS:
        value = fields.get(name)
        if name == "tools":
            if value:
                yield json.dumps(plain(value), ensure_ascii=False)
        elif is_list(value):
            for message in value[:_MOST_TEXTS]:
                yield "".join(_texts(message, 0))
        elif value is not None and (text := "".join(_texts(value, 0))):
            yield text


def _texts(value: Any, depth: int) -> Iterator[str]:
    """The text in a message of any shape, without the data of its images and sounds."""
    if is_text(value):
        yield str.__str__(value)
    elif is_list(value):
        for item in value[:_MOST_TEXTS]:
            yield from _texts(item, depth + 1)
    elif value is not None and depth < 8:
        fields = fields_of(value)
        if is_dict(fields) and as_text(fields.get("type")) in ("image_url", "input_audio", "image"):
            return
        for name in _TEXTS:
            yield from _texts(fields.get(name), depth + 1)
        yield as_text(fields.get("name")) or ""
