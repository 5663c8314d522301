"""What a span says against what the provider billed, bucket by bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan_server.demo.recording import RecordedUsage, Recording

if TYPE_CHECKING:
    from replay import Billed

QUESTION = "What does the night watchman do by day?"
SYSTEM = "Answer in one sentence."
ANSWER = "He sleeps, mostly — and dreams, naïvely, of quiet nights. 🙂"
CACHED = ("cache_read",)
WRITTEN = ("cache_read", "cache_write", "cache_write_1h")
THOUGHT = ("cache_read", "reasoning")
HEARD = ("audio_in", "audio_out")

_ATTRIBUTES = {
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "cache_write_1h": "promptspan.usage.cache_write_1h.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "audio_in": "gen_ai.usage.audio.input_tokens",
    "audio_out": "gen_ai.usage.audio.output_tokens",
}


def rich_recording() -> Recording:
    """A call with something in every bucket; each API tells those that it knows."""
    return Recording(
        prompt="watchman",
        version="1",
        id="one",
        provider="openai",
        request_model="any",
        response_model="any-2026-11-01",
        system="",
        input=QUESTION,
        answer=ANSWER,
        usage=RecordedUsage(
            input_tokens=2000,
            output_tokens=240,
            cache_read_tokens=600,
            cache_write_5m_tokens=100,
            cache_write_1h_tokens=50,
            reasoning_tokens=60,
            audio_input_tokens=32,
            audio_output_tokens=12,
        ),
        latency_ms=20.0,
        ttft_ms=10.0,
        finish_reason="stop",
    )


def disagreements(
    attributes: dict[str, Any],
    billed: Billed,
    buckets: tuple[str, ...] = (),
    *,
    finish: str | None = "stop",
    model: bool = True,
    response_id: bool = True,
    provider: str,
) -> dict[str, Any]:
    """What the span says otherwise than the bill, by attribute: ``{}`` if it is exact."""
    counts = {
        "cache_read": billed.cache_read_tokens,
        "cache_write": billed.cache_write_5m_tokens + billed.cache_write_1h_tokens,
        "cache_write_1h": billed.cache_write_1h_tokens,
        "reasoning": billed.reasoning_tokens,
        "audio_in": billed.audio_input_tokens,
        "audio_out": billed.audio_output_tokens,
    }
    expected: dict[str, Any] = {
        "gen_ai.usage.input_tokens": billed.input_tokens,
        "gen_ai.usage.output_tokens": billed.output_tokens,
        "gen_ai.provider.name": provider,
        "promptspan.usage.source": "provider",
        "promptspan.status": "ok",
        **{_ATTRIBUTES[bucket]: counts[bucket] for bucket in buckets},
    }
    if finish:
        expected["gen_ai.response.finish_reasons"] = (finish,)
    if response_id:
        expected["gen_ai.response.id"] = billed.response_id
    if model:
        expected["gen_ai.response.model"] = billed.response_model
    if billed.streamed:
        expected["gen_ai.request.stream"] = True
    wrong: dict[str, Any] = {
        name: (attributes.get(name), value)
        for name, value in expected.items()
        if attributes.get(name) != value
    }
    if billed.streamed and not attributes.get("gen_ai.response.time_to_first_chunk", 0) > 0:
        wrong["gen_ai.response.time_to_first_chunk"] = None
    return wrong
