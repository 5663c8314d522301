"""What applications do with the clients of Google, Bedrock, Mistral, Groq, Ollama and Cohere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from schema.capturing.replies import Reply
from schema.capturing.scenarios import MESSAGES, TOOLS, Clients, Scenario
from schema.capturing.using import use

if TYPE_CHECKING:
    from collections.abc import Callable

_GEMINI = Reply(model="gemini-2.5-flash", input=140, output=50)
_THOUGHT = Reply(model="gemini-2.5-flash", input=1500, output=420, cache_read=1024, reasoning=300)
_FAILED = Reply(status=429)


def _google(clients: Clients) -> Any:
    genai = use("google.genai")
    return genai.Client(api_key="none", http_options={"base_url": clients.double.url})


def _generate(*, stream: bool = False, tools: bool = False) -> Callable[[Clients], Any]:
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "What is the capital of France?"}
    declared = [{"function_declarations": [{"name": "weather", "description": "Weather of a city"}]}]
    asked["config"] = {"tools": declared} if tools else {"system_instruction": "You are terse."}

    def act(clients: Clients) -> None:
        client = _google(clients)  # closes when it is collected
        models = client.models
        if not stream:
            models.generate_content(**asked)
            return
        for _ in models.generate_content_stream(**asked):
            pass

    return act


def _generate_async(*, stream: bool = False) -> Callable[[Clients], Any]:
    async def run(clients: Clients) -> None:
        client = _google(clients)
        models = client.aio.models
        asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "What is the capital of France?"}
        if not stream:
            await models.generate_content(**asked)
            return
        async for _ in await models.generate_content_stream(**asked):
            pass

    return run


GOOGLE = {
    "gemini": Scenario([_GEMINI], _generate()),
    "gemini_thoughts": Scenario([_THOUGHT], _generate()),
    "gemini_stream": Scenario([_THOUGHT], _generate(stream=True)),
    "gemini_tools": Scenario(
        [Reply(model="gemini-2.5-flash", tool="weather", finish="tool_calls")], _generate(tools=True)
    ),
    "gemini_length": Scenario([Reply(model="gemini-2.5-flash", finish="length")], _generate()),
    "gemini_async": Scenario([_GEMINI], _generate_async()),
    "gemini_async_stream": Scenario([_THOUGHT], _generate_async(stream=True)),
    "gemini_error_429": Scenario([_FAILED], _generate()),
}

_CLAUDE_ID = "anthropic.claude-sonnet-4-5-20250929-v1:0"
_NOVA_ID = "amazon.nova-lite-v1:0"
# Converse names no model in its answer.
_NOVA = Reply(model="", input=150, output=60)
_CONVERSE_CACHED = Reply(model="", input=2600, output=70, cache_read=1800, write_5m=600)
_HALF_CACHED = Reply(model="", input=2600, output=70, cache_read=300)


def _runtime(clients: Clients) -> Any:
    return use("boto3").client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=clients.double.url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=use("botocore.config").Config(retries={"max_attempts": 0}),
    )


def _converse(model: str = _NOVA_ID, *, stream: bool = False) -> Callable[[Clients], Any]:
    asked: dict[str, Any] = {
        "modelId": model,
        "system": [{"text": "You are terse."}],
        "messages": [{"role": "user", "content": [{"text": "What is the capital of France?"}]}],
        "inferenceConfig": {"maxTokens": 500},
    }

    def act(clients: Clients) -> None:
        runtime = _runtime(clients)
        if not stream:
            runtime.converse(**asked)
            return
        for _ in runtime.converse_stream(**asked)["stream"]:
            pass

    return act


def _invoke(clients: Clients) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 500,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}
        ],
    }
    answer = _runtime(clients).invoke_model(modelId=_CLAUDE_ID, body=json.dumps(body))
    json.loads(answer["body"].read())


BEDROCK = {
    "converse": Scenario([_NOVA], _converse()),
    "converse_cached": Scenario([_CONVERSE_CACHED], _converse(_CLAUDE_ID)),
    # Less from the cache than beside it.
    "converse_half_cached": Scenario([_HALF_CACHED], _converse(_CLAUDE_ID)),
    "converse_stream": Scenario([_CONVERSE_CACHED], _converse(_CLAUDE_ID, stream=True)),
    "converse_tools": Scenario([Reply(model="", tool="weather", finish="tool_calls")], _converse()),
    "converse_length": Scenario([Reply(model="", finish="length")], _converse()),
    "converse_error_429": Scenario([_FAILED], _converse()),
    "invoke": Scenario([Reply(model="claude-sonnet-4-5-20250929", input=210, output=80)], _invoke),
    "invoke_cached": Scenario(
        [Reply(model="claude-sonnet-4-5-20250929", input=2600, output=70, cache_read=1800, write_5m=600)],
        _invoke,
    ),
}


def _mistral(*, stream: bool = False, tools: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        module = use("mistralai")
        if not hasattr(module, "Mistral"):  # since 2.0
            module = use("mistralai.client")
        client = module.Mistral(api_key="none", server_url=f"{clients.double.url}/mistral", retry_config=None)
        asked: dict[str, Any] = {"model": "mistral-small-latest", "messages": MESSAGES}
        if tools:
            asked["tools"] = TOOLS
        if not stream:
            client.chat.complete(**asked)
            return
        for _ in client.chat.stream(**asked):
            pass

    return act


_SMALL = Reply(model="mistral-small-2506", input=130, output=60)
MISTRAL = {
    "mistral": Scenario([_SMALL], _mistral()),
    "mistral_stream": Scenario([_SMALL], _mistral(stream=True)),
    "mistral_tools": Scenario(
        [Reply(model="mistral-small-2506", tool="weather", finish="tool_calls")], _mistral(tools=True)
    ),
    "mistral_error_429": Scenario([_FAILED], _mistral()),
}


def _groq(*, stream: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        client = use("groq").Groq(
            api_key="none", base_url=f"{clients.double.url}/groq", max_retries=0, timeout=20
        )
        answer = client.chat.completions.create(
            model="llama-3.3-70b-versatile", messages=MESSAGES, stream=stream
        )
        if stream:
            for _ in answer:
                pass

    return act


_LLAMA = Reply(model="llama-3.3-70b-versatile", input=130, output=60)
GROQ = {
    "groq": Scenario([_LLAMA], _groq()),
    "groq_stream": Scenario([_LLAMA], _groq(stream=True)),
    "groq_error_429": Scenario([_FAILED], _groq()),
}


def _ollama(*, stream: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        answer = (
            use("ollama")
            .Client(host=clients.double.url)
            .chat(model="llama3.2", messages=MESSAGES, stream=stream)
        )
        if stream:
            for _ in answer:
                pass

    return act


_LOCAL = Reply(model="llama3.2", input=130, output=60)
OLLAMA = {
    "ollama": Scenario([_LOCAL], _ollama()),
    "ollama_stream": Scenario([_LOCAL], _ollama(stream=True)),
    "ollama_error_500": Scenario([Reply(status=500)], _ollama()),
}


def _cohere(*, stream: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        client = use("cohere").ClientV2(api_key="none", base_url=clients.double.url, timeout=20)
        asked: dict[str, Any] = {"model": "command-a-03-2025", "messages": MESSAGES}
        if not stream:
            client.chat(**asked)
            return
        for _ in client.chat_stream(**asked):
            pass

    return act


# Cohere names no model in its answer.
_COMMAND = Reply(model="", input=130, output=60)
COHERE = {
    "cohere": Scenario([_COMMAND], _cohere()),
    "cohere_stream": Scenario([_COMMAND], _cohere(stream=True)),
}
PROVIDERS = GOOGLE | BEDROCK | MISTRAL | GROQ | OLLAMA | COHERE
