from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import openai
import pytest

from promptspan_server.demo.recording import RecordedUsage, Recording, load_recordings
from replay import Recordings, ReplayProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


def recorded(**changes: object) -> Recording:
    fields: dict[str, object] = {
        "prompt": "greeting",
        "version": "1",
        "id": "one",
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18",
        "system": "Be kind.",
        "input": "Hello?",
        "answer": "Good morning, what may I do for you — naïvely said? 🙂",
        "usage": RecordedUsage(120, 40, 64, reasoning_tokens=12),
        "latency_ms": 10.0,
        "ttft_ms": 5.0,
        "finish_reason": "stop",
    }
    return Recording(**(fields | changes))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider([recorded()]) as serving:
        yield serving


@pytest.fixture
def client(provider: ReplayProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.openai_url, api_key="none") as made:
        yield made


@pytest.fixture
def claude(provider: ReplayProvider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=provider.url, api_key="none") as made:
        yield made


def test_a_completion_answers_as_recorded_and_reports_what_it_bills(
    provider: ReplayProvider, client: openai.OpenAI
) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
    )
    assert answer.choices[0].message.content == recorded().answer
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.completion_tokens_details is not None
    [billed] = provider.billed
    assert (billed.response_id, billed.input_tokens, billed.output_tokens) == (answer.id, 120, 40)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (120, 40)
    assert answer.usage.prompt_tokens_details.cached_tokens == billed.cache_read_tokens == 64
    assert answer.usage.completion_tokens_details.reasoning_tokens == billed.reasoning_tokens == 12


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_streamed_completion_joins_to_the_answer_and_has_usage_only_if_asked(
    provider: ReplayProvider, client: openai.OpenAI, include_usage: bool
) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
        stream=True,
        stream_options={"include_usage": include_usage},
    )
    chunks = list(stream)
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == recorded().answer
    reported = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert [usage.prompt_tokens for usage in reported] == ([120] if include_usage else [])
    assert [billed.reported for billed in provider.billed] == [include_usage]


def test_the_responses_api_answers_whole_and_streamed(
    provider: ReplayProvider, client: openai.OpenAI
) -> None:
    whole = client.responses.create(model="gpt-4o-mini", instructions="Be kind.", input="Hello?")
    with client.responses.stream(model="gpt-4o-mini", instructions="Be kind.", input="Hello?") as stream:
        streamed = stream.get_final_response()
    for answer in (whole, streamed):
        assert answer.output_text == recorded().answer
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (120, 40)
        assert answer.usage.input_tokens_details.cached_tokens == 64
        assert answer.usage.output_tokens_details.reasoning_tokens == 12
    assert [billed.response_id for billed in provider.billed] == [whole.id, streamed.id]


def test_embeddings_bill_their_input(provider: ReplayProvider, client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one shelf", "two chairs"])
    assert [len(item.embedding) for item in answer.data] == [8, 8]
    assert [billed.input_tokens for billed in provider.billed] == [answer.usage.prompt_tokens]


def test_messages_answer_whole_and_streamed_with_the_cache_beside_the_input() -> None:
    usage = RecordedUsage(1000, 40, 600, cache_write_5m_tokens=200, cache_write_1h_tokens=50)
    recording = recorded(provider="anthropic", request_model="claude-haiku-4-5", usage=usage)
    with (
        ReplayProvider([recording]) as provider,
        anthropic.Anthropic(base_url=provider.url, api_key="none") as claude,
    ):
        whole = claude.messages.create(
            model="claude-haiku-4-5",
            max_tokens=100,
            system="Be kind.",
            messages=[{"role": "user", "content": "Hello?"}],
        )
        with claude.messages.stream(
            model="claude-haiku-4-5",
            max_tokens=100,
            system=[{"type": "text", "text": "Be kind."}],
            messages=[{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}],
        ) as stream:
            streamed = stream.get_final_message()
    for answer in (whole, streamed):
        [block] = answer.content
        assert block.type == "text"
        assert block.text == recorded().answer
        assert answer.stop_reason == "end_turn"
        assert answer.usage.input_tokens == 150
        assert answer.usage.cache_read_input_tokens == 600
        assert answer.usage.cache_creation_input_tokens == 250
        assert answer.usage.cache_creation is not None
        assert answer.usage.cache_creation.ephemeral_1h_input_tokens == 50
        assert answer.usage.output_tokens == 40
    assert [billed.input_tokens for billed in provider.billed] == [1000, 1000]


def test_planned_errors_reach_the_openai_client_as_its_own_exceptions(
    provider: ReplayProvider, client: openai.OpenAI
) -> None:
    once = client.with_options(max_retries=0)

    def ask() -> None:
        once.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello?"}])

    provider.fail_next("rate_limited", "server_error", "bad_request")
    with pytest.raises(openai.RateLimitError) as limited:
        ask()
    assert limited.value.response.headers["retry-after"] == "0.01"
    with pytest.raises(openai.InternalServerError):
        ask()
    with pytest.raises(openai.BadRequestError, match="maximum context"):
        ask()
    assert provider.billed == []


def test_planned_errors_reach_the_anthropic_client_as_its_own_exceptions(
    provider: ReplayProvider, claude: anthropic.Anthropic
) -> None:
    once = claude.with_options(max_retries=0)

    def ask() -> None:
        once.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello?"}])

    provider.fail_next("rate_limited", "server_error", "bad_request")
    with pytest.raises(anthropic.RateLimitError):
        ask()
    with pytest.raises(anthropic.InternalServerError):
        ask()
    with pytest.raises(anthropic.BadRequestError, match="too long"):
        ask()


def test_a_client_that_retries_after_429_gets_its_answer_and_one_bill(
    provider: ReplayProvider, client: openai.OpenAI
) -> None:
    provider.fail_next("rate_limited")
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello?"}])
    assert provider.requests == 2
    assert len(provider.billed) == 1


def test_a_hanging_provider_runs_into_the_clients_timeout(
    provider: ReplayProvider, client: openai.OpenAI
) -> None:
    provider.fail_next("timeout")
    hasty = client.with_options(max_retries=0, timeout=0.2)
    with pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello?"}])


def test_a_stream_that_drops_breaks_after_some_chunks_and_is_billed_unreported(
    provider: ReplayProvider, client: openai.OpenAI
) -> None:
    provider.fail_next("dropped")
    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    heard: list[str] = []

    def listen() -> None:
        heard.extend(chunk.choices[0].delta.content or "" for chunk in stream)

    with pytest.raises(openai.APIConnectionError):
        listen()
    assert recorded().answer.startswith("".join(heard))
    assert 0 < len("".join(heard)) < len(recorded().answer)
    assert [billed.reported for billed in provider.billed] == [False]


def test_recordings_of_one_prompt_take_turns_and_the_model_tells_versions_apart() -> None:
    recordings = Recordings(
        [
            recorded(answer="first"),
            recorded(answer="second"),
            recorded(request_model="gpt-4.1-nano", answer="other"),
        ]
    )

    def ask(model: str) -> str:
        return recordings.answer(provider="openai", model=model, text="Be kind.\n\nHello?").answer

    assert [ask("gpt-4o-mini") for _ in range(3)] == ["first", "second", "first"]
    assert ask("gpt-4.1-nano") == "other"


def test_every_recording_that_ships_is_found_by_its_own_prompt_and_adds_up() -> None:
    shipped = load_recordings()
    recordings = Recordings(shipped)
    for recording in shipped:
        text = f"{recording.system}\n\n{recording.input}"
        found = recordings.answer(provider=recording.provider, model=recording.request_model, text=text)
        assert found == recording
        assert recording.usage.uncached_tokens >= 0
        assert recording.ttft_ms <= recording.latency_ms
