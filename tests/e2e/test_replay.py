"""Real clients of both providers, traced, against the store: what was billed is what is stored."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

import promptspan
from promptspan import traced_prompt
from promptspan_server.demo.recording import RecordedUsage, Recording, load_recordings
from replay import Billed, ReplayProvider, load_llmdrift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from e2e.running import Store

THREADS = 12
FACTS = """response_id, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens"""


@pytest.fixture
def service(store: Store, tmp_path: Path) -> Iterator[str]:
    """The SDK, sending to the store under a name of this test's own."""
    name = f"replay-{uuid.uuid4().hex[:8]}"
    promptspan.configure(service_name=name, endpoint=store.endpoint, spool=tmp_path / "spool")
    yield name
    promptspan.shutdown()


def scaled(latency_s: float) -> float:
    """Minutes become tenths of a second, long enough for five percent of it to be more than noise."""
    return min(0.4, max(0.03, latency_s * 0.04))


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("dataset", ["leetcode_easy", pytest.param("sensitiveq", marks=pytest.mark.long)])
def test_recorded_calls_of_real_models_are_stored_as_billed_and_as_slow_as_seen(
    store: Store, service: str, shared_data: Path, dataset: str
) -> None:
    recordings = load_llmdrift(shared_data, dataset)
    seen_ms: defaultdict[str, list[float]] = defaultdict(list)
    with (
        ReplayProvider(recordings, latency=scaled) as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="none") as client,
    ):

        def traced(version: str) -> Callable[[str], Any]:
            @traced_prompt(prompt=dataset, version=version, feature="drift-study")
            def ask(question: str) -> Any:
                return client.chat.completions.create(
                    model=version, messages=[{"role": "user", "content": question}], temperature=0.1
                )

            return ask

        ask = {version: traced(version) for version in {recording.version for recording in recordings}}

        def replay(recording: Recording) -> None:
            began = time.perf_counter()
            answer = ask[recording.version](recording.input)
            seen_ms[recording.version].append((time.perf_counter() - began) * 1000)
            assert answer.choices[0].message.content is not None

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(replay, sorted(recordings, key=lambda recording: recording.id)))
    assert promptspan.flush(30)

    [stored] = store.rows(
        """SELECT count(), sum(input_tokens), sum(output_tokens) FROM llm_calls
        WHERE service = {service:String} AND prompt_name = {prompt:String}""",
        service=service,
        prompt=dataset,
    )
    billed = provider.billed
    assert stored == (
        len(recordings),
        sum(one.input_tokens for one in billed),
        sum(one.output_tokens for one in billed),
    )
    p50_ms = dict(
        store.rows(
            """SELECT prompt_version, quantileExactInclusive(0.5)(duration_ms) FROM llm_calls
            WHERE service = {service:String} GROUP BY prompt_version""",
            service=service,
        )
    )
    assert p50_ms == {version: pytest.approx(median(seen), rel=0.05) for version, seen in seen_ms.items()}


def own_recordings(provider: str) -> list[Recording]:
    """A part of the shipped set, and two calls with every bucket in use."""
    shipped = [
        recording
        for recording in load_recordings()
        if recording.provider == provider and recording.fault is None and recording.prompt != "search-rewrite"
    ]
    few = shipped[:10]
    if provider == "openai":
        thoughtful = RecordedUsage(4000, 900, cache_read_tokens=3072, reasoning_tokens=640)
        return [*few, replace(shipped[10], usage=thoughtful)]
    cached = RecordedUsage(
        9000, 300, cache_read_tokens=4000, cache_write_5m_tokens=1500, cache_write_1h_tokens=500
    )
    return [*few, replace(shipped[10], usage=cached)]


def messages_of(recording: Recording) -> list[Any]:
    return [{"role": "system", "content": recording.system}, {"role": "user", "content": recording.input}]


def expected(billed: list[Billed]) -> set[tuple[Any, ...]]:
    return {
        (
            one.response_id,
            one.input_tokens,
            one.cache_read_tokens,
            one.cache_write_5m_tokens,
            one.cache_write_1h_tokens,
            one.output_tokens,
            one.reasoning_tokens,
        )
        for one in billed
    }


def stored(store: Store, service: str) -> set[tuple[Any, ...]]:
    """What llm_calls has of a service; a bucket that the provider does not report counts as none."""
    assert promptspan.flush(20)
    rows = store.rows(
        f"SELECT {FACTS} FROM llm_calls FINAL WHERE service = {{service:String}}", service=service
    )
    return {(row[0], *(value or 0 for value in row[1:])) for row in rows}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", ["chat completions", "responses", "messages"])
def test_each_api_is_stored_as_billed_from_plain_functions(
    store: Store, service: str, api: str, stream: bool
) -> None:
    recordings = own_recordings("anthropic" if api == "messages" else "openai")
    with (
        ReplayProvider(recordings) as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="none") as client,
        anthropic.Anthropic(base_url=provider.url, api_key="none") as claude,
    ):

        @traced_prompt(prompt="own", version="1")
        def ask(recording: Recording) -> Any:
            model = recording.request_model
            if api == "messages":
                return claude.messages.create(
                    model=model,
                    max_tokens=500,
                    system=recording.system,
                    messages=[{"role": "user", "content": recording.input}],
                    stream=stream,
                )
            if api == "responses":
                return client.responses.create(
                    model=model, instructions=recording.system, input=recording.input, stream=stream
                )
            options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
            return client.chat.completions.create(
                model=model, messages=messages_of(recording), stream=stream, **options
            )

        for recording in recordings:
            answer = ask(recording)
            if stream:
                assert len(list(answer)) > 3
    assert len(provider.billed) == len(recordings)
    assert stored(store, service) == expected(provider.billed)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", ["chat completions", "responses", "messages"])
async def test_each_api_is_stored_as_billed_from_coroutines_side_by_side(
    store: Store, service: str, api: str, stream: bool
) -> None:
    recordings = own_recordings("anthropic" if api == "messages" else "openai")
    with ReplayProvider(recordings) as provider:
        async with (
            openai.AsyncOpenAI(base_url=provider.openai_url, api_key="none") as client,
            anthropic.AsyncAnthropic(base_url=provider.url, api_key="none") as claude,
        ):

            @traced_prompt(prompt="own", version="1")
            async def ask(recording: Recording) -> Any:
                model = recording.request_model
                if api == "messages":
                    return await claude.messages.create(
                        model=model,
                        max_tokens=500,
                        system=recording.system,
                        messages=[{"role": "user", "content": recording.input}],
                        stream=stream,
                    )
                if api == "responses":
                    return await client.responses.create(
                        model=model, instructions=recording.system, input=recording.input, stream=stream
                    )
                options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
                return await client.chat.completions.create(
                    model=model, messages=messages_of(recording), stream=stream, **options
                )

            async def read(recording: Recording) -> None:
                answer = await ask(recording)
                if stream:
                    assert len([chunk async for chunk in answer]) > 3

            await asyncio.gather(*map(read, recordings))
        assert len(provider.billed) == len(recordings)
    assert await asyncio.to_thread(stored, store, service) == expected(provider.billed)


def test_what_fails_or_breaks_off_is_stored_as_what_it_was_and_its_estimates_as_such(
    store: Store, service: str
) -> None:
    recording = own_recordings("openai")[0]
    with (
        ReplayProvider([recording]) as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="none", max_retries=0) as client,
    ):

        @traced_prompt(prompt="failing", version="1")
        def ask(stream: bool) -> Any:
            return client.chat.completions.create(
                model=recording.request_model, messages=messages_of(recording), stream=stream
            )

        provider.fail_next("rate_limited", "server_error")
        for error in (openai.RateLimitError, openai.InternalServerError):
            with pytest.raises(error):
                ask(False)
        provider.fail_next("dropped")
        with pytest.raises(openai.APIConnectionError):
            list(ask(True))
        answer = ask(True)
        next(iter(answer))
        answer.close()
        list(ask(True))
    assert promptspan.flush(20)
    rows = store.rows(
        """SELECT status, input_tokens, output_tokens, usage_source, error_type != '' FROM llm_calls FINAL
        WHERE service = {service:String} ORDER BY ts""",
        service=service,
    )
    assert [row[0] for row in rows] == ["error", "error", "error", "incomplete", "ok"]
    assert {row[1:4] for row in rows[:2]} == {(None, None, "missing")}
    broken, left, whole = [row[1:4] for row in rows[2:]]
    assert broken[0] == left[0] == whole[0] > 50  # by the vocabulary, or by the length where there is none
    assert 0 <= left[1] < broken[1] < whole[1]
    assert {broken[2], left[2], whole[2]} == {"estimated"}
    assert [row[4] for row in rows] == [True, True, True, False, False]
