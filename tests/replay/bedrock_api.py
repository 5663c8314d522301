"""Bedrock's runtime API: converse and invoke (Anthropic's bodies), and how their streams are framed."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from promptspan_server.demo.messages import message, message_events
from promptspan_server.demo.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.demo.recording import RecordedUsage, Recording

Json = dict[str, Any]
EVENT_STREAM = "application/vnd.amazon.eventstream"
_STRING = 7


def converse(recording: Recording) -> Json:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": recording.answer}]}},
        "stopReason": recording.finish_reason,
        "usage": usage(recording.usage),
        "metrics": {"latencyMs": int(recording.latency_ms)},
        "serviceTier": {"type": "default"},
    }


def converse_events(recording: Recording) -> Iterator[bytes]:
    """The usage comes after the end of the message, in an event of its own."""
    yield framed("messageStart", {"role": "assistant"})
    for piece in pieces(recording.answer):
        yield framed("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
    yield framed("contentBlockStop", {"contentBlockIndex": 0})
    yield framed("messageStop", {"stopReason": recording.finish_reason})
    whole = converse(recording)
    yield framed("metadata", {name: whole[name] for name in ("usage", "metrics", "serviceTier")})


def invoked(recording: Recording, *, response_id: str) -> Json:
    return message(recording, response_id=response_id)


def invoked_headers(recorded: RecordedUsage) -> dict[str, str]:
    counts = {
        "input": recorded.uncached_tokens,
        "output": recorded.output_tokens,
        "cache-read-input": recorded.cache_read_tokens,
        "cache-write-input": recorded.cache_write_5m_tokens + recorded.cache_write_1h_tokens,
    }
    return {f"x-amzn-bedrock-{name}-token-count": str(count) for name, count in counts.items()}


def invoked_events(recording: Recording, *, response_id: str) -> Iterator[bytes]:
    events = list(message_events(recording, response_id=response_id))
    recorded = recording.usage
    events[-1] |= {
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": recorded.uncached_tokens,
            "outputTokenCount": recorded.output_tokens,
            "invocationLatency": int(recording.latency_ms),
            "cacheReadInputTokenCount": recorded.cache_read_tokens,
            "cacheWriteInputTokenCount": recorded.cache_write_5m_tokens + recorded.cache_write_1h_tokens,
        }
    }
    for event in events:
        yield framed("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()})


def usage(recorded: RecordedUsage) -> Json:
    """Cache reads and writes are beside the input."""
    written = recorded.cache_write_5m_tokens + recorded.cache_write_1h_tokens
    lifetimes = (("5m", recorded.cache_write_5m_tokens), ("1h", recorded.cache_write_1h_tokens))
    return {
        "inputTokens": recorded.uncached_tokens,
        "outputTokens": recorded.output_tokens,
        "totalTokens": recorded.input_tokens + recorded.output_tokens,
        "cacheReadInputTokens": recorded.cache_read_tokens,
        "cacheWriteInputTokens": written,
        "cacheDetails": [{"ttl": ttl, "inputTokens": count} for ttl, count in lifetimes if count],
    }


def framed(event_type: str, payload: Json) -> bytes:
    """One message of Amazon's event stream: lengths, their CRC, headers, payload, CRC of all."""
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":event-type", event_type),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    body = json.dumps(payload).encode()
    lengths = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    begun = lengths + struct.pack("!I", zlib.crc32(lengths)) + headers + body
    return begun + struct.pack("!I", zlib.crc32(begun))


def _header(name: str, value: str) -> bytes:
    return struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), _STRING, len(value)) + value.encode()
