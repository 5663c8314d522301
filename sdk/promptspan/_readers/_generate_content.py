"""The generate-content shape of Google: the Gemini API and Vertex AI, by ``google-genai`` or as JSON.

``promptTokenCount`` contains what the cache gave; thoughts lie beside the candidates' tokens and the prompts
of tools beside the prompt's, and both are billed. A streamed answer comes as responses of the same shape,
each with the counts so far.

Source: https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan import _attributes as a
from promptspan._reading import Message, Reading

from ._accounting import Accounting
from ._fields import as_text, get, items, text, text_part, tool_call_part

if TYPE_CHECKING:
    from promptspan._reading import Usage

SHAPE = "generate_content"
# The client's names, and the API's.
_ACCOUNTING = (
    Accounting(
        input_tokens="prompt_token_count",
        output_tokens="candidates_token_count",
        cache_read_tokens="cached_content_token_count",
        reasoning_tokens="thoughts_token_count",
        tool_tokens="tool_use_prompt_token_count",
        audio_input_tokens="prompt_tokens_details[modality=AUDIO].token_count",
        audio_output_tokens="candidates_tokens_details[modality=AUDIO].token_count",
        image_input_tokens="prompt_tokens_details[modality=IMAGE].token_count",
        image_output_tokens="candidates_tokens_details[modality=IMAGE].token_count",
        beside_input=("tool_tokens",),
        beside_output=("reasoning_tokens",),
    ),
    Accounting(
        input_tokens="promptTokenCount",
        output_tokens="candidatesTokenCount",
        cache_read_tokens="cachedContentTokenCount",
        reasoning_tokens="thoughtsTokenCount",
        tool_tokens="toolUsePromptTokenCount",
        audio_input_tokens="promptTokensDetails[modality=AUDIO].tokenCount",
        audio_output_tokens="candidatesTokensDetails[modality=AUDIO].tokenCount",
        image_input_tokens="promptTokensDetails[modality=IMAGE].tokenCount",
        image_output_tokens="candidatesTokensDetails[modality=IMAGE].tokenCount",
        beside_input=("tool_tokens",),
        beside_output=("reasoning_tokens",),
    ),
)
_FILTERED = frozenset(
    {"SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT"}
)
_TIERS = {
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND": "default",
    "PROVISIONED_THROUGHPUT": "provisioned",
}


def matches(response: Any) -> bool:
    """Whether ``response`` is a generate-content response, whole or a piece of a stream."""
    candidates = items(response, "candidates")
    if candidates:
        return (
            get(candidates[0], "content") is not None or _either(candidates[0], "finish_reason") is not None
        )
    return (
        _usage(response) is not None
        or _word(_either(response, "prompt_feedback"), "block_reason") is not None
    )


matches_chunk = matches


def _either(source: Any, name: str) -> Any:
    """A field by the client's name or by the API's."""
    found = get(source, name)
    if found is not None:
        return found
    first, *rest = name.split("_")
    return get(source, first + "".join(word.capitalize() for word in rest))


def _word(source: Any, name: str) -> str | None:
    return as_text(_either(source, name))


def _usage(response: Any) -> Usage | None:
    return read_usage(_either(response, "usage_metadata"))


def read_usage(usage: Any) -> Usage | None:
    """Token counts of usage metadata; ``None`` if it has none."""
    for rules in _ACCOUNTING:
        known = rules.read(usage)
        if known is not None:
            return known
    return None


def _part(part: Any) -> dict[str, Any]:
    content = text(part, "text")
    if content is not None:
        return (
            {"type": "reasoning", "content": content} if get(part, "thought") is True else text_part(content)
        )
    call = _either(part, "function_call")
    if call is not None:
        return tool_call_part(text(call, "id"), text(call, "name"), get(call, "args"))
    return {"type": "blob" if _either(part, "inline_data") is not None else "unknown"}


class Assembler:
    """Puts a streamed answer together from responses; a whole one is a stream of one."""

    def __init__(self) -> None:
        self._parts: dict[int, list[dict[str, Any]]] = {}
        self._finish: dict[int, str] = {}
        self._usage: Usage | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._vertex = False
        self._blocked: str | None = None

    def add(self, chunk: Any) -> None:
        """Take the next response."""
        self._model = _word(chunk, "model_version") or self._model
        self._id = _word(chunk, "response_id") or self._id
        self._blocked = _word(_either(chunk, "prompt_feedback"), "block_reason") or self._blocked
        traffic = _word(_either(chunk, "usage_metadata"), "traffic_type")
        if traffic:  # only Vertex AI has kinds of traffic
            self._vertex, self._tier = True, _TIERS.get(traffic, traffic.lower())
        self._usage = _usage(chunk) or self._usage
        for index, candidate in enumerate(items(chunk, "candidates")):
            reason = _word(candidate, "finish_reason")
            if reason:
                self._finish[index] = reason
            parts = self._parts.setdefault(index, [])
            for part in map(_part, items(candidate, "content", "parts")):
                if parts and part["type"] in ("text", "reasoning") and parts[-1]["type"] == part["type"]:
                    parts[-1]["content"] += part["content"]
                else:
                    parts.append(part)

    def reading(self) -> Reading:
        """What is known so far."""
        finish = tuple(reason for _, reason in sorted(self._finish.items()))
        return Reading(
            shape=SHAPE,
            operation=a.OPERATION_GENERATE_CONTENT,
            provider="gcp.vertex_ai" if self._vertex else "gcp.gemini",
            model=self._model,
            response_id=self._id,
            finish_reasons=finish or ((self._blocked,) if self._blocked else ()),
            usage=self._usage,
            output=tuple(
                Message(role="assistant", parts=tuple(parts), finish_reason=self._finish.get(index))
                for index, parts in sorted(self._parts.items())
            ),
            filtered=self._blocked is not None or not _FILTERED.isdisjoint(finish),
            truncated="MAX_TOKENS" in finish,
            service_tier=self._tier,
            complete=bool(finish) or self._blocked is not None,
        )


def read(response: Any) -> Reading:
    """Read a whole response."""
    assembler = Assembler()
    assembler.add(response)
    return assembler.reading()
