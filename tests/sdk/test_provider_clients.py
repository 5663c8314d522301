"""The real clients of Google, Bedrock, Mistral, Cohere and Ollama under the decorator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
import cohere
import ollama
import pytest
from google import genai
from mistralai.client import Mistral

from billed import CACHED, HEARD, QUESTION, THOUGHT, WRITTEN, disagreements
from promptspan import traced_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorded import Recorded
    from replay import ReplayProvider

# google-genai's aiohttp session is made in a way that aiohttp advises against.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def gemini(rich: ReplayProvider) -> Iterator[Any]:
    with genai.Client(api_key="none", http_options={"base_url": rich.url}) as client:
        yield client


def test_gemini_is_read_whole_and_streamed(recorded: Recorded, rich: ReplayProvider, gemini: Any) -> None:
    @traced_prompt(name="whole")
    def ask() -> Any:
        return gemini.models.generate_content(model="gemini-3-flash", contents=QUESTION)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return gemini.models.generate_content_stream(model="gemini-3-flash", contents=QUESTION)

    for name, call in (("whole", ask), ("streamed", lambda: list(stream()))):
        call()
        said = recorded.named(name)
        assert not disagreements(
            said, rich.billed[-1], (*THOUGHT, *HEARD), finish="STOP", provider="gcp.gemini"
        )
        assert said["gen_ai.operation.name"] == "generate_content"
        assert said["server.address"] == "127.0.0.1"


async def test_gemini_is_read_asynchronously(recorded: Recorded, rich: ReplayProvider) -> None:
    gemini = genai.Client(api_key="none", http_options={"base_url": rich.url})

    @traced_prompt(name="whole")
    async def ask() -> Any:
        return await gemini.aio.models.generate_content(model="gemini-3-flash", contents=QUESTION)

    @traced_prompt(name="streamed")
    async def stream() -> Any:
        return await gemini.aio.models.generate_content_stream(model="gemini-3-flash", contents=QUESTION)

    await ask()
    assert not disagreements(
        recorded.named("whole"), rich.billed[-1], THOUGHT, finish="STOP", provider="gcp.gemini"
    )
    assert [chunk async for chunk in await stream()]
    assert not disagreements(
        recorded.named("streamed"), rich.billed[-1], THOUGHT, finish="STOP", provider="gcp.gemini"
    )
    await gemini.aio.aclose()
    gemini.close()


def test_a_gemini_stream_that_is_left_keeps_the_counts_so_far(recorded: Recorded, gemini: Any) -> None:
    @traced_prompt
    def stream() -> Any:
        return gemini.models.generate_content_stream(model="gemini-3-flash", contents=QUESTION)

    chunks = stream()
    next(chunks)
    next(chunks)
    chunks.close()
    said = recorded.attributes()
    assert said["promptspan.status"] == "incomplete"
    assert said["gen_ai.usage.input_tokens"] == 2000


@pytest.fixture(scope="module")
def bedrock(rich: ReplayProvider) -> Iterator[Any]:
    client: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=rich.url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    yield client
    client.close()  # pyright: ignore[reportUnknownMemberType]


MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
SAID: list[Any] = [{"role": "user", "content": [{"text": QUESTION}]}]


def test_bedrock_converse_is_read_whole_and_streamed(
    recorded: Recorded, rich: ReplayProvider, bedrock: Any
) -> None:
    @traced_prompt(name="whole")
    def ask(model_id: str) -> Any:
        return bedrock.converse(modelId=model_id, messages=SAID)

    @traced_prompt(name="streamed")
    def stream(model_id: str) -> Any:
        return bedrock.converse_stream(modelId=model_id, messages=SAID)

    ask(MODEL)
    whole = recorded.named("whole")
    assert not disagreements(
        whole, rich.billed[-1], WRITTEN, finish="end_turn", model=False, provider="aws.bedrock"
    )
    assert whole["gen_ai.request.model"] == MODEL
    assert whole["promptspan.service_tier"] == "default"
    reply = stream(MODEL)
    assert "".join(
        event["contentBlockDelta"]["delta"]["text"]
        for event in reply["stream"]
        if "contentBlockDelta" in event
    )
    said = recorded.named("streamed")
    assert not disagreements(
        said,
        rich.billed[-1],
        WRITTEN,
        finish="end_turn",
        model=False,
        provider="aws.bedrock",
        response_id=False,
    )


def test_bedrock_invoke_model_is_read_beside_a_body_that_stays_unread(
    recorded: Recorded, rich: ReplayProvider, bedrock: Any
) -> None:
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": ASKED})

    @traced_prompt(name="whole")
    def ask() -> Any:
        return bedrock.invoke_model(modelId=MODEL, body=body)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return bedrock.invoke_model_with_response_stream(modelId=MODEL, body=body)

    assert json.loads(ask()["body"].read())["content"]
    said = recorded.named("whole")
    assert not disagreements(
        said,
        rich.billed[-1],
        ("cache_read", "cache_write"),
        finish=None,
        model=False,
        provider="aws.bedrock",
        response_id=False,
    )
    assert list(stream()["body"])
    assert not disagreements(
        recorded.named("streamed"), rich.billed[-1], WRITTEN, finish="end_turn", provider="aws.bedrock"
    )


@pytest.fixture(scope="module")
def mistral(rich: ReplayProvider) -> Iterator[Any]:
    with Mistral(api_key="none", server_url=f"{rich.url}/mistral") as client:
        yield client


def test_mistral_is_read_whole_and_streamed(recorded: Recorded, rich: ReplayProvider, mistral: Any) -> None:
    @traced_prompt(name="whole")
    def ask() -> Any:
        return mistral.chat.complete(model="mistral-medium-latest", messages=ASKED)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return mistral.chat.stream(model="mistral-medium-latest", messages=ASKED)

    ask()
    assert not disagreements(recorded.named("whole"), rich.billed[-1], THOUGHT, provider="mistral_ai")
    with stream() as events:
        assert "".join(event.data.choices[0].delta.content or "" for event in events if event.data.choices)
    assert not disagreements(recorded.named("streamed"), rich.billed[-1], THOUGHT, provider="mistral_ai")


async def test_mistral_is_read_asynchronously(recorded: Recorded, rich: ReplayProvider) -> None:
    mistral: Any = Mistral(api_key="none", server_url=f"{rich.url}/mistral")

    @traced_prompt(name="whole")
    async def ask() -> Any:
        return await mistral.chat.complete_async(model="mistral-medium-latest", messages=ASKED)

    @traced_prompt(name="streamed")
    async def stream() -> Any:
        return await mistral.chat.stream_async(model="mistral-medium-latest", messages=ASKED)

    await ask()
    assert not disagreements(recorded.named("whole"), rich.billed[-1], THOUGHT, provider="mistral_ai")
    async with await stream() as events:
        assert [event async for event in events]
    assert not disagreements(recorded.named("streamed"), rich.billed[-1], THOUGHT, provider="mistral_ai")
    await mistral.__aexit__(None, None, None)


def test_cohere_is_read_whole_and_streamed_as_billed(recorded: Recorded, rich: ReplayProvider) -> None:
    client: Any = cohere.ClientV2(api_key="none", base_url=rich.url)

    @traced_prompt(name="whole")
    def ask(model: str) -> Any:
        return client.chat(model=model, messages=ASKED)

    @traced_prompt(name="streamed")
    def stream(model: str) -> Any:
        return client.chat_stream(model=model, messages=ASKED)

    for name in ("whole", "streamed"):
        assert ask("command-a-03-2025") if name == "whole" else list(stream("command-a-03-2025"))
        said = recorded.named(name)
        assert not disagreements(
            said, rich.billed[-1], CACHED, finish="COMPLETE", model=False, provider="cohere"
        )
        assert said["gen_ai.request.model"] == "command-a-03-2025"
    client.__exit__(None, None, None)


async def test_cohere_is_read_asynchronously(recorded: Recorded, rich: ReplayProvider) -> None:
    client: Any = cohere.AsyncClientV2(api_key="none", base_url=rich.url)

    @traced_prompt(name="whole")
    async def ask() -> Any:
        return await client.chat(model="command-a-03-2025", messages=ASKED)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return client.chat_stream(model="command-a-03-2025", messages=ASKED)

    await ask()
    assert not disagreements(
        recorded.named("whole"), rich.billed[-1], CACHED, finish="COMPLETE", model=False, provider="cohere"
    )
    assert [event async for event in stream()]
    assert not disagreements(
        recorded.named("streamed"), rich.billed[-1], CACHED, finish="COMPLETE", model=False, provider="cohere"
    )
    await client.__aexit__(None, None, None)


def test_ollama_is_read_whole_and_streamed_with_the_servers_times(
    recorded: Recorded, rich: ReplayProvider
) -> None:
    client: Any = ollama.Client(host=rich.url)

    @traced_prompt(name="whole")
    def ask() -> Any:
        return client.chat(model="llama3.2", messages=ASKED)

    @traced_prompt(name="streamed")
    def stream() -> Any:
        return client.chat(model="llama3.2", messages=ASKED, stream=True)

    @traced_prompt(name="generated")
    def generate() -> Any:
        return client.generate(model="llama3.2", prompt=QUESTION)

    @traced_prompt(name="embedded")
    def embed() -> Any:
        return client.embed(model="nomic-embed-text", input=QUESTION)

    for name, call in (("whole", ask), ("streamed", lambda: list(stream())), ("generated", generate)):
        call()
        said = recorded.named(name)
        assert not disagreements(said, rich.billed[-1], response_id=False, provider="ollama")
        assert (said["promptspan.server.load_ms"], said["promptspan.server.output_ms"]) == (3.0, 7.0)
    assert recorded.named("generated")["gen_ai.operation.name"] == "text_completion"
    embed()
    assert recorded.named("embedded")["gen_ai.usage.input_tokens"] == rich.billed[-1].input_tokens
    assert recorded.named("embedded")["gen_ai.operation.name"] == "embeddings"
    client.close()  # pyright: ignore[reportUnknownMemberType]


async def test_ollama_is_read_asynchronously(recorded: Recorded, rich: ReplayProvider) -> None:
    client: Any = ollama.AsyncClient(host=rich.url)

    @traced_prompt(name="whole")
    async def ask() -> Any:
        return await client.chat(model="llama3.2", messages=ASKED)

    @traced_prompt(name="streamed")
    async def stream() -> Any:
        return await client.chat(model="llama3.2", messages=ASKED, stream=True)

    await ask()
    assert not disagreements(recorded.named("whole"), rich.billed[-1], response_id=False, provider="ollama")
    assert [part async for part in await stream()]
    assert not disagreements(
        recorded.named("streamed"), rich.billed[-1], response_id=False, provider="ollama"
    )
    await client.close()


def test_the_errors_of_the_clients_keep_their_type_and_their_status(
    recorded: Recorded, rich: ReplayProvider, gemini: Any, mistral: Any
) -> None:
    once: Any = botocore.config.Config(retries={"total_max_attempts": 1})
    make: Any = boto3.client  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    bedrock: Any = make(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=rich.url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=once,
    )
    commands: Any = cohere.ClientV2(api_key="none", base_url=rich.url)
    llama: Any = ollama.Client(host=rich.url)
    hurried: Any = {"request_options": {"max_retries": 0}}
    calls: dict[str, Any] = {
        "google.genai.errors.ClientError": lambda: gemini.models.generate_content(
            model="gemini-3-flash", contents=QUESTION
        ),
        "botocore.errorfactory.ThrottlingException": lambda: bedrock.converse(modelId=MODEL, messages=SAID),
        "mistralai.client.errors.sdkerror.SDKError": lambda: mistral.chat.complete(model="m", messages=ASKED),
        "cohere.errors.too_many_requests_error.TooManyRequestsError": lambda: commands.chat(
            model="command-a-03-2025", messages=ASKED, **hurried
        ),
        "ollama._types.ResponseError": lambda: llama.chat(model="llama3.2", messages=ASKED),
    }
    for name, call in calls.items():
        rich.fail_next("rate_limited")
        with pytest.raises(Exception, match=r"Rate limit|429"):
            traced_prompt(name=name)(call)()
        said = recorded.named(name)
        assert (said["error.type"], said["http.response.status_code"]) == (name, 429)
        assert said["promptspan.usage.source"] == "missing"
    bedrock.close()
    commands.__exit__(None, None, None)
    llama.close()
