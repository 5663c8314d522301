"""The chat-completions shape: OpenAI, Azure, and the many gateways and providers that speak it.

Counts are inclusive: ``prompt_tokens`` contains cached and audio tokens, ``completion_tokens`` the reasoning.
Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._kinds import is_dict
from promptspan._reading import Message, Reading, Usage

from ._fields import as_count, as_text, count, fields_of, get, items, money, text, text_part, tool_call_part

SHAPE = "chat_completions"


def matches(response: Any) -> bool:
    """Whether ``response`` is a whole chat (or text) completion."""
    kind = get(response, "object")
    if kind in ("chat.completion", "text_completion"):
        return isinstance(get(response, "choices"), list)
    # Gateways often leave ``object`` out.
    choices = items(response, "choices")
    return bool(choices) and get(choices[0], "message") is not None


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is a piece of a streamed chat (or text) completion."""
    kind = get(chunk, "object")
    if kind == "chat.completion.chunk":
        return True
    if kind == "text_completion":
        return isinstance(get(chunk, "choices"), list)
    choices = items(chunk, "choices")
    return bool(choices) and get(choices[0], "delta") is not None


def read_usage(usage: Any) -> Usage | None:
    """Token counts of a ``usage`` object; ``None`` if it has none.

    A cost that a gateway computed lies beside them and is read apart.
    """
    of_all = fields_of(usage).get
    prompt, completion = as_count(of_all("prompt_tokens")), as_count(of_all("completion_tokens"))
    if prompt is None and completion is None:
        return None
    of_input = fields_of(of_all("prompt_tokens_details")).get
    of_output = fields_of(of_all("completion_tokens_details")).get
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        # DeepSeek names its cache hits apart; some gateways pass Anthropic's names on.
        cache_read_tokens=_first(
            of_input("cached_tokens"), of_all("prompt_cache_hit_tokens"), of_all("cache_read_input_tokens")
        ),
        cache_write_tokens=_first(
            of_input("cache_write_tokens"),
            of_input("cache_creation_tokens"),
            of_all("cache_creation_input_tokens"),
        ),
        cache_write_1h_tokens=count(of_input("cache_creation_token_details"), "ephemeral_1h_input_tokens"),
        reasoning_tokens=as_count(of_output("reasoning_tokens")),
        audio_input_tokens=as_count(of_input("audio_tokens")),
        audio_output_tokens=as_count(of_output("audio_tokens")),
    )


def _first(*values: Any) -> int | None:
    for value in values:
        known = as_count(value)
        if known is not None:
            return known
    return None


def reported_cost(response: Any) -> Any:
    """What OpenRouter or LiteLLM say the call cost, in USD."""
    usage = get(response, "usage")
    cost = money(usage, "cost")
    if cost is not None:
        # With a key of one's own OpenRouter bills its fee, and the provider bills the rest.
        upstream = money(usage, "cost_details", "upstream_inference_cost")
        return cost + upstream if get(usage, "is_byok") is True and upstream else cost
    return money(response, "_hidden_params", "response_cost")


def message_parts(message: Any) -> tuple[dict[str, Any], ...]:
    """The parts of a request's or an answer's message."""
    field = fields_of(message).get
    parts: list[dict[str, Any]] = []
    content = field("content")
    if isinstance(content, str):
        if said := str.__str__(content):
            parts.append(text_part(said))
    elif isinstance(content, list):
        parts.extend(_content_part(part) for part in items(message, "content"))
    if refusal := as_text(field("refusal")):
        parts.append({"type": "refusal", "content": refusal})
    if reasoning := as_text(field("reasoning_content")) or as_text(field("reasoning")):
        parts.append({"type": "reasoning", "content": reasoning})
    if field("tool_calls"):
        parts.extend(
            tool_call_part(
                text(call, "id"), text(call, "function", "name"), get(call, "function", "arguments")
            )
            for call in items(message, "tool_calls")
        )
    return tuple(parts)


def _content_part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return text_part(part)
    if (content := text(part, "text")) is not None:
        return text_part(content)
    # Images and audio are large and of no use as text: only that they were there.
    return {"type": text(part, "type") or "unknown"}


def read(response: Any) -> Reading:
    """Read a whole completion."""
    field = fields_of(response).get
    output: list[Message] = []
    finish: list[str] = []
    refused = filtered = False
    for choice in items(response, "choices"):
        of_choice = fields_of(choice).get
        reason = as_text(of_choice("finish_reason"))
        if reason:
            finish.append(reason)
        message = of_choice("message")
        parts = (text_part(as_text(of_choice("text")) or ""),) if message is None else message_parts(message)
        output.append(Message(role="assistant", parts=parts, finish_reason=reason))
        refused = refused or text(message, "refusal") is not None
        filtered = filtered or reason == "content_filter" or was_filtered(of_choice("content_filter_results"))
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_TEXT_COMPLETION if field("object") == "text_completion" else a.OPERATION_CHAT,
        provider="openai" if field("provider") is None else "",
        model=as_text(field("model")),
        response_id=as_text(field("id")),
        finish_reasons=tuple(finish),
        usage=read_usage(field("usage")),
        output=tuple(output),
        refused=refused,
        filtered=filtered,
        truncated="length" in finish,
        service_tier=as_text(field("service_tier")),
        reported_cost_usd=reported_cost(response),
    )


def was_filtered(results: Any) -> bool:
    """Whether Azure's content filter marks a choice with these results as filtered."""
    return is_dict(results) and any(get(result, "filtered") is True for result in results.values())


class _Choice:
    """One streamed answer, growing."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.tools: dict[int, dict[str, Any]] = {}
        self.finish: str | None = None
        self.filtered = False

    def add(self, choice: Any) -> None:
        fields = fields_of(choice)
        delta = fields.get("delta")
        content = None if delta is None else fields_of(delta)
        for pieces, piece in (
            (self.content, fields.get("text") if content is None else content.get("content")),
            (self.refusal, content and content.get("refusal")),
            (self.reasoning, content and (content.get("reasoning_content") or content.get("reasoning"))),
        ):
            if piece and isinstance(piece, str):
                pieces.append(piece)
        if content is not None and content.get("tool_calls"):
            self._add_tools(delta)
        if fields.get("finish_reason") is not None:
            self.finish = text(choice, "finish_reason") or self.finish
        if fields.get("content_filter_results") is not None:
            self.filtered = self.filtered or was_filtered(fields.get("content_filter_results"))

    def _add_tools(self, delta: Any) -> None:
        for call in items(delta, "tool_calls"):
            index = count(call, "index") or 0
            known = self.tools.setdefault(index, {"id": None, "name": None, "arguments": []})
            known["id"] = text(call, "id") or known["id"]
            known["name"] = text(call, "function", "name") or known["name"]
            if piece := text(call, "function", "arguments"):
                known["arguments"].append(piece)

    def message(self) -> Message:
        parts: list[dict[str, Any]] = []
        if self.content:
            parts.append(text_part("".join(self.content)))
        if self.refusal:
            parts.append({"type": "refusal", "content": "".join(self.refusal)})
        if self.reasoning:
            parts.append({"type": "reasoning", "content": "".join(self.reasoning)})
        parts.extend(
            tool_call_part(call["id"], call["name"], "".join(call["arguments"]))
            for _, call in sorted(self.tools.items())
        )
        return Message(role="assistant", parts=tuple(parts), finish_reason=self.finish)


class Assembler:
    """Puts a streamed completion together from its chunks."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._usage: Usage | None = None
        self._cost: Any = None
        self._gateway = False
        self._completion = False

    def add(self, chunk: Any) -> None:
        """Take the next chunk."""
        fields = fields_of(chunk)
        # Azure begins with a chunk that has neither.
        if self._model is None:
            self._model = text(chunk, "model")
        if self._id is None:
            self._id = text(chunk, "id")
            self._completion = self._completion or fields.get("object") == "text_completion"
        if fields.get("service_tier") is not None:
            self._tier = text(chunk, "service_tier") or self._tier
        self._gateway = self._gateway or fields.get("provider") is not None
        if fields.get("usage") is not None or fields.get("x_groq") is not None:
            self._add_usage(chunk)
        for choice in fields.get("choices") or ():
            index = count(choice, "index") or 0
            if index not in self._choices:
                self._choices[index] = _Choice()
            self._choices[index].add(choice)

    def _add_usage(self, chunk: Any) -> None:
        # With ``include_usage`` it comes in a last chunk without choices; some providers repeat it, growing.
        # Groq puts it under a key of its own.
        for usage in (get(chunk, "usage"), get(chunk, "x_groq", "usage")):
            if usage is not None:
                self._usage = read_usage(usage) or self._usage
        cost = reported_cost(chunk)
        self._cost = self._cost if cost is None else cost

    def reading(self) -> Reading:
        """What is known so far."""
        choices = [choice for _, choice in sorted(self._choices.items())]
        finish = tuple(choice.finish for choice in choices if choice.finish)
        return Reading(
            shape=SHAPE,
            operation=a.OPERATION_TEXT_COMPLETION if self._completion else a.OPERATION_CHAT,
            provider="" if self._gateway else "openai",
            model=self._model,
            response_id=self._id,
            finish_reasons=finish,
            usage=self._usage,
            output=tuple(choice.message() for choice in choices),
            refused=any(choice.refusal for choice in choices),
            filtered="content_filter" in finish or any(choice.filtered for choice in choices),
            truncated="length" in finish,
            service_tier=self._tier,
            reported_cost_usd=self._cost,
            complete=bool(choices) and all(choice.finish for choice in choices),
        )
