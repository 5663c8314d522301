"""The ways of tracing that the SDK's benchmark compares, each as one function to call.

All trace the same call: a prompt of 1,000 characters and about 20 attributes, to an OTLP/HTTP sink on
loopback. ``none`` is the function alone: its cost is taken off that of the others.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

PROMPT = ("The parcel has not arrived, and the courier says that nobody was at home on Monday. " * 12)[:1000]


def prompts(count: int) -> list[str]:
    """So many prompts of 1,000 characters, no two alike: nothing is gained by knowing the last."""
    return [f"Letter {number} of the morning. {PROMPT}"[:1000] for number in range(count)]


ANSWER = "The customer asks where the parcel is. Offer a new delivery on Thursday, or a pick-up point."
MODEL = "gpt-4o-mini"
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-8de1878bc8ab40c3",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
    "usage": {
        "prompt_tokens": 231,
        "completion_tokens": 24,
        "total_tokens": 255,
        "prompt_tokens_details": {"cached_tokens": 128, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
}
CHUNK: dict[str, Any] = {
    "id": "chatcmpl-8de1878bc8ab40c3",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "delta": {"content": " parcel"}, "finish_reason": None}],
}
# As the conventions name them; what a plain OpenTelemetry user would set by hand.
ATTRIBUTES: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": MODEL,
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-8de1878bc8ab40c3",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 231,
    "gen_ai.usage.output_tokens": 24,
    "gen_ai.usage.cache_read.input_tokens": 128,
    "gen_ai.usage.reasoning.output_tokens": 0,
    "gen_ai.prompt.name": "summarise",
    "gen_ai.prompt.version": "7",
    "promptspan.feature": "inbox-summary",
    "promptspan.tenant": "acme",
    "promptspan.status": "ok",
    "promptspan.usage.source": "provider",
    "code.function.name": "inbox.summarise",
    "promptspan.variant": "b",
    "gen_ai.output.messages": ANSWER,
}


@dataclass
class Way:
    """One way of tracing, ready to be called."""

    call: Callable[[str], Any]
    flush: Callable[[], Any] = lambda: None
    dropped: Callable[[], int] = lambda: 0
    generator: Any = None
    stream: Any = None
    async_generator: Any = None
    async_stream: Any = None


def answer() -> Any:
    """The response as OpenAI's client gives it, unless that would weigh on what is measured."""
    if os.environ.get("BENCH_PLAIN_RESPONSE"):
        return COMPLETION
    with contextlib.suppress(ImportError):
        from openai.types.chat import ChatCompletion

        return ChatCompletion.model_validate(COMPLETION)
    return COMPLETION


def piece() -> Any:
    with contextlib.suppress(ImportError):
        from openai.types.chat import ChatCompletionChunk

        return ChatCompletionChunk.model_validate(CHUNK)
    return CHUNK


class Stream:
    """Shaped like the stream objects of OpenAI's client."""

    def __init__(self, chunks: int, chunk: Any) -> None:
        self._iterator = iter([chunk] * chunks)

    def __iter__(self) -> Iterator[Any]:
        yield from self._iterator

    def __next__(self) -> Any:
        return self._iterator.__next__()


class AsyncChunks:
    def __init__(self, chunks: int, chunk: Any) -> None:
        self.left = iter([chunk] * chunks)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        for chunk in self.left:
            return chunk
        raise StopAsyncIteration


class AsyncStream:
    """Shaped like the asynchronous stream objects of OpenAI's client."""

    def __init__(self, chunks: int, chunk: Any) -> None:
        self._iterator = AsyncChunks(chunks, chunk)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._iterator:
            yield chunk

    async def __anext__(self) -> Any:
        return await self._iterator.__anext__()


def none(_: str) -> Way:
    response, chunk = answer(), piece()

    def summarise(text: str, model: str = MODEL) -> Any:  # noqa: ARG001
        return response

    def generate(chunks: int) -> Iterator[Any]:
        for _ in range(chunks):
            yield chunk

    async def generate_async(chunks: int) -> AsyncIterator[Any]:
        for _ in range(chunks):
            yield chunk

    def stream(chunks: int) -> Stream:
        return Stream(chunks, chunk)

    def stream_async(chunks: int) -> AsyncStream:
        return AsyncStream(chunks, chunk)

    def call(text: str) -> Any:
        return summarise(text, model=MODEL)

    return Way(
        call, generator=generate, stream=stream, async_generator=generate_async, async_stream=stream_async
    )


def promptspan(endpoint: str) -> Way:
    import promptspan as ours

    ours.configure(
        service_name="bench",
        endpoint=endpoint,
        capture_content=bool(os.environ.get("BENCH_CONTENT")),
        spool=os.environ.get("BENCH_SPOOL") or None,
    )
    traced = ours.traced_prompt(
        prompt="summarise", version="7", feature="inbox-summary", tenant="acme", tags=["eu"], variant="b"
    )
    response, chunk = answer(), piece()

    @traced
    def summarise(text: str, model: str = MODEL) -> Any:  # noqa: ARG001
        return response

    @traced
    def generate(chunks: int) -> Iterator[Any]:
        for _ in range(chunks):
            yield chunk

    @traced
    async def generate_async(chunks: int) -> AsyncIterator[Any]:
        for _ in range(chunks):
            yield chunk

    @traced
    def stream(chunks: int) -> Stream:
        return Stream(chunks, chunk)

    @traced
    def stream_async(chunks: int) -> AsyncStream:
        return AsyncStream(chunks, chunk)

    def call(text: str) -> Any:
        return summarise(text, model=MODEL)

    return Way(
        call,
        lambda: ours.flush(60),
        lambda: sum(ours.stats().dropped.values()),
        generator=generate,
        stream=stream,
        async_generator=generate_async,
        async_stream=stream_async,
    )


def floor_provider(endpoint: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint + "/v1/traces")))
    return provider


def floor(endpoint: str) -> Way:
    from opentelemetry.trace import SpanKind

    provider = floor_provider(endpoint)
    tracer = provider.get_tracer("bench")
    response = answer()

    def summarise(text: str) -> Any:
        with tracer.start_as_current_span("chat gpt-4o-mini", kind=SpanKind.CLIENT) as span:
            span.set_attribute("gen_ai.input.messages", text)
            for key, value in ATTRIBUTES.items():
                span.set_attribute(key, value)
            return response

    return Way(summarise, lambda: provider.force_flush(60_000))


WAYS: dict[str, Callable[[str], Way]] = {"none": none, "promptspan": promptspan, "floor": floor}
