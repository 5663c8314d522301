"""Bedrock's ``invoke_model``: only the application may read the body, and the counts are beside it.

They are in the headers of the reply; a streamed one ends with them in its last piece.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-invoke.html
"""

from __future__ import annotations

import json
from typing import Any

from promptspan import _attributes as a
from promptspan._kinds import is_dict
from promptspan._reading import Message, Reading

from . import _messages
from ._accounting import Accounting
from ._converse import PROVIDER
from ._fields import get, number, text, text_part

SHAPE = "invoke_model"
_HEADERS = "x-amzn-bedrock-"
_COUNTS = (
    "input-token-count",
    "output-token-count",
    "cache-read-input-token-count",
    "cache-write-input-token-count",
)
_ACCOUNTING = Accounting(
    input_tokens=("input-token-count", "inputTokenCount"),
    output_tokens=("output-token-count", "outputTokenCount"),
    cache_read_tokens=("cache-read-input-token-count", "cacheReadInputTokenCount"),
    cache_write_tokens=("cache-write-input-token-count", "cacheWriteInputTokenCount"),
    beside_input=("cache_read_tokens", "cache_write_tokens"),
)
_METRICS = "amazon-bedrock-invocationMetrics"


def matches(response: Any) -> bool:
    """Whether ``response`` is a reply with Bedrock's counts among its headers."""
    return _header(response, _COUNTS[0]) is not None


def _header(response: Any, name: str) -> str | None:
    return text(response, "ResponseMetadata", "HTTPHeaders", _HEADERS + name)


def read(response: Any) -> Reading:
    """Read the headers of a reply."""
    counts: dict[str, int] = {}
    for name in _COUNTS:
        digits = _header(response, name) or ""
        if digits.isascii() and digits.isdigit() and len(digits) < 16:
            counts[name] = int(digits)
    latency = _header(response, "invocation-latency") or ""
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_CHAT,
        provider=PROVIDER,
        response_id=text(response, "ResponseMetadata", "RequestId"),
        usage=_ACCOUNTING.read(counts),
        service_tier=text(response, "serviceTier"),
        timings_ms={"total": float(latency)} if latency.isdigit() and len(latency) < 12 else {},
    )


def _piece(chunk: Any) -> Any:
    """The JSON in an event of ``invoke_model_with_response_stream``."""
    data = get(chunk, "chunk", "bytes")
    data = get(chunk, "bytes") if data is None else data
    if not issubclass(type(data), bytes):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def matches_chunk(chunk: Any) -> bool:
    """Whether ``chunk`` is such an event."""
    return is_dict(_piece(chunk))


class Assembler:
    """Puts the pieces together: Anthropic's events, or texts in the words of other models."""

    def __init__(self) -> None:
        self._message = _messages.Assembler()
        self._text: list[str] = []
        self._metrics: Any = None

    def add(self, chunk: Any) -> None:
        """Take the next event."""
        piece = _piece(chunk)
        metrics = get(piece, _METRICS)
        self._metrics = self._metrics if metrics is None else metrics
        if _messages.matches_chunk(piece):
            self._message.add(piece)
        elif words := text(piece, "generation") or text(piece, "outputText") or text(piece, "completion"):
            self._text.append(words)

    def reading(self) -> Reading:
        """What is known so far."""
        known = self._message.reading()
        latency_ms = number(self._metrics, "invocationLatency")
        said = (
            (Message(role="assistant", parts=(text_part("".join(self._text)),)),)
            if self._text
            else known.output
        )
        return Reading(
            shape=SHAPE,
            operation=a.OPERATION_CHAT,
            provider=PROVIDER,
            model=known.model,
            response_id=known.response_id,
            finish_reasons=known.finish_reasons,
            # Anthropic's own counts tell the lifetimes of what was cached.
            usage=known.usage
            if known.usage and known.complete
            else _ACCOUNTING.read(self._metrics) or known.usage,
            output=said,
            refused=known.refused,
            truncated=known.truncated,
            timings_ms={} if latency_ms is None else {"total": latency_ms},
            complete=self._metrics is not None or known.complete,
        )
