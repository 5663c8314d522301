"""LiteLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.capturing.replies import Reply
from schema.capturing.scenarios import (
    CACHED,
    CACHED_5M,
    CLAUDE,
    EMBEDDED,
    MESSAGES,
    MINI,
    O4,
    STREAMED,
    THINKING,
    TOOL,
    TOOLS,
    Clients,
    Scenario,
)
from schema.capturing.using import use

if TYPE_CHECKING:
    from collections.abc import Callable


def _litellm(model: str, **options: Any) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        base = clients.double.url if "claude" in model else f"{clients.double.url}/v1"
        answer = use("litellm").completion(
            model=model,
            messages=MESSAGES,
            api_base=base,
            api_key="none",
            num_retries=0,
            max_retries=0,
            **options,
        )
        if options.get("stream"):
            for _ in answer:
                pass

    return act


def _litellm_async(model: str, **options: Any) -> Callable[[Clients], Any]:
    async def act(clients: Clients) -> None:
        base = clients.double.url if "claude" in model else f"{clients.double.url}/v1"
        answer = await use("litellm").acompletion(
            model=model,
            messages=MESSAGES,
            api_base=base,
            api_key="none",
            num_retries=0,
            max_retries=0,
            **options,
        )
        if options.get("stream"):
            async for _ in answer:
                pass
        await use("asyncio").sleep(0.3)

    return act


def _litellm_abandoned(clients: Clients) -> None:
    answer = use("litellm").completion(
        model="openai/gpt-4o-mini",
        messages=MESSAGES,
        api_base=f"{clients.double.url}/v1",
        api_key="none",
        stream=True,
    )
    for number, _ in enumerate(answer):
        if number == 2:
            break


_USAGE = {"stream_options": {"include_usage": True}}
LITELLM = {
    "chat": Scenario([MINI], _litellm("openai/gpt-4o-mini")),
    "chat_cached_reasoning": Scenario([O4], _litellm("openai/o4-mini")),
    "chat_stream": Scenario([STREAMED], _litellm("openai/gpt-4o-mini", stream=True, **_USAGE)),
    "chat_stream_no_usage": Scenario([STREAMED], _litellm("openai/gpt-4o-mini", stream=True)),
    "chat_stream_abandoned": Scenario([STREAMED], _litellm_abandoned, ending="abandoned"),
    "chat_async": Scenario([MINI], _litellm_async("openai/gpt-4o-mini")),
    "chat_async_stream": Scenario([STREAMED], _litellm_async("openai/gpt-4o-mini", stream=True, **_USAGE)),
    "chat_tools": Scenario([TOOL], _litellm("openai/gpt-4o-mini", tools=TOOLS)),
    "chat_flex": Scenario([Reply(tier="flex")], _litellm("openai/gpt-4o-mini", service_tier="flex")),
    "chat_no_usage": Scenario([Reply(tells_usage=False)], _litellm("openai/gpt-4o-mini")),
    "chat_error_429": Scenario([Reply(status=429)], _litellm("openai/gpt-4o-mini")),
    "chat_error_400": Scenario([Reply(status=400)], _litellm("openai/gpt-4o-mini")),
    "embeddings": Scenario(
        [EMBEDDED],
        lambda c: use("litellm").embedding(
            model="openai/text-embedding-3-small",
            input=["hello world", "bye"],
            api_base=f"{c.double.url}/v1",
            api_key="none",
        ),
    ),
    "responses": Scenario(
        [O4],
        lambda c: use("litellm").responses(
            model="openai/o4-mini", input="What?", api_base=f"{c.double.url}/v1", api_key="none"
        ),
    ),
    "anthropic": Scenario([CLAUDE], _litellm("anthropic/claude-sonnet-4-5")),
    "anthropic_cached": Scenario([CACHED], _litellm("anthropic/claude-sonnet-4-5")),
    "anthropic_cached_5m": Scenario([CACHED_5M], _litellm("anthropic/claude-sonnet-4-5")),
    "anthropic_thinking": Scenario([THINKING], _litellm("anthropic/claude-sonnet-4-5")),
    "anthropic_stream": Scenario([CACHED_5M], _litellm("anthropic/claude-sonnet-4-5", stream=True)),
    "anthropic_error_429": Scenario([Reply(status=429)], _litellm("anthropic/claude-sonnet-4-5")),
}


def litellm_otel(provider: Any, exporter: Any) -> None:
    module = use("litellm.integrations.opentelemetry")
    logger = module.OpenTelemetry(module.OpenTelemetryConfig(exporter=exporter))
    use("litellm").callbacks = [logger]


def litellm_openinference(provider: Any, exporter: Any) -> None:
    use("openinference.instrumentation.litellm").LiteLLMInstrumentor().instrument(tracer_provider=provider)
