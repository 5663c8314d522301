"""pydantic-ai and OpenAI's agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.capturing.replies import Reply
from schema.capturing.scenarios import (
    AFTER_TOOL,
    CACHED,
    CACHED_5M,
    CLAUDE,
    CLAUDE_AFTER_TOOL,
    CLAUDE_TOOL,
    MINI,
    O4,
    STREAMED,
    TOOL,
    Clients,
    Scenario,
)
from schema.capturing.using import use

if TYPE_CHECKING:
    from collections.abc import Callable


def _pydantic(
    kind: str, *, tools: bool = False, stream: bool = False, model: str = ""
) -> Callable[[Clients], Any]:
    async def act(clients: Clients) -> None:
        ai = use("pydantic_ai")
        if kind == "anthropic":
            provider = use("pydantic_ai.providers.anthropic").AnthropicProvider(
                anthropic_client=clients.async_anthropic()
            )
            chosen = use("pydantic_ai.models.anthropic").AnthropicModel(
                "claude-sonnet-4-5", provider=provider
            )
        else:
            provider = use("pydantic_ai.providers.openai").OpenAIProvider(
                openai_client=clients.async_openai()
            )
            models = use("pydantic_ai.models.openai")
            chosen = (models.OpenAIResponsesModel if kind == "responses" else models.OpenAIChatModel)(
                model or "gpt-4o-mini", provider=provider
            )
        agent = ai.Agent(chosen, system_prompt="You are a terse geography tutor.", name="tutor")
        if tools:

            def weather(city: str) -> str:
                return f"sunny in {city}"

            agent.tool_plain(weather)
        if stream:
            async with agent.run_stream("What is the capital of France?") as result:
                async for _ in result.stream_text():
                    pass
        else:
            await agent.run("What is the capital of France?")

    return act


PYDANTIC_AI = {
    "chat": Scenario([MINI], _pydantic("chat")),
    "chat_cached_reasoning": Scenario([O4], _pydantic("chat", model="o4-mini")),
    "chat_stream": Scenario([STREAMED], _pydantic("chat", stream=True)),
    "chat_audio": Scenario(
        [Reply(model="gpt-4o-audio-preview-2024-12-17", input=200, output=150, audio_in=90, audio_out=60)],
        _pydantic("chat", model="gpt-4o-audio-preview"),
    ),
    "chat_agent": Scenario([TOOL, AFTER_TOOL], _pydantic("chat", tools=True)),
    "responses": Scenario([O4], _pydantic("responses", model="o4-mini")),
    "chat_error_429": Scenario([Reply(status=429)], _pydantic("chat")),
    "chat_stream_broken": Scenario([Reply(break_after=3)], _pydantic("chat", stream=True), ending="broken"),
    "anthropic": Scenario([CLAUDE], _pydantic("anthropic")),
    "anthropic_cached": Scenario([CACHED], _pydantic("anthropic")),
    "anthropic_cached_5m": Scenario([CACHED_5M], _pydantic("anthropic")),
    "anthropic_stream": Scenario([CACHED_5M], _pydantic("anthropic", stream=True)),
    "anthropic_agent": Scenario([CLAUDE_TOOL, CLAUDE_AFTER_TOOL], _pydantic("anthropic", tools=True)),
}


def pydantic_own(version: int | None = None) -> Callable[[Any, Any], None]:
    def install(provider: Any, _exporter: Any) -> None:
        options: dict[str, Any] = {} if version is None else {"version": version}
        settings = use("pydantic_ai.models.instrumented").InstrumentationSettings(
            tracer_provider=provider, **options
        )
        use("pydantic_ai").Agent.instrument_all(settings)

    return install


def pydantic_logfire(_provider: Any, exporter: Any) -> None:
    logfire = use("logfire")
    processor = use("opentelemetry.sdk.trace.export").SimpleSpanProcessor(exporter)
    logfire.configure(
        send_to_logfire=False,
        console=False,
        service_name="inbox",
        additional_span_processors=[processor],
        metrics=False,
    )
    logfire.instrument_pydantic_ai()


def pydantic_logfire_both(provider: Any, exporter: Any) -> None:
    pydantic_logfire(provider, exporter)
    use("logfire").instrument_openai()
    use("logfire").instrument_anthropic()


def pydantic_openinference(provider: Any, exporter: Any) -> None:
    processor = use("openinference.instrumentation.pydantic_ai").OpenInferenceSpanProcessor()
    provider._active_span_processor._span_processors = (
        processor,
        *provider._active_span_processor._span_processors,
    )
    pydantic_own()(provider, exporter)


def _agents(*, tools: bool = False, responses: bool = True, stream: bool = False) -> Callable[[Clients], Any]:
    async def act(clients: Clients) -> None:
        agents = use("agents")
        made = clients.async_openai()
        model = (
            agents.OpenAIResponsesModel("gpt-4.1-mini", made)
            if responses
            else agents.OpenAIChatCompletionsModel("gpt-4o-mini", made)
        )

        def weather(city: str) -> str:
            """Weather of a city."""
            return f"sunny in {city}"

        agent = agents.Agent(
            name="tutor",
            instructions="Be terse.",
            model=model,
            tools=[agents.function_tool(weather)] if tools else [],
        )
        if stream:
            result = agents.Runner.run_streamed(agent, "What is the capital of France?")
            async for _ in result.stream_events():
                pass
        else:
            await agents.Runner.run(agent, "What is the capital of France?")

    return act


_R = Reply(model="gpt-4.1-mini-2025-04-14", input=500, output=120, cache_read=256, reasoning=30)
AGENTS = {
    "responses": Scenario([_R], _agents()),
    "responses_tools": Scenario(
        [Reply(model="gpt-4.1-mini-2025-04-14", tool="weather", finish="tool_calls"), _R], _agents(tools=True)
    ),
    "responses_stream": Scenario([_R], _agents(stream=True)),
    "chat": Scenario([MINI], _agents(responses=False)),
    "chat_cached_reasoning": Scenario([O4], _agents(responses=False)),
    "chat_tools": Scenario([TOOL, AFTER_TOOL], _agents(responses=False, tools=True)),
    "chat_stream": Scenario([STREAMED], _agents(responses=False, stream=True)),
    "chat_error_429": Scenario([Reply(status=429)], _agents(responses=False)),
    "responses_error_429": Scenario([Reply(status=429)], _agents()),
}


def agents_logfire(_provider: Any, exporter: Any) -> None:
    logfire = use("logfire")
    processor = use("opentelemetry.sdk.trace.export").SimpleSpanProcessor(exporter)
    logfire.configure(
        send_to_logfire=False,
        console=False,
        service_name="inbox",
        additional_span_processors=[processor],
        metrics=False,
    )
    logfire.instrument_openai_agents()
