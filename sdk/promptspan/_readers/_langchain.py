"""LangChain's messages: ``AIMessage``, its chunks, and the results that hold them. Counts are inclusive.

Source: https://reference.langchain.com/python/langchain_core/messages/ (``UsageMetadata``)
"""

from __future__ import annotations

from dataclasses import fields as fields_of_class
from typing import Any

from promptspan import _attributes as a
from promptspan._kinds import is_list, is_text
from promptspan._reading import Message, Reading, Usage

from . import _chat_completions
from ._accounting import Accounting
from ._fields import get, items, text, tool_call_part, total
from ._providers import well_known

SHAPE = "langchain"
_HOUR = "input_token_details.ephemeral_1h_input_tokens"
_ACCOUNTING = Accounting(
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    # With a tier of service the names begin with it.
    cache_read_tokens=(
        "input_token_details.cache_read",
        "input_token_details.priority_cache_read",
        "input_token_details.flex_cache_read",
    ),
    # With the lifetimes known, the sum of both is left at 0.
    cache_write_tokens=(
        "input_token_details.cache_creation + input_token_details.ephemeral_5m_input_tokens + " + _HOUR,
        "input_token_details.priority_cache_creation",
        "input_token_details.flex_cache_creation",
    ),
    cache_write_1h_tokens=_HOUR,
    reasoning_tokens=(
        "output_token_details.reasoning",
        "output_token_details.priority_reasoning",
        "output_token_details.flex_reasoning",
    ),
    audio_input_tokens="input_token_details.audio",
    audio_output_tokens="output_token_details.audio",
    image_input_tokens="input_token_details.image",
    image_output_tokens="output_token_details.image",
)
_COUNTS = tuple(field.name for field in fields_of_class(Usage) if field.name != "estimated")
_OWN_IDS = ("lc_", "run-")
_FILTERED = frozenset({"content_filter", "SAFETY", "PROHIBITED_CONTENT", "guardrail_intervened"})
_TRUNCATED = frozenset({"length", "max_tokens", "MAX_TOKENS"})


def matches(response: Any) -> bool:
    """Whether ``response`` is a message of the model, or a result with its generations."""
    return _is_message(response, ("ai", "AIMessageChunk")) or bool(_messages(response))


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is a piece of a streamed message."""
    return _is_message(chunk, ("AIMessageChunk",))


def _is_message(value: Any, kinds: tuple[str, ...]) -> bool:
    return text(value, "type") in kinds and get(value, "response_metadata") is not None


def _messages(result: Any) -> list[Any]:
    """One message a prompt of an ``LLMResult`` or ``ChatResult``: several answers to one share its usage."""
    generations = items(result, "generations")
    prompts = generations if generations and not get(generations[0], "message") else [generations]
    firsts = [get(answers[0], "message") for answers in prompts if is_list(answers) and answers]
    return [message for message in firsts if message is not None]


def _parts(message: Any) -> list[dict[str, Any]]:
    content = get(message, "content")
    parts = [
        part for part in _chat_completions.message_parts({"content": content}) if part["type"] != "tool_use"
    ]
    parts.extend(
        tool_call_part(text(call, "id"), text(call, "name"), get(call, "args"))
        for call in items(message, "tool_calls")
    )
    return parts


def _said(metadata: Any, *names: str) -> str | None:
    return next((found for name in names if (found := text(metadata, name))), None)


def _id(message: Any) -> str | None:
    """The provider's id; LangChain makes one of its own where it does not know it."""
    known = text(message, "response_metadata", "id") or text(message, "id")
    return known if known and not known.startswith(_OWN_IDS) else None


def read(response: Any) -> Reading:
    """Read a message, or a result."""
    messages = _messages(response) or [response]
    assembler = Assembler()
    for message in messages:
        assembler.add(message)
        assembler.close_message()
    return assembler.reading()


class Assembler:
    """Adds up pieces: each has the counts that came with it, and the counts of all are the message's."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._parts: list[dict[str, Any]] = []
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._tools: dict[Any, dict[str, Any]] = {}
        self._messages: list[Message] = []
        self._metadata: dict[str, str] = {}
        self._id: str | None = None
        self._ended = False

    def add(self, chunk: Any) -> None:
        """Take the next piece."""
        usage = _ACCOUNTING.read(get(chunk, "usage_metadata"))
        if usage is None:  # an older integration: as the provider said it
            metadata = get(chunk, "response_metadata")
            usage = _chat_completions.read_usage(get(metadata, "token_usage"))
        for name in _COUNTS:
            more = getattr(usage, name, None)
            if more is not None:
                self._counts[name] = self._counts.get(name, 0) + more
        self._id = _id(chunk) or self._id
        self._ended = self._ended or get(chunk, "chunk_position") == "last"
        self._add_metadata(get(chunk, "response_metadata"))
        pieces = items(chunk, "tool_call_chunks")
        for part in _parts(chunk):
            if part["type"] == "text":
                self._texts.append(part["content"])
            elif part["type"] == "reasoning":
                self._thoughts.append(part["content"])
            elif part["type"] == "tool_call" and not pieces:
                self._tools[len(self._tools)] = part
        for piece in pieces:
            index = get(piece, "index")
            place = index if type(index) in (int, str) else None
            part = self._tools.setdefault(place, tool_call_part(None, None, ""))
            part["id"] = text(piece, "id") or part["id"]
            part["name"] = text(piece, "name") or part["name"]
            if is_text(part["arguments"]):
                part["arguments"] += text(piece, "args") or ""

    def _add_metadata(self, metadata: Any) -> None:
        for name, found in (
            ("model", _said(metadata, "model_name", "model")),
            ("finish", _said(metadata, "finish_reason", "stop_reason", "stopReason", "done_reason")),
            ("provider", _said(metadata, "model_provider")),
            ("tier", _said(metadata, "service_tier")),
        ):
            if found:
                self._metadata[name] = found

    def _open_message(self) -> Message | None:
        parts: list[dict[str, Any]] = []
        if thought := "".join(self._thoughts):
            parts.append({"type": "reasoning", "content": thought})
        if said := "".join(self._texts):
            parts.append({"type": "text", "content": said})
        parts.extend(dict(part) for part in self._tools.values())
        finish = self._metadata.get("finish")
        return Message(role="assistant", parts=tuple(parts), finish_reason=finish) if parts else None

    def close_message(self) -> None:
        """What follows is another message."""
        message = self._open_message() or Message(role="assistant", parts=())
        self._messages.append(message)
        self._texts, self._thoughts, self._tools = [], [], {}

    def reading(self) -> Reading:
        """What is known so far."""
        last = self._open_message()
        finish = self._metadata.get("finish")
        known = total(self._counts.get("input_tokens"), self._counts.get("output_tokens")) is not None
        return Reading(
            shape=SHAPE,
            operation=a.OPERATION_CHAT,
            provider=well_known(self._metadata.get("provider")),
            model=self._metadata.get("model"),
            response_id=self._id,
            finish_reasons=(finish,) if finish else (),
            usage=Usage(**self._counts) if known else None,  # pyright: ignore[reportArgumentType]
            output=(*self._messages, last) if last else tuple(self._messages),
            refused=finish == "refusal",
            filtered=finish in _FILTERED,
            truncated=finish in _TRUNCATED,
            service_tier=self._metadata.get("tier"),
            complete=self._ended or finish is not None,
        )
