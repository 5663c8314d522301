"""The chat-completions shape: OpenAI, Azure, and the many gateways and providers that speak it.

Counts are inclusive: ``prompt_tokens`` contains cached and audio tokens, ``completion_tokens`` the reasoning.
Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from promptspan import _attributes as a
from promptspan._kinds import is_dict, is_list, is_text, listed
from promptspan._plain import plain
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._fields import (
    as_count,
    as_text,
    count,
    fields_of,
    get,
    items,
    money,
    text,
    text_part,
    texts,
    tool_call_part,
)
from ._providers import well_known

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan._reading import Usage

SHAPE = "chat_completions"
_TRUNCATED = frozenset({"length", "model_length"})  # the latter is Mistral's


def matches(response: Any) -> bool:
    """Whether ``response`` is a whole chat (or text) completion."""
    field = fields_of(response).get
    choices = field("choices")
    if not is_list(choices):
        return False
    if as_text(field("object")) in ("chat.completion", "text_completion"):
        return True
    # Gateways often leave ``object`` out.
    first = listed(choices)[:1]
    return bool(first) and get(first[0], "message") is not None


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is a piece of a streamed chat (or text) completion."""
    kind = text(chunk, "object")
    if kind == "chat.completion.chunk":
        return True
    if kind == "text_completion":
        return is_list(get(chunk, "choices"))
    choices = items(chunk, "choices")
    return bool(choices) and get(choices[0], "delta") is not None


_ACCOUNTING = Accounting(
    input_tokens="prompt_tokens",
    output_tokens="completion_tokens",
    # DeepSeek names its cache hits apart; some gateways pass Anthropic's names on.
    cache_read_tokens=(
        "prompt_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
    ),
    cache_write_tokens=(
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_tokens",
        "cache_creation_input_tokens",
    ),
    cache_write_1h_tokens="prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
    reasoning_tokens=("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
    audio_input_tokens="prompt_tokens_details.audio_tokens",
    audio_output_tokens="completion_tokens_details.audio_tokens",
    image_input_tokens="prompt_tokens_details.image_tokens",
    image_output_tokens="completion_tokens_details.image_tokens",
)
_TICKS_PER_USD = 10**10


def read_usage(usage: Any) -> Usage | None:
    """Token counts of a ``usage`` object; ``None`` if it has none.

    A cost that a gateway computed lies beside them and is read apart.
    """
    known = _ACCOUNTING.read(usage)
    if known is None or known.output_tokens is None or known.input_tokens is None:
        return known
    beside = _beside_completion(usage, known)
    return replace(known, output_tokens=known.output_tokens + beside) if beside else known


def _beside_completion(usage: Any, known: Usage) -> int:
    """Output that is billed and not in ``completion_tokens``: some count it beside."""
    reasoning = known.reasoning_tokens or 0
    fields = fields_of(usage)
    cited = as_count(fields.get("citation_tokens"))
    if cited is not None:  # Perplexity's deep research bills both on top of its totals
        return reasoning + cited
    # xAI: only the total tells.
    said = (known.input_tokens or 0) + (known.output_tokens or 0)
    return reasoning if reasoning and as_count(fields.get("total_tokens")) == said + reasoning else 0


def reported_cost(usage: Any) -> Decimal | None:
    """What the provider's usage says that the call cost, in USD: OpenRouter, Perplexity, xAI.

    LiteLLM's ``response_cost`` is none: it comes from a price list in that library, as ours would.
    """
    fields = fields_of(usage)
    said = fields.get("cost")
    cost = None if said is None else money(fields, "cost")
    if cost is not None:
        # With a key of one's own OpenRouter bills its fee, and the provider bills the rest.
        upstream = money(fields, "cost_details", "upstream_inference_cost")
        return cost + upstream if fields.get("is_byok") is True and upstream else cost
    ticks = as_count(fields.get("cost_in_usd_ticks"))
    if ticks is not None:
        return Decimal(ticks) / _TICKS_PER_USD
    return None if said is None else money(said, "total_cost")


def speaker_of(response: Any) -> str:
    """Who speaks, as far as the response itself tells; empty if only the host can."""
    fields = fields_of(response)
    if fields.get("provider") is not None:  # OpenRouter names whom it asked
        return ""
    hidden = fields.get("_hidden_params")
    if hidden is not None:
        asked = text(hidden, "litellm_model_name") or ""
        return well_known(text(hidden, "custom_llm_provider") or asked.rpartition("/")[0].partition("/")[0])
    if fields.get("x_groq") is not None:
        return "groq"
    return "ollama" if as_text(fields.get("system_fingerprint")) == "fp_ollama" else "openai"


def _model(field: Callable[[str], Any]) -> str | None:
    """Who answered; in LiteLLM's streams ``model`` is who was asked."""
    hidden = field("_hidden_params")
    answered = None if hidden is None else text(hidden, "provider_response_model")
    return answered or as_text(field("model"))


def message_parts(message: Any) -> tuple[dict[str, Any], ...]:
    """The parts of a request's or an answer's message."""
    field = fields_of(message).get
    parts: list[dict[str, Any]] = []
    content = field("content")
    if is_text(content):
        if said := str.__str__(content):
            parts.append(text_part(said))
    elif content is not None:
        parts.extend(content_part(part) for part in items(message, "content"))
    if refusal := as_text(field("refusal")):
        parts.append({"type": "refusal", "content": refusal})
    if reasoning := as_text(field("reasoning_content")) or as_text(field("reasoning")):
        parts.append({"type": "reasoning", "content": reasoning})
    if field("tool_calls") is not None:
        parts.extend(
            tool_call_part(
                text(call, "id"), text(call, "function", "name"), get(call, "function", "arguments")
            )
            for call in items(message, "tool_calls")
        )
    return tuple(parts)


def content_part(part: Any) -> dict[str, Any]:
    """One entry of a message's content in the parts of the GenAI conventions."""
    if is_text(part):
        return text_part(str.__str__(part))
    if (content := text(part, "text")) is not None:
        return text_part(content)
    if get(part, "thinking") is not None:  # Mistral's and LangChain's reasoning
        return {"type": "reasoning", "content": texts(part, "thinking")}
    # Images and audio are large and of no use as text: only that they were there.
    return {"type": text(part, "type") or "unknown"}


def read(response: Any) -> Reading:
    """Read a whole completion."""
    response = fields_of(response)
    field = response.get
    output: list[Message] = []
    finish: list[str] = []
    refused = filtered = False
    for choice in items(response, "choices"):
        of_choice = fields_of(choice).get
        reason = as_text(of_choice("finish_reason"))
        if reason:
            finish.append(reason)
        if (message := of_choice("message")) is None:
            parts: tuple[dict[str, Any], ...] = (text_part(as_text(of_choice("text")) or ""),)
        else:
            message = fields_of(message)
            parts = message_parts(message)
            refused = refused or as_text(message.get("refusal")) is not None
        output.append(Message(role="assistant", parts=parts, finish_reason=reason))
        filtered = filtered or reason == "content_filter" or was_filtered(of_choice("content_filter_results"))
    usage = fields_of(field("usage"))
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_TEXT_COMPLETION
        if as_text(field("object")) == "text_completion"
        else a.OPERATION_CHAT,
        provider=speaker_of(response),
        model=_model(field),
        response_id=as_text(field("id")),
        finish_reasons=tuple(finish),
        usage=read_usage(usage),
        output=tuple(output),
        refused=refused,
        filtered=filtered,
        truncated=not _TRUNCATED.isdisjoint(finish),
        service_tier=as_text(field("service_tier")) or as_text(usage.get("service_tier")),
        reported_cost_usd=reported_cost(usage),
    )


def was_filtered(results: Any) -> bool:
    """Whether Azure's content filter marks a choice with these results as filtered."""
    return is_dict(results) and any(
        get(result, "filtered") is True for result in dict[Any, Any].values(results)
    )


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
        said = fields.get("text") if content is None else content.get("content")
        if is_list(said):
            self._add_parts(delta)
        for pieces, piece in (
            (self.content, said),
            (self.refusal, content and content.get("refusal")),
            (self.reasoning, content and (content.get("reasoning_content") or content.get("reasoning"))),
        ):
            if is_text(piece) and (plain_piece := str.__str__(piece)):
                pieces.append(plain_piece)
        if content is not None and content.get("tool_calls"):
            self._add_tools(delta)
        if fields.get("finish_reason") is not None:
            self.finish = text(choice, "finish_reason") or self.finish
        if fields.get("content_filter_results") is not None:
            self.filtered = self.filtered or was_filtered(fields.get("content_filter_results"))

    def _add_parts(self, delta: Any) -> None:
        for part in map(content_part, items(delta, "content")):
            if part["type"] in ("text", "reasoning"):
                (self.content if part["type"] == "text" else self.reasoning).append(part["content"])

    def _add_tools(self, delta: Any) -> None:
        for call in items(delta, "tool_calls"):
            index = count(call, "index") or 0
            known = self.tools.setdefault(index, {"id": None, "name": None, "arguments": []})
            known["id"] = text(call, "id") or known["id"]
            known["name"] = text(call, "function", "name") or known["name"]
            piece = get(call, "function", "arguments")
            if piece is not None:
                known["arguments"].append(str.__str__(piece) if is_text(piece) else json.dumps(plain(piece)))

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
        self._cost: Decimal | None = None
        self._speaker: str | None = None
        self._completion = False

    def add(self, chunk: Any) -> None:
        """Take the next chunk."""
        fields = fields_of(chunk)
        # Azure begins with a chunk that has neither.
        if self._model is None:
            self._model = _model(fields.get)
        if self._id is None:
            self._id = text(chunk, "id")
            self._completion = self._completion or as_text(fields.get("object")) == "text_completion"
        if fields.get("service_tier") is not None:
            self._tier = text(chunk, "service_tier") or self._tier
        if self._speaker != "":
            self._speaker = speaker_of(chunk)
        if fields.get("usage") is not None or fields.get("x_groq") is not None:
            self._add_usage(chunk)
        for choice in items(fields, "choices"):
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
                self._tier = text(usage, "service_tier") or self._tier
        cost = reported_cost(get(chunk, "usage"))
        self._cost = self._cost if cost is None else cost

    def reading(self) -> Reading:
        """What is known so far."""
        choices = [choice for _, choice in sorted(self._choices.items())]
        finish = tuple(choice.finish for choice in choices if choice.finish)
        return Reading(
            shape=SHAPE,
            operation=a.OPERATION_TEXT_COMPLETION if self._completion else a.OPERATION_CHAT,
            provider=self._speaker or "",
            model=self._model,
            response_id=self._id,
            finish_reasons=finish,
            usage=self._usage,
            output=tuple(choice.message() for choice in choices),
            refused=any(choice.refusal for choice in choices),
            filtered="content_filter" in finish or any(choice.filtered for choice in choices),
            truncated=not _TRUNCATED.isdisjoint(finish),
            service_tier=self._tier,
            reported_cost_usd=self._cost,
            complete=bool(choices) and all(choice.finish for choice in choices),
        )
