"""LiteLLM and LangChain under the decorator: the provider's bill, whatever stands in between."""

from __future__ import annotations

import gc
import os
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from billed import CACHED, HEARD, QUESTION, THOUGHT, WRITTEN, disagreements
from promptspan import traced_prompt

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch its prices while it is imported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorded import Recorded
    from replay import Billed, ReplayProvider

pytestmark = pytest.mark.filterwarnings(
    "ignore:Accessing the 'model_:DeprecationWarning"  # LiteLLM does so on instances
)
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(autouse=True)
def their_litter() -> Iterator[None]:
    """Both leave clients and loops to the garbage collector; in a later test that would be its error."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="module")
def litellm() -> Any:
    import litellm

    return litellm


class Case(NamedTuple):
    model: Any
    provider: str
    buckets: tuple[str, ...]
    finish: str = "stop"
    path: str = ""


@pytest.mark.parametrize(
    "case",
    [
        Case("openai/gpt-4o-mini", "openai", (*THOUGHT, *HEARD), path="/v1"),
        Case("anthropic/claude-haiku-4-5", "anthropic", WRITTEN),
    ],
    ids=["openai", "anthropic"],
)
def test_litellm_is_read_whole_and_streamed(
    recorded: Recorded, rich: ReplayProvider, litellm: Any, case: Case
) -> None:
    model, provider, buckets, finish, path = case
    options: dict[str, Any] = {"api_base": rich.url + path, "api_key": "none", "messages": ASKED}

    @traced_prompt(name="whole")
    def ask() -> Any:
        return litellm.completion(model=model, **options)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return litellm.completion(model=model, stream=True, stream_options={"include_usage": True}, **options)

    ask()
    said = recorded.named("whole")
    assert not disagreements(
        said,
        rich.billed[-1],
        buckets,
        finish=finish,
        provider=provider,
        response_id=provider == "openai",
    )
    # LiteLLM works a price out of a list of its own: that is not what the provider said.
    assert "promptspan.cost.reported_usd" not in said
    chunks = stream()
    assert type(chunks).__name__ == "CustomStreamWrapper"
    assert list(chunks)
    said = recorded.named("streamed")
    assert not disagreements(
        said, rich.billed[-1], buckets, finish=finish, provider=provider, response_id=False
    )


async def test_litellm_is_read_asynchronously(recorded: Recorded, rich: ReplayProvider, litellm: Any) -> None:
    options: dict[str, Any] = {"api_base": f"{rich.url}/v1", "api_key": "none", "messages": ASKED}

    @traced_prompt(name="whole")
    async def ask() -> Any:
        return await litellm.acompletion(model="openai/gpt-4o-mini", **options)

    @traced_prompt(name="streamed")
    async def stream() -> Any:
        return await litellm.acompletion(
            model="openai/gpt-4o-mini", stream=True, stream_options={"include_usage": True}, **options
        )

    await ask()
    assert not disagreements(recorded.named("whole"), rich.billed[-1], THOUGHT, provider="openai")
    assert [chunk async for chunk in await stream()]
    assert not disagreements(
        recorded.named("streamed"),
        rich.billed[-1],
        THOUGHT,
        provider="openai",
        response_id=False,
    )


def chat_openai(rich: ReplayProvider) -> Any:
    from langchain_openai import ChatOpenAI

    options: dict[str, Any] = {"base_url": rich.openai_url, "api_key": "none", "stream_usage": True}
    return ChatOpenAI(model="gpt-4o-mini", **options)


def chat_anthropic(rich: ReplayProvider) -> Any:
    from langchain_anthropic import ChatAnthropic

    options: dict[str, Any] = {"base_url": rich.url, "api_key": "none", "max_tokens": 99}
    return ChatAnthropic(model_name="claude-haiku-4-5", **options)


MODELS = [
    pytest.param(Case(chat_openai, "openai", (*THOUGHT, *HEARD)), id="openai"),
    pytest.param(Case(chat_anthropic, "anthropic", WRITTEN, "end_turn"), id="anthropic"),
]


@pytest.mark.parametrize("case", MODELS)
def test_langchain_is_read_whole_streamed_and_as_a_result(
    recorded: Recorded, rich: ReplayProvider, case: Case
) -> None:
    from langchain_core.messages import HumanMessage

    model = case.model(rich)

    @traced_prompt(name="whole")
    def ask() -> Any:
        return model.invoke(QUESTION)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return model.stream(QUESTION)

    @traced_prompt(name="result")
    def generate() -> Any:
        return model.generate([[HumanMessage(QUESTION)]])

    for name, call in (("whole", ask), ("streamed", lambda: list(stream())), ("result", generate)):
        call()
        said = recorded.named(name)
        _agrees(said, rich.billed[-1], case)


@pytest.mark.parametrize("case", MODELS)
async def test_langchain_is_read_asynchronously(recorded: Recorded, rich: ReplayProvider, case: Case) -> None:
    model = case.model(rich)

    @traced_prompt(name="whole")
    async def ask() -> Any:
        return await model.ainvoke(QUESTION)

    @traced_prompt(name="streamed")
    async def stream() -> Any:
        async for chunk in model.astream(QUESTION):
            yield chunk

    await ask()
    _agrees(recorded.named("whole"), rich.billed[-1], case)
    chunks: Any = stream()
    assert [chunk async for chunk in chunks]
    _agrees(recorded.named("streamed"), rich.billed[-1], case)


def _agrees(said: dict[str, Any], billed: Billed, case: Case) -> None:
    buckets = case.buckets
    if billed.streamed:  # LangChain keeps neither the id nor the lifetimes of what was cached
        buckets = tuple(bucket for bucket in buckets if bucket != "cache_write_1h")
    assert not disagreements(
        said,
        billed,
        buckets,
        finish=case.finish,
        provider=case.provider,
        response_id=not billed.streamed,
    )


def test_a_chain_that_returns_the_raw_message_beside_what_was_parsed_is_read(
    recorded: Recorded, rich: ReplayProvider
) -> None:
    model = chat_openai(rich)

    @traced_prompt
    def ask() -> Any:
        return {"raw": model.invoke(QUESTION), "parsed": None}

    ask()
    assert not disagreements(recorded.attributes(), rich.billed[-1], CACHED, provider="openai")
