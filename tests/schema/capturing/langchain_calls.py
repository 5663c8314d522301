"""LangChain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.capturing.replies import Reply
from schema.capturing.scenarios import (
    AFTER_TOOL,
    ASK,
    CACHED,
    CACHED_5M,
    CLAUDE,
    CLAUDE_AFTER_TOOL,
    CLAUDE_TOOL,
    EMBEDDED,
    MESSAGES,
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


def _models(clients: Clients) -> dict[str, Any]:
    openai = use("langchain_openai")

    def chat_openai(model: str = "gpt-4o-mini", **options: Any) -> Any:
        base = f"{clients.double.url}/v1"
        return openai.ChatOpenAI(model=model, base_url=base, api_key="none", max_retries=0, **options)

    def chat_anthropic(**options: Any) -> Any:
        return use("langchain_anthropic").ChatAnthropic(
            model="claude-sonnet-4-5", base_url=clients.double.url, api_key="none", max_retries=0, **options
        )

    return {
        "openai": chat_openai,
        "anthropic": chat_anthropic,
        "embeddings": lambda: openai.OpenAIEmbeddings(
            model="text-embedding-3-small",
            base_url=f"{clients.double.url}/v1",
            api_key="none",
            check_embedding_ctx_length=False,
        ),
    }


CALLBACKS: list[Any] = []


def _ask() -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in MESSAGES]


def _lc(kind: str = "openai", **options: Any) -> Callable[[Clients], Any]:
    return lambda clients: _models(clients)[kind](**options).invoke(
        _ask(), config={"callbacks": list(CALLBACKS)}
    )


def _lc_stream(kind: str = "openai", **options: Any) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        for _ in _models(clients)[kind](**options).stream(_ask(), config={"callbacks": list(CALLBACKS)}):
            pass

    return act


def _lc_async(kind: str = "openai", **options: Any) -> Callable[[Clients], Any]:
    async def act(clients: Clients) -> None:
        await _models(clients)[kind](**options).ainvoke(_ask(), config={"callbacks": list(CALLBACKS)})

    return act


def _lc_chain(clients: Clients) -> None:
    prompts = use("langchain_core.prompts")
    chain = (
        prompts.ChatPromptTemplate.from_messages([("user", "What is the capital of {country}?")])
        | _models(clients)["openai"]()
        | use("langchain_core.output_parsers").StrOutputParser()
    )
    chain.invoke({"country": "France"}, config={"callbacks": list(CALLBACKS)})


def _lc_agent(kind: str) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        def weather(city: str) -> str:
            """Weather of a city."""
            return f"sunny in {city}"

        agent = use("langchain.agents").create_agent(_models(clients)[kind](), tools=[weather])
        agent.invoke({"messages": ASK}, config={"callbacks": list(CALLBACKS)})

    return act


LANGCHAIN = {
    "chat": Scenario([MINI], _lc()),
    "chat_cached_reasoning": Scenario([O4], _lc(model="o4-mini")),
    "chat_stream": Scenario([STREAMED], _lc_stream(stream_usage=True)),
    "chat_stream_no_usage": Scenario([STREAMED], _lc_stream(stream_usage=False)),
    "chat_async": Scenario([MINI], _lc_async()),
    "chat_chain": Scenario([MINI], _lc_chain),
    "chat_agent": Scenario([TOOL, AFTER_TOOL], _lc_agent("openai")),
    "chat_responses": Scenario([O4], _lc(model="o4-mini", use_responses_api=True)),
    "chat_error_429": Scenario([Reply(status=429)], _lc()),
    "chat_length": Scenario([Reply(finish="length")], _lc()),
    "chat_flex": Scenario([Reply(tier="flex")], _lc(service_tier="flex")),
    "chat_audio": Scenario(
        [Reply(model="gpt-4o-audio-preview-2024-12-17", input=200, output=150, audio_in=90, audio_out=60)],
        _lc(model="gpt-4o-audio-preview"),
    ),
    "embeddings": Scenario(
        [EMBEDDED], lambda c: _models(c)["embeddings"]().embed_documents(["hello world", "bye"])
    ),
    "anthropic": Scenario([CLAUDE], _lc("anthropic")),
    "anthropic_cached": Scenario([CACHED], _lc("anthropic")),
    "anthropic_cached_5m": Scenario([CACHED_5M], _lc("anthropic")),
    "anthropic_stream": Scenario([CACHED_5M], _lc_stream("anthropic")),
    "anthropic_agent": Scenario([CLAUDE_TOOL, CLAUDE_AFTER_TOOL], _lc_agent("anthropic")),
    "anthropic_error_429": Scenario([Reply(status=429)], _lc("anthropic")),
}


def langfuse_handler(provider: Any, exporter: Any) -> None:
    use("langfuse").Langfuse(
        public_key="pk",
        secret_key="sk",
        host="http://127.0.0.1:9",
        tracer_provider=provider,
        span_exporter=exporter,
    )
    CALLBACKS.append(use("langfuse.langchain").CallbackHandler())


def langfuse_handler_3(provider: Any, exporter: Any) -> None:
    use("langfuse").Langfuse(
        public_key="pk", secret_key="sk", host="http://127.0.0.1:9", tracer_provider=provider
    )
    CALLBACKS.append(use("langfuse.langchain").CallbackHandler())
