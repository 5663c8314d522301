from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Billed:
    """What the provider billed for one request, inclusive as in the GenAI conventions.

    `reported` tells if the caller was given the numbers: a dropped stream and one without `include_usage` are
    billed all the same.
    """

    endpoint: str
    response_id: str
    request_model: str
    response_model: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    latency_s: float
    streamed: bool
    reported: bool
