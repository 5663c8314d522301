"""Recorded calls: what was asked, what the model answered, what it billed and how long it took."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Fault = Literal["bad_request", "dropped", "rate_limited", "server_error", "timeout"]

_HERE = files("promptspan_server.demo")
_PIECE = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")

_PROMPT_FILES = {
    ("inbox-summary", "6"): "inbox-summary.v6.md",
    ("inbox-summary", "7"): "inbox-summary.v7.md",
    ("search-rewrite", "3"): "search-rewrite.v3.md",
    ("contract-extract", "2"): "contract-extract.v2.md",
}


def estimate_tokens(text: str) -> int:
    """Count word pieces: a stable stand-in for a tokenizer, near four letters or three digits a token.

    Args:
        text: Any text.

    Returns:
        The number of pieces; the same text gives the same number everywhere.
    """
    pieces = 0
    for match in _PIECE.finditer(text):
        word = match.group()
        if word.isdigit():
            pieces += math.ceil(len(word) / 3)
        else:
            pieces += math.ceil(len(word) / 6)
    return pieces


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """What a call billed, inclusive as in the GenAI conventions.

    Attributes:
        input_tokens: All input, cache reads and writes among it.
        output_tokens: All output, reasoning among it.
        cache_read_tokens: Input read from the provider's cache.
        cache_write_5m_tokens: Input written to the cache for five minutes.
        cache_write_1h_tokens: Input written to the cache for an hour.
        reasoning_tokens: Output that was thought and not said.
        audio_input_tokens: Input that was heard.
        audio_output_tokens: Output that was spoken.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0

    @property
    def uncached_tokens(self) -> int:
        """Input that the cache had no part in."""
        return (
            self.input_tokens
            - self.cache_read_tokens
            - self.cache_write_5m_tokens
            - self.cache_write_1h_tokens
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded call.

    Attributes:
        prompt: Name of the prompt, or of the data set.
        version: Version of the prompt.
        id: Id of the input within the prompt.
        provider: ``openai`` or ``anthropic``.
        request_model: The model that was asked for.
        response_model: The dated model that answered.
        system: The template's text, empty if there was none.
        input: What the user wrote.
        answer: What the model wrote.
        usage: What was billed.
        latency_ms: From the request to the last byte.
        ttft_ms: From the request to the first token.
        finish_reason: In the provider's own words.
        refusal: Whether the model refused.
        fault: What went wrong in place of (or in the midst of) the answer.
    """

    prompt: str
    version: str
    id: str
    provider: str
    request_model: str
    response_model: str
    system: str
    input: str
    answer: str
    usage: RecordedUsage
    latency_ms: float
    ttft_ms: float
    finish_reason: str
    refusal: bool = False
    fault: Fault | None = None


def prompt_path(name: str, version: str) -> str:
    """Say where the file of a prompt's version lies.

    Args:
        name: Name of the prompt.
        version: Its version.

    Returns:
        The path of a markdown file with front matter.

    Raises:
        KeyError: The set has no such prompt.
    """
    return str(_HERE / "prompts" / _PROMPT_FILES[name, version])


def load_recordings() -> list[Recording]:
    """Read the recorded set that ships with the package.

    Returns:
        All recorded calls, in the order of the files.
    """
    return list(_recordings())


def _recordings() -> Iterator[Recording]:
    systems = {key: _body(key) for key in _PROMPT_FILES}
    for name in sorted({name for name, _ in _PROMPT_FILES}):
        lines = (_HERE / "recordings" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            yield _recording(name, systems[name, row["version"]], row)


def _body(key: tuple[str, str]) -> str:
    text = (_HERE / "prompts" / _PROMPT_FILES[key]).read_text(encoding="utf-8")
    return text.split("---\n", 2)[2].strip()


def _recording(prompt: str, system: str, row: Mapping[str, Any]) -> Recording:
    return Recording(
        prompt=prompt,
        version=row["version"],
        id=row["id"],
        provider=row["provider"],
        request_model=row["request_model"],
        response_model=row["response_model"],
        system=system,
        input=row["input"],
        answer=row["answer"],
        usage=RecordedUsage(
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
            cache_read_tokens=row.get("cache_read_tokens", 0),
            cache_write_5m_tokens=row.get("cache_write_5m_tokens", 0),
            cache_write_1h_tokens=row.get("cache_write_1h_tokens", 0),
            reasoning_tokens=row.get("reasoning_tokens", 0),
        ),
        latency_ms=row["latency_ms"],
        ttft_ms=row["ttft_ms"],
        finish_reason=row["finish_reason"],
        refusal=row.get("refusal", False),
        fault=row.get("fault"),
    )
