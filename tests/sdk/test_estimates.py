"""Tokens that the provider did not tell: counted, marked, and never at the price of a download."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from billed import QUESTION
from promptspan import Prompt, _vocabulary, current_span, traced_prompt
from promptspan._vocabulary import tokens_in, wait_until_loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recorded import Recorded
    from replay import ReplayProvider

ASKED: list[Any] = [
    {"role": "system", "content": "You are kind."},
    {"role": "user", "content": "What is the weather like up there, and is it going to last?"},
]


@pytest.fixture
def client(replay: ReplayProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=replay.openai_url, api_key="none", max_retries=0) as made:
        yield made


def _nothing(_: str) -> None:
    return None


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No vocabulary is in memory, and the cache is an empty directory."""
    for name in ("counters", "_absent", "_loading"):
        monkeypatch.setattr(_vocabulary, name, type(getattr(_vocabulary, name))())
    monkeypatch.setattr(_vocabulary, "_of_application", _nothing)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def cached(unloaded: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """tiktoken's cache with the vocabularies that LiteLLM brings."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        pytest.skip("no vocabulary here: litellm, which brings two, is not installed")
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whoever opens a connection fails, and is noted."""
    tried: list[Any] = []

    def refuse(*args: Any, **_: Any) -> Any:
        tried.append(args)
        raise OSError("the network is off in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_without_a_vocabulary_the_length_tells_and_nothing_is_fetched(
    unloaded: Path, no_network: list[Any]
) -> None:
    assert tokens_in("Four words of text.", "gpt-4o") == 5
    wait_until_loaded(10)
    assert tokens_in("Four words of text.", "gpt-4o") == 5
    assert tokens_in("", "gpt-4o") == 0
    assert no_network == []
    assert list(unloaded.iterdir()) == []


def test_a_vocabulary_that_is_damaged_is_left_alone_and_not_fetched_anew(
    unloaded: Path, no_network: list[Any]
) -> None:
    damaged = unloaded / "fb374d419588a4632f3f557e76b4b70aebbca790"
    damaged.write_bytes(b"bm90IGl0 0\n")
    tokens_in("Hello", "gpt-4o")
    wait_until_loaded(10)
    assert tokens_in("Hello there", "gpt-4o") == 3
    assert (no_network, damaged.exists()) == ([], True)


def test_only_who_asks_for_it_has_a_vocabulary_fetched(unloaded: Path, no_network: list[Any]) -> None:
    tokens_in("Hello", "gpt-4o", download=True)
    wait_until_loaded(10)
    assert no_network


TEXTS = st.text(max_size=12) | st.lists(
    st.sampled_from(["Hello ", " there", "\n\n", " naïve", "🙂 ", "数える", "1234567 ", "_", " " + "x" * 40]),
    max_size=40,
).map("".join)


def test_a_vocabulary_in_the_cache_counts_as_tiktoken_does(
    cached: Path, no_network: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiktoken

    for model in ("gpt-4o", "gpt-4"):
        tokens_in("Hello", model)
    wait_until_loaded(30)
    assert set(_vocabulary.counters) == {"o200k_base", "cl100k_base"}
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cached))
    exact = {model: tiktoken.encoding_for_model(model) for model in ("gpt-4o", "gpt-4")}

    @settings(max_examples=60, deadline=None)
    @given(TEXTS, st.sampled_from(["gpt-4o", "gpt-4"]))
    def agree(text: str, model: str) -> None:
        assume(all(len(word.encode()) < 48 for word in text.split()))  # longer ones are counted in pieces
        assert tokens_in(text, model) == len(exact[model].encode_ordinary(text))

    agree()
    assert tokens_in("Hello", "azure/gpt-4o-2024-08-06") == 1
    assert no_network == []


def test_a_vocabulary_that_the_application_made_is_used(
    unloaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    made = SimpleNamespace(encode_ordinary=lambda text: [0] * 42)  # pyright: ignore[reportUnknownLambdaType]
    import tiktoken.registry

    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "o200k_base", made)  # type: ignore[misc]
    assert tokens_in("Hello", "gpt-5") == 42


def test_any_text_has_a_number(cached: Path) -> None:
    tokens_in("Hello", "gpt-4o")
    wait_until_loaded(30)
    for text in ("\ud800", "a" * 300_000, " " * 60_000, "\x00" * 9):
        assert 0 < tokens_in(text, "gpt-4o") <= len(text)


# Calls


def estimated(attributes: dict[str, Any]) -> tuple[Any, ...]:
    assert attributes["promptspan.usage.source"] == "estimated"
    return attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]


def test_a_stream_without_usage_is_estimated_from_what_was_sent_and_said(
    recorded: Recorded, client: openai.OpenAI, cached: Path
) -> None:
    @traced_prompt(name="first")
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    list(ask())
    recorded.named("first")
    wait_until_loaded(30)

    @traced_prompt(name="second")
    def again() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    said = "".join(chunk.choices[0].delta.content or "" for chunk in again() if chunk.choices)
    attributes = recorded.named("second")
    given = sum(tokens_in(message["content"], "gpt-4o") + 4 for message in ASKED) + 3
    assert estimated(attributes) == (given, tokens_in(said, "gpt-4o"))
    assert attributes["promptspan.status"] == "ok"


def test_a_stream_that_is_left_counts_what_was_said_until_then(
    recorded: Recorded, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask() -> Any:
        return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)

    said = ""
    with ask() as stream:
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if len(said) > 10:
                break
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "incomplete"
    assert estimated(attributes)[1] == tokens_in(said, "gpt-4o-mini")


def test_what_anthropic_said_of_the_input_stays_beside_an_estimate_of_the_output(
    recorded: Recorded, rich: ReplayProvider
) -> None:
    @traced_prompt
    def ask(client: anthropic.Anthropic) -> Any:
        return client.messages.create(
            model="claude-haiku-4-5",
            max_tokens=99,
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
        )

    with (
        anthropic.Anthropic(base_url=rich.url, api_key="none", max_retries=0) as client,
        ask(client) as stream,
    ):
        for event in stream:
            if event.type == "content_block_delta":
                break
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "incomplete"
    assert estimated(attributes) == (2000, 1)
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 600
    assert attributes["promptspan.usage.cache_write_1h.input_tokens"] == 50


def test_a_generator_of_texts_is_estimated_if_its_model_and_prompt_are_known(recorded: Recorded) -> None:
    prompt = Prompt("teller", "Tell me about {{ topic }}.", model="gpt-4o")

    @traced_prompt(prompt=prompt)
    def tell() -> Any:
        prompt.render(topic="owls")
        yield from ("Owls ", "are ", "awake.")

    @traced_prompt(name="without a model")
    def nameless() -> Any:
        yield "Owls are awake."

    list(tell())
    given, said = estimated(recorded.named("teller"))
    assert (given > said, said) == (True, tokens_in("Owls are awake.", "gpt-4o"))
    list(nameless())
    assert recorded.named("without a model")["promptspan.usage.source"] == "missing"


def test_an_input_that_nobody_knows_is_not_guessed(recorded: Recorded) -> None:
    @traced_prompt
    def tell(article: int, model: str) -> Any:
        yield "Owls are awake."

    list(tell(7, "gpt-4o"))
    attributes = recorded.attributes()
    assert "gen_ai.usage.input_tokens" not in attributes
    assert attributes["promptspan.usage.source"] == "estimated"


def test_zeros_beside_an_answer_are_no_usage_and_what_a_cache_answered_is_not_estimated(
    recorded: Recorded,
) -> None:
    answer: dict[str, Any] = {
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [
            {"message": {"role": "assistant", "content": "Owls are awake."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0},
    }

    @traced_prompt(name="zeros")
    def ask(messages: Any) -> Any:
        return answer

    @traced_prompt(name="from the cache")
    def remember() -> Any:
        current_span().annotate(cached=True)
        return {**answer, "usage": None}

    ask(ASKED)
    given, said = estimated(recorded.named("zeros"))
    assert given > said > 0
    remember()
    assert recorded.named("from the cache")["promptspan.usage.source"] == "missing"


def test_a_refused_request_has_no_tokens(
    recorded: Recorded, replay: ReplayProvider, client: openai.OpenAI
) -> None:
    @traced_prompt
    def ask(model: str) -> Any:
        return client.chat.completions.create(model=model, messages=ASKED, stream=True)

    replay.fail_next("rate_limited")
    with pytest.raises(openai.RateLimitError):
        ask("gpt-4o")
    assert recorded.attributes()["promptspan.usage.source"] == "missing"


def test_a_function_around_an_estimated_call_is_no_second_bill(recorded: Recorded) -> None:
    @traced_prompt(name="inner")
    def tell(model: str) -> str:
        return "Owls are awake."

    @traced_prompt(name="outer")
    def around(model: str) -> str:
        return tell(model)

    around("gpt-4o")
    assert recorded.named("inner")["promptspan.usage.source"] == "estimated"
    assert recorded.named("outer")["gen_ai.operation.name"] == "invoke_workflow"


def test_the_option_reaches_the_vocabulary(
    configured: Callable[..., Recorded], unloaded: Path, no_network: list[Any]
) -> None:
    recorded = configured(download_vocabulary=True)

    @traced_prompt
    def tell(model: str) -> str:
        return "Owls are awake."

    tell("gpt-4o")
    assert recorded.attributes()["gen_ai.usage.output_tokens"] > 0
    wait_until_loaded(10)
    assert no_network
