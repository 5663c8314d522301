"""The real Anthropic client under the decorator, against the replayed API."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, cast

import anthropic
import pytest
from anthropic import AsyncStream, Stream

from promptspan import traced_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorded import Recorded
    from replay import Billed, ReplayProvider

MODEL = "claude-opus-4-8"
ASKED: Any = [{"role": "user", "content": "What is the weather like up there?"}]


@pytest.fixture
def claude(replay: ReplayProvider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=replay.url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def async_claude(replay: ReplayProvider) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=replay.url, api_key="none", max_retries=0)


def agrees(attributes: dict[str, Any], billed: Billed) -> bool:
    written = billed.cache_write_5m_tokens + billed.cache_write_1h_tokens
    return (
        attributes["gen_ai.response.id"] == billed.response_id
        and attributes["gen_ai.usage.input_tokens"] == billed.input_tokens
        and attributes["gen_ai.usage.output_tokens"] == billed.output_tokens
        and attributes.get("gen_ai.usage.cache_read.input_tokens", 0) == billed.cache_read_tokens
        and attributes.get("gen_ai.usage.cache_write.input_tokens", 0) == written
        and attributes["gen_ai.provider.name"] == "anthropic"
        and attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
        and attributes["promptspan.status"] == "ok"
    )


def test_a_message_is_billed_as_the_provider_says(
    recorded: Recorded, replay: ReplayProvider, claude: anthropic.Anthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.create(model=MODEL, max_tokens=100, messages=ASKED)

    ask()
    assert agrees(recorded.attributes(), replay.billed[-1])


def test_a_stream_stays_a_stream_and_is_billed_at_its_end(
    recorded: Recorded, replay: ReplayProvider, claude: anthropic.Anthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.create(model=MODEL, max_tokens=100, messages=ASKED, stream=True)

    stream: Any = ask()
    assert type(stream) is Stream
    assert [event.type for event in cast("Any", stream)][-1] == "message_stop"
    attributes = recorded.attributes()
    assert agrees(attributes, replay.billed[-1])
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_an_unread_stream_is_closed_by_reference_counting_as_before(
    recorded: Recorded, claude: anthropic.Anthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.create(model=MODEL, max_tokens=100, messages=ASKED, stream=True)

    gc.disable()
    try:
        stream = ask()
        response = stream.response
        next(stream)
        del stream
        assert response.is_closed
    finally:
        gc.enable()
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "incomplete"
    assert attributes["gen_ai.usage.input_tokens"] > 0


def test_the_streaming_helper_gives_text_and_final_message(
    recorded: Recorded, replay: ReplayProvider, claude: anthropic.Anthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.stream(model=MODEL, max_tokens=100, messages=ASKED)

    with ask() as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text.startswith("Noted:")
    assert final.id == replay.billed[-1].response_id
    assert agrees(recorded.attributes(), replay.billed[-1])


def test_a_break_out_of_the_helper_is_incomplete(recorded: Recorded, claude: anthropic.Anthropic) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.stream(model=MODEL, max_tokens=100, messages=ASKED)

    with ask() as stream:
        for _ in stream.text_stream:
            break
    assert recorded.statuses() == ["incomplete"]


def test_a_manager_that_is_never_entered_is_incomplete(
    recorded: Recorded, claude: anthropic.Anthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.stream(model=MODEL, max_tokens=100, messages=ASKED)

    ask()
    gc.collect()
    assert recorded.statuses() == ["incomplete"]


def test_an_error_on_entering_the_manager_is_an_error(
    recorded: Recorded, replay: ReplayProvider, claude: anthropic.Anthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.stream(model=MODEL, max_tokens=100, messages=ASKED)

    replay.fail_next("server_error")
    with pytest.raises(anthropic.InternalServerError), ask():
        pass
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "error"
    assert attributes["http.response.status_code"] == 500


async def test_the_asynchronous_client_is_read(
    recorded: Recorded, replay: ReplayProvider, async_claude: anthropic.AsyncAnthropic
) -> None:
    @traced_prompt
    async def ask() -> Any:
        return await async_claude.messages.create(model=MODEL, max_tokens=100, messages=ASKED)

    await ask()
    assert agrees(recorded.attributes(), replay.billed[-1])
    await async_claude.close()


async def test_an_asynchronous_stream_stays_one(
    recorded: Recorded, replay: ReplayProvider, async_claude: anthropic.AsyncAnthropic
) -> None:
    @traced_prompt
    async def ask() -> Any:
        return await async_claude.messages.create(model=MODEL, max_tokens=100, messages=ASKED, stream=True)

    stream: Any = await ask()
    assert isinstance(stream, AsyncStream)
    assert len([event async for event in cast("Any", stream)]) > 3
    assert agrees(recorded.attributes(), replay.billed[-1])
    await async_claude.close()


async def test_the_asynchronous_helper_is_read(
    recorded: Recorded, replay: ReplayProvider, async_claude: anthropic.AsyncAnthropic
) -> None:
    @traced_prompt
    def ask() -> Any:
        return async_claude.messages.stream(model=MODEL, max_tokens=100, messages=ASKED)

    async with ask() as stream:
        final = await stream.get_final_message()
    assert final.id == replay.billed[-1].response_id
    assert agrees(recorded.attributes(), replay.billed[-1])
    await async_claude.close()
