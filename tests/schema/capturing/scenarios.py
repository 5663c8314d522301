"""What applications do with the clients of OpenAI and Anthropic: the answers of the double, and the calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schema.capturing.clients import Clients
from schema.capturing.replies import Reply

MESSAGES = [
    {"role": "system", "content": "You are a terse geography tutor."},
    {"role": "user", "content": "What is the capital of France?"},
]
ASK = MESSAGES[1:]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]
RESPONSES_TOOLS: list[dict[str, Any]] = [{"type": "function", "strict": False, **TOOLS[0]["function"]}]  # pyright: ignore[reportGeneralTypeIssues]
CLAUDE_TOOLS = [
    {
        "name": "weather",
        "description": "Weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
MINI = Reply()
O4 = Reply(
    model="o4-mini-2025-04-16", input=1500, output=300, cache_read=1024, reasoning=128, text="Answer: 42."
)
AUDIO = Reply(model="gpt-4o-audio-preview-2024-12-17", input=200, output=150, audio_in=90, audio_out=60)
CLAUDE = Reply(model="claude-sonnet-4-5-20250929", input=210, output=80)
CACHED = Reply(
    model="claude-sonnet-4-5-20250929", input=3200, output=90, cache_read=2048, write_5m=512, write_1h=256
)
CACHED_5M = Reply(model="claude-sonnet-4-5-20250929", input=2600, output=70, cache_read=1800, write_5m=600)
THINKING = Reply(model="claude-sonnet-4-5-20250929", input=300, output=400, reasoning=250)
STREAMED = Reply(input=130, output=60, cache_read=64, reasoning=20)
RESPONSE = Reply(model="gpt-4.1-mini-2025-04-14", input=500, output=120, cache_read=256)
EMBEDDED = Reply(model="text-embedding-3-small", input=14, output=0)
TOOL = Reply(tool="weather", finish="tool_calls")
CLAUDE_TOOL = Reply(model="claude-sonnet-4-5-20250929", tool="weather", finish="tool_calls")
AFTER_TOOL = Reply(input=160, output=20, text="It is sunny.")
CLAUDE_AFTER_TOOL = Reply(model="claude-sonnet-4-5-20250929", input=260, output=25, text="It is sunny.")


Act = Callable[[Clients], "Awaitable[Any] | Any"]


@dataclass(frozen=True)
class Scenario:
    replies: Sequence[Reply]
    act: Act
    ending: str = ""
    """How a stream ended early: abandoned, cancelled or broken."""
    calls: int | None = None
    """Model calls as the application sees them, where its client repeats requests."""


def _drain(stream: Any) -> None:
    for _ in stream:
        pass


async def _adrain(stream: Any) -> None:
    async for _ in stream:
        pass


def _chat(model: str = "gpt-4o-mini", **options: Any) -> Act:
    return lambda clients: clients.openai().chat.completions.create(model=model, messages=MESSAGES, **options)


def _chat_stream(model: str = "gpt-4o-mini", *, usage: bool = True, **options: Any) -> Act:
    told: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    return lambda clients: _drain(
        clients.openai().chat.completions.create(
            model=model, messages=MESSAGES, stream=True, **told, **options
        )
    )


def _abandon(stream: Any, after: int = 3) -> None:
    for number, _ in enumerate(stream):
        if number == after:
            break
    stream.close()


async def _async_chat(clients: Clients) -> None:
    await clients.async_openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


async def _async_chat_stream(clients: Clients) -> None:
    stream = await clients.async_openai().chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    await _adrain(stream)


async def _cancel(work: Awaitable[Any], after_s: float = 0.4) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(after_s)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _parallel(clients: Clients) -> None:
    client = clients.async_openai()
    await asyncio.gather(
        *[client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES) for _ in range(3)]
    )


def _tool_loop(clients: Clients) -> None:
    client = clients.openai()
    first = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, tools=TOOLS)
    call = first.choices[0].message.tool_calls[0]
    client.chat.completions.create(
        model="gpt-4o-mini",
        tools=TOOLS,
        messages=[
            *MESSAGES,
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
    )


def _claude(**options: Any) -> Act:
    return lambda clients: clients.anthropic().messages.create(
        model="claude-sonnet-4-5",
        max_tokens=500,
        system="You are a terse geography tutor.",
        messages=ASK,
        **options,
    )


def _claude_stream(clients: Clients) -> None:
    _drain(
        clients.anthropic().messages.create(
            model="claude-sonnet-4-5", max_tokens=500, messages=ASK, stream=True
        )
    )


def _claude_manager(clients: Clients) -> None:
    with clients.anthropic().messages.stream(
        model="claude-sonnet-4-5", max_tokens=500, messages=ASK
    ) as stream:
        _drain(stream.text_stream)
        stream.get_final_message()


async def _async_claude(clients: Clients) -> None:
    await clients.async_anthropic().messages.create(model="claude-sonnet-4-5", max_tokens=500, messages=ASK)


async def _async_claude_stream(clients: Clients) -> None:
    await _adrain(
        await clients.async_anthropic().messages.create(
            model="claude-sonnet-4-5", max_tokens=500, messages=ASK, stream=True
        )
    )


async def _cancelled_claude(clients: Clients) -> None:
    await _cancel(_async_claude_stream(clients))


def _claude_abandon(clients: Clients) -> None:
    _abandon(
        clients.anthropic().messages.create(
            model="claude-sonnet-4-5", max_tokens=500, messages=ASK, stream=True
        ),
        4,
    )


def _respond(**options: Any) -> Act:
    options = {"model": "gpt-4.1-mini", "input": "What is the capital of France?"} | options
    return lambda clients: clients.openai().responses.create(**options)


def _respond_stream(clients: Clients) -> None:
    _drain(
        clients.openai().responses.create(
            model="gpt-4.1-mini", input="What is the capital of France?", stream=True
        )
    )


async def _async_respond(clients: Clients) -> None:
    await clients.async_openai().responses.create(
        model="gpt-4.1-mini", input="What is the capital of France?"
    )


def _embed(clients: Clients) -> None:
    clients.openai().embeddings.create(model="text-embedding-3-small", input=["hello world", "goodbye world"])


def _azure(clients: Clients) -> None:
    client = clients.elsewhere(
        "AzureOpenAI", azure_endpoint="https://inbox.openai.azure.com", api_version="2024-10-21"
    )
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def _azure_stream(clients: Clients) -> None:
    client = clients.elsewhere(
        "AzureOpenAI", azure_endpoint="https://inbox.openai.azure.com", api_version="2024-10-21"
    )
    _drain(
        client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )


def _openrouter(clients: Clients) -> None:
    client = clients.elsewhere("OpenAI", base_url="https://openrouter.ai/api/v1")
    client.chat.completions.create(model="openai/gpt-4o-mini", messages=MESSAGES)


def _parse(clients: Clients) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    client = clients.openai()
    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    parse(model="gpt-4o-mini", messages=MESSAGES, response_format=City)


OPENAI: dict[str, Scenario] = {
    "chat": Scenario([MINI], _chat()),
    "chat_cached_reasoning": Scenario([O4], _chat("o4-mini")),
    "chat_stream": Scenario([STREAMED], _chat_stream()),
    "chat_stream_no_usage": Scenario([STREAMED], _chat_stream(usage=False)),
    "chat_stream_tools": Scenario([Reply(tool="weather", finish="tool_calls")], _chat_stream(tools=TOOLS)),
    "chat_stream_abandoned": Scenario(
        [STREAMED],
        lambda clients: _abandon(
            clients.openai().chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
        ),
        ending="abandoned",
    ),
    "chat_stream_broken": Scenario([Reply(break_after=3)], _chat_stream(), ending="broken"),
    "chat_stream_cancelled": Scenario(
        [Reply(pace_s=0.2)], lambda clients: _cancel(_async_chat_stream(clients)), ending="cancelled"
    ),
    "chat_cancelled": Scenario(
        [Reply(pace_s=1.0)], lambda clients: _cancel(_async_chat_stream(clients), 0.6), ending="cancelled"
    ),
    "chat_async": Scenario([MINI], _async_chat),
    "chat_async_stream": Scenario([STREAMED], _async_chat_stream),
    "chat_parallel": Scenario([MINI, MINI, MINI], _parallel),
    "chat_tools": Scenario([Reply(tool="weather", finish="tool_calls")], _chat(tools=TOOLS)),
    "chat_tool_loop": Scenario(
        [Reply(tool="weather", finish="tool_calls"), Reply(input=160, output=20)], _tool_loop
    ),
    "chat_length": Scenario([Reply(finish="length")], _chat(max_tokens=45)),
    "chat_content_filter": Scenario([Reply(finish="content_filter", text="", output=1)], _chat()),
    "chat_refusal": Scenario([Reply(refusal=True, text="I cannot.")], _chat()),
    "chat_n2": Scenario([Reply(choices=2, output=90)], _chat(n=2)),
    "chat_audio": Scenario(
        [AUDIO],
        _chat(
            "gpt-4o-audio-preview", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}
        ),
    ),
    "chat_flex": Scenario([Reply(tier="flex")], _chat(service_tier="flex")),
    "chat_no_usage": Scenario([Reply(tells_usage=False)], _chat()),
    "chat_parse": Scenario([Reply(text='{"name": "Paris"}')], _parse),
    "chat_error_429": Scenario([Reply(status=429)], _chat()),
    "chat_error_500": Scenario([Reply(status=500)], _chat()),
    "chat_error_400": Scenario([Reply(status=400)], _chat()),
    "chat_stream_error_429": Scenario([Reply(status=429)], _chat_stream()),
    "chat_retried": Scenario(
        [Reply(status=500), MINI],
        lambda clients: clients.openai(retries=2).chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES
        ),
        calls=1,
    ),
    "chat_raw": Scenario(
        [MINI],
        lambda clients: (
            clients.openai()
            .chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
            .parse()
        ),
    ),
    "completion": Scenario(
        [Reply(model="gpt-3.5-turbo-instruct:20230824-v2")],
        lambda clients: clients.openai().completions.create(
            model="gpt-3.5-turbo-instruct", prompt="Say hello"
        ),
    ),
    "azure": Scenario([MINI], _azure),
    "azure_stream": Scenario([STREAMED], _azure_stream),
    "openrouter": Scenario([Reply(model="openai/gpt-4o-mini", cost_usd=0.00012)], _openrouter),
    "embeddings": Scenario([EMBEDDED], _embed),
    "embeddings_error": Scenario([Reply(status=400)], _embed),
    "responses": Scenario([RESPONSE], _respond()),
    "responses_reasoning": Scenario([O4], _respond(model="o4-mini", reasoning={"effort": "low"})),
    "responses_stream": Scenario([RESPONSE], _respond_stream),
    "responses_async": Scenario([RESPONSE], _async_respond),
    "responses_tools": Scenario(
        [Reply(model="gpt-4.1-mini-2025-04-14", tool="weather", finish="tool_calls")],
        _respond(tools=RESPONSES_TOOLS),
    ),
    "responses_length": Scenario(
        [Reply(model="gpt-4.1-mini-2025-04-14", finish="length")], _respond(max_output_tokens=45)
    ),
    "responses_flex": Scenario(
        [Reply(model="gpt-4.1-mini-2025-04-14", tier="flex")], _respond(service_tier="flex")
    ),
    "responses_error_429": Scenario([Reply(status=429)], _respond()),
    "responses_abandoned": Scenario(
        [RESPONSE],
        lambda clients: _abandon(
            clients.openai().responses.create(model="gpt-4.1-mini", input="What?", stream=True), 5
        ),
        ending="abandoned",
    ),
}

ANTHROPIC: dict[str, Scenario] = {
    "anthropic": Scenario([CLAUDE], _claude()),
    "anthropic_cached": Scenario([CACHED], _claude()),
    "anthropic_cached_5m": Scenario([CACHED_5M], _claude()),
    "anthropic_thinking": Scenario([THINKING], _claude()),
    "anthropic_tools": Scenario(
        [Reply(model="claude-sonnet-4-5-20250929", tool="weather", finish="tool_calls")],
        _claude(tools=CLAUDE_TOOLS),
    ),
    "anthropic_length": Scenario([Reply(model="claude-sonnet-4-5-20250929", finish="length")], _claude()),
    "anthropic_stream": Scenario([CACHED], _claude_stream),
    "anthropic_stream_manager": Scenario([CACHED_5M], _claude_manager),
    "anthropic_stream_abandoned": Scenario([CACHED_5M], _claude_abandon, ending="abandoned"),
    "anthropic_stream_broken": Scenario(
        [Reply(model="claude-sonnet-4-5-20250929", break_after=4)], _claude_stream, ending="broken"
    ),
    "anthropic_stream_cancelled": Scenario(
        [Reply(model="claude-sonnet-4-5-20250929", pace_s=0.2)], _cancelled_claude, ending="cancelled"
    ),
    "anthropic_async": Scenario([CLAUDE], _async_claude),
    "anthropic_async_stream": Scenario([CACHED_5M], _async_claude_stream),
    "anthropic_error_429": Scenario([Reply(status=429)], _claude()),
    "anthropic_error_529": Scenario([Reply(status=529)], _claude()),
    "anthropic_stream_error_429": Scenario([Reply(status=429)], _claude_stream),
    "anthropic_retried": Scenario(
        [Reply(status=500), CLAUDE],
        lambda clients: clients.anthropic(retries=2).messages.create(
            model="claude-sonnet-4-5", max_tokens=500, messages=ASK
        ),
        calls=1,
    ),
}
