"""What OpenAI's and Anthropic's clients offer beside plain calls works as undecorated, and is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from billed import ANSWER, QUESTION, THOUGHT, WRITTEN, disagreements
from promptspan import traced_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorded import Recorded
    from replay import ReplayProvider

ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
GPT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": ASKED}
CLAUDE: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": ASKED}


@pytest.fixture
def gpt(rich: ReplayProvider) -> Iterator[Any]:
    with openai.OpenAI(base_url=rich.openai_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(rich: ReplayProvider) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=rich.url, api_key="none", max_retries=0) as client:
        yield client


def test_a_raw_response_is_read_from_the_body_that_the_client_read(
    recorded: Recorded, rich: ReplayProvider, gpt: Any, claude: Any
) -> None:
    @traced_prompt(name="gpt")
    def ask() -> Any:
        return gpt.chat.completions.with_raw_response.create(**GPT)

    @traced_prompt(name="claude")
    def ask_claude() -> Any:
        return claude.messages.with_raw_response.create(**CLAUDE)

    raw = ask()
    assert raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == ANSWER
    assert not disagreements(recorded.named("gpt"), rich.billed[-1], THOUGHT, provider="openai")
    assert ask_claude().parse().content[0].text == ANSWER
    assert not disagreements(
        recorded.named("claude"), rich.billed[-1], WRITTEN, finish="end_turn", provider="anthropic"
    )


def test_a_streaming_response_stays_in_the_callers_hands(
    recorded: Recorded, rich: ReplayProvider, gpt: Any
) -> None:
    @traced_prompt(name="outside")
    def opened() -> Any:
        return gpt.chat.completions.with_streaming_response.create(**GPT)

    @traced_prompt(name="inside")
    def parsed() -> Any:
        with gpt.chat.completions.with_streaming_response.create(**GPT) as response:
            return response.parse()

    with opened() as response:
        assert response.status_code == 200
        assert b"chat.completion" in b"".join(response.iter_bytes())
    assert recorded.named("outside")["promptspan.usage.source"] == "missing"
    parsed()
    assert not disagreements(recorded.named("inside"), rich.billed[-1], THOUGHT, provider="openai")


def test_anthropics_streaming_helper_is_read_and_gives_its_final_message(
    recorded: Recorded, rich: ReplayProvider, claude: Any
) -> None:
    @traced_prompt(name="texts")
    def ask() -> Any:
        return claude.messages.stream(**CLAUDE)

    with ask() as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens == 240
    assert not disagreements(
        recorded.named("texts"), rich.billed[-1], WRITTEN, finish="end_turn", provider="anthropic"
    )


def test_the_responses_helper_is_read_and_gives_its_final_response(
    recorded: Recorded, rich: ReplayProvider, gpt: Any
) -> None:
    @traced_prompt
    def ask() -> Any:
        return gpt.responses.stream(model="gpt-4o-mini", input=QUESTION)

    with ask() as stream:
        assert next(event.type for event in stream) == "response.created"
        assert stream.get_final_response().output_text == ANSWER
    assert not disagreements(recorded.attributes(), rich.billed[-1], THOUGHT, provider="openai")


@pytest.mark.parametrize("how", ["break", "close", "exception"])
def test_a_helper_that_is_left_early_is_incomplete_and_its_connection_closed(
    recorded: Recorded, claude: Any, how: str
) -> None:
    @traced_prompt
    def ask() -> Any:
        return claude.messages.stream(**CLAUDE)

    class LeftError(Exception):
        pass

    def leave() -> Any:
        with ask() as stream:
            for event in stream:
                if event.type == "content_block_delta":
                    if how == "close":
                        stream.close()
                    if how == "exception":
                        raise LeftError
                    break
        return stream

    if how == "exception":
        with pytest.raises(LeftError):
            leave()
    else:
        assert leave().response.is_closed
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "incomplete"
    assert attributes["gen_ai.usage.input_tokens"] == 2000
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 600
    assert attributes["promptspan.usage.source"] == "estimated"


async def test_the_asynchronous_helpers_are_read(recorded: Recorded, rich: ReplayProvider) -> None:
    claude: Any
    gpt: Any
    async with (
        anthropic.AsyncAnthropic(base_url=rich.url, api_key="none") as claude,
        openai.AsyncOpenAI(base_url=rich.openai_url, api_key="none") as gpt,
    ):

        @traced_prompt(name="claude")
        def ask_claude() -> Any:
            return claude.messages.stream(**CLAUDE)

        @traced_prompt(name="gpt")
        def ask_gpt() -> Any:
            return gpt.responses.stream(model="gpt-4o-mini", input=QUESTION)

        @traced_prompt(name="raw")
        async def ask_raw() -> Any:
            return await gpt.chat.completions.with_raw_response.create(**GPT)

        async with ask_claude() as stream:
            assert (await stream.get_final_text()) == ANSWER
        assert not disagreements(
            recorded.named("claude"), rich.billed[-1], WRITTEN, finish="end_turn", provider="anthropic"
        )
        async with ask_gpt() as events:
            assert (await events.get_final_response()).output_text == ANSWER
        assert not disagreements(recorded.named("gpt"), rich.billed[-1], THOUGHT, provider="openai")
        await ask_raw()
        assert not disagreements(recorded.named("raw"), rich.billed[-1], THOUGHT, provider="openai")
