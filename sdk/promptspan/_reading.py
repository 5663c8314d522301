"""What is known of one model call, whatever the provider: the readers' common result.

Nobody changes these objects. They are not declared frozen because that would triple what making them costs,
once and more for each call.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal


@dataclass(slots=True, kw_only=True)
class Usage:
    """Token counts, inclusive as in the GenAI conventions; ``None`` is unknown, never zero.

    Attributes:
        input_tokens: All input, cache reads and writes included.
        output_tokens: All output, reasoning included.
        cache_read_tokens: Part of the input, read from the provider's cache.
        cache_write_tokens: Part of the input, written to the cache, whatever its lifetime.
        cache_write_1h_tokens: Part of ``cache_write_tokens`` that is kept for an hour.
        reasoning_tokens: Part of the output.
        audio_input_tokens: Part of the input.
        audio_output_tokens: Part of the output.
        image_input_tokens: Part of the input.
        image_output_tokens: Part of the output.
        estimated: Some of the counts are not the provider's.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    estimated: bool = False

    @property
    def known(self) -> bool:
        """Whether any total is known."""
        return self.input_tokens is not None or self.output_tokens is not None

    def over(self, other: Usage | None) -> Usage:
        """These counts, completed by ``other`` where they are unknown."""
        if other is None:
            return self
        gaps = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **gaps)


@dataclass(slots=True, kw_only=True)
class Message:
    """One message in the parts of the GenAI conventions (``{"type": "text", "content": ...}`` and so on).

    Attributes:
        role: system, user, assistant or tool.
        parts: JSON-like dictionaries, each with its ``type``.
        finish_reason: Why the model stopped, for an output message.
    """

    role: str
    parts: tuple[dict[str, Any], ...]
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """All text of the message."""
        return "".join([part["content"] for part in self.parts if part.get("type") == "text"])

    @property
    def says_something(self) -> bool:
        """Whether there is anything in it but reasoning."""
        return any(
            part.get("type") != "reasoning" and (part.get("type") != "text" or part["content"].strip())
            for part in self.parts
        )


@dataclass(slots=True, kw_only=True)
class Reading:
    """The facts of one response.

    Attributes:
        shape: Which API shape it was read as.
        operation: GenAI operation name.
        provider: Who speaks this shape if the host does not say otherwise; empty if many do.
        model: The model that answered.
        response_id: The provider's id of the response.
        finish_reasons: One an answer, as the provider names them.
        usage: Tokens; ``None`` if the provider sent none.
        output: The answers.
        refused: The provider says that the model refused.
        filtered: The provider's content filter stepped in.
        truncated: The output ended at a limit of tokens.
        service_tier: Priority, batch and the like.
        reported_cost_usd: What the provider says the call cost.
        timings_ms: What the server says of its own time, by what it was spent on (``load``, ``input``,
            ``output``, ``total``).
        complete: The response came to its end; false for a stream that broke off.
    """

    shape: str
    operation: str
    provider: str = ""
    model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    usage: Usage | None = None
    output: tuple[Message, ...] = field(default=())
    refused: bool = False
    filtered: bool = False
    truncated: bool = False
    service_tier: str | None = None
    reported_cost_usd: Decimal | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    complete: bool = True

    @property
    def text(self) -> str:
        """The text of all answers."""
        return "\n".join([text for message in self.output if (text := message.text)])
