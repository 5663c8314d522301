"""The real OpenAI client under the decorator, against the replayed API."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, cast

import openai
import pytest
from openai import AsyncStream, Stream

from promptspan import traced_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

    from recorded import Recorded
    from replay import Billed, ReplayProvider

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather like up there?"}]


@pytest.fixture
def client(replay: ReplayProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=replay.openai_url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def async_client(replay: ReplayProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=replay.openai_url, api_key="none", max_retries=0)


def agrees(attributes: dict[str, Any], billed: Billed) -> bool:
    return (
        attributes["gen_ai.response.id"] == billed.response_id
        and attributes["gen_ai.response.model"] == billed.response_model
        and attributes["gen_ai.usage.input_tokens"] == billed.input_tokens
        and attributes["gen_ai.usage.output_tokens"] == billed.output_tokens
        and attributes.get("gen_ai.usage.cache_read.input_tokens", 0) == billed.cache_read_tokens
        and attributes.get("gen_ai.usage.reasoning.output_tokens", 0) == billed.reasoning_tokens
        and attributes["promptspan.usage.source"] == "provider"
        and attributes["promptspan.status"] == "ok"
    )


def test_a_chat_completion_is_billed_as_the_provider_says(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> ChatCompletion:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)

    ask()
    attributes = recorded.attributes()
    assert agrees(attributes, replay.billed[-1])
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["gen_ai.provider.name"] == "openai"


def test_a_response_is_billed_as_the_provider_says(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.responses.create(model="gpt-4o-mini", input="What is the weather like?")

    ask()
    attributes = recorded.attributes()
    assert agrees(attributes, replay.billed[-1])
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_embeddings_are_billed_as_the_provider_says(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def embed() -> Any:
        return client.embeddings.create(model="text-embedding-3-small", input="A text.")

    embed()
    attributes = recorded.attributes()
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.usage.input_tokens"] == replay.billed[-1].input_tokens


def test_a_stream_stays_a_stream_and_is_billed_at_its_end(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(
            model="gpt-4o-mini", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )

    stream = ask()
    assert type(stream) is Stream
    assert stream.response.status_code == 200
    text = "".join(chunk.choices[0].delta.content or "" for chunk in cast("Any", stream) if chunk.choices)
    assert text.startswith("Noted:")
    attributes = recorded.attributes()
    assert agrees(attributes, replay.billed[-1])
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.request.stream"] is True


def test_next_with_and_close_of_a_stream_work_as_before(recorded: Recorded, client: openai.OpenAI) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    with ask() as stream:
        first = next(stream)
        assert first.object == "chat.completion.chunk"
    assert stream.response.is_closed
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "incomplete"
    assert attributes["gen_ai.response.id"] == first.id


def test_a_stream_that_is_dropped_is_incomplete_once_it_is_collected(
    recorded: Recorded, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    for _ in ask():
        break
    gc.collect()
    assert recorded.statuses() == ["incomplete"]


def test_a_stream_left_after_its_last_words_is_complete(recorded: Recorded, client: openai.OpenAI) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    with ask() as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert recorded.statuses() == ["ok"]


def test_the_streaming_helper_of_chat_completions_is_read(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.stream(
            model="gpt-4o-mini", messages=ASKED, stream_options={"include_usage": True}
        )

    manager = ask()
    with manager as stream:
        final = stream.get_final_completion()
    assert final.id == replay.billed[-1].response_id
    assert agrees(recorded.attributes(), replay.billed[-1])


def test_a_streamed_response_is_read(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.responses.create(model="gpt-4o-mini", input="Hello?", stream=True)

    list(ask())
    assert agrees(recorded.attributes(), replay.billed[-1])


def test_a_generator_that_gives_the_streams_chunks_on_is_read(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        yield from client.chat.completions.create(
            model="gpt-4o-mini", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )

    list(ask())
    assert agrees(recorded.attributes(), replay.billed[-1])


async def test_the_asynchronous_client_is_read(
    recorded: Recorded, replay: ReplayProvider, async_client: openai.AsyncOpenAI
) -> None:
    @traced_prompt
    async def ask() -> Any:
        return await async_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)

    await ask()
    assert agrees(recorded.attributes(), replay.billed[-1])
    await async_client.close()


async def test_an_asynchronous_stream_stays_one_and_is_billed_at_its_end(
    recorded: Recorded, replay: ReplayProvider, async_client: openai.AsyncOpenAI
) -> None:
    @traced_prompt
    async def ask() -> Any:
        return await async_client.chat.completions.create(
            model="gpt-4o-mini", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )

    stream = await ask()
    assert type(stream) is AsyncStream
    assert [chunk async for chunk in cast("Any", stream)]
    assert agrees(recorded.attributes(), replay.billed[-1])
    await async_client.close()


async def test_an_asynchronous_stream_that_is_closed_is_incomplete(
    recorded: Recorded, async_client: openai.AsyncOpenAI
) -> None:
    @traced_prompt
    async def ask() -> Any:
        return await async_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    async with await ask() as stream:
        await anext(stream)
    assert stream.response.is_closed
    assert recorded.statuses() == ["incomplete"]
    await async_client.close()


async def test_the_asynchronous_streaming_helper_is_read(
    recorded: Recorded, replay: ReplayProvider, async_client: openai.AsyncOpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return async_client.chat.completions.stream(
            model="gpt-4o-mini", messages=ASKED, stream_options={"include_usage": True}
        )

    async with ask() as stream:
        async for _ in stream:
            pass
    assert agrees(recorded.attributes(), replay.billed[-1])
    await async_client.close()


def test_an_error_of_the_provider_keeps_its_type_and_codes(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)

    replay.fail_next("rate_limited")
    with pytest.raises(openai.RateLimitError):
        ask()
    span = recorded.one()
    attributes = dict(span.attributes or {})
    assert attributes["error.type"] == "openai.RateLimitError"
    assert attributes["http.response.status_code"] == 429
    assert span.status.description == "RateLimitError 429 rate_limit_exceeded"


def test_a_connection_that_breaks_in_the_middle_is_an_error_with_what_was_known(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    replay.fail_next("dropped")
    with pytest.raises(openai.APIConnectionError):
        list(ask())
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "error"
    assert attributes["gen_ai.response.id"].startswith("chatcmpl-")


def test_the_client_of_a_method_is_found_on_its_instance(recorded: Recorded, client: openai.OpenAI) -> None:
    class Answers:
        def __init__(self) -> None:
            self.llm = client

        @traced_prompt
        def ask(self) -> Any:
            return self.llm.chat.completions.create(model="gpt-4o-mini", messages=ASKED)

    Answers().ask()
    assert recorded.attributes()["server.port"] == client.base_url.port
