"""Streams of classes that are not OpenAI's or Anthropic's, and what becomes of streams in odd places."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import openai
import pytest

from promptspan import current_span, traced_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from recorded import Recorded
    from replay import ReplayProvider

BOTH_WAYS = True


def chunk(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "id": "chatcmpl-1", "model": "m", "choices": [choice]}


class OwnStream:
    """As many wrappers are: an iterator in Python, with nothing private that a tap could replace."""

    def __init__(self, chunks: list[Any]) -> None:
        self.chunks = chunks
        self.closed = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.chunks:
            raise StopIteration
        return self.chunks.pop(0)

    def close(self) -> None:
        self.closed = True


class OwnAsyncStream(OwnStream):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


class Slotted:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = 2

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return chunk("x")


def test_an_iterator_of_any_class_is_read_and_stays_of_its_class(recorded: Recorded) -> None:
    made = OwnStream([chunk("Fo"), chunk("ur.", "stop")])

    @traced_prompt
    def ask() -> OwnStream:
        return made

    stream = ask()
    assert stream is made
    assert isinstance(stream, OwnStream)
    assert type(stream).__name__ == "OwnStream"
    seen = [(item["choices"][0]["delta"]["content"], current_span().span_id) for item in stream]
    assert seen == [("Fo", ""), ("ur.", "")]
    attributes = recorded.attributes()
    assert (attributes["promptspan.status"], attributes["gen_ai.response.id"]) == ("ok", "chatcmpl-1")


async def test_an_asynchronous_iterator_of_any_class_is_read(recorded: Recorded) -> None:
    @traced_prompt
    async def ask() -> OwnAsyncStream:
        return OwnAsyncStream([chunk("Four.", "stop")])

    assert len([item async for item in await ask()]) == 1
    assert recorded.statuses() == ["ok"]


def test_closing_such_an_iterator_ends_the_call(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> OwnStream:
        return OwnStream([chunk("Fo"), chunk("ur.", "stop")])

    with contextlib.closing(ask()) as stream:
        next(stream)
    assert stream.closed
    assert recorded.statuses() == ["incomplete"]


def test_dropping_such_an_iterator_ends_the_call(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> OwnStream:
        return OwnStream([chunk("Fo"), chunk("ur.", "stop")])

    next(ask())
    gc.collect()
    assert recorded.statuses() == ["incomplete"]


def test_an_iterator_that_cannot_be_changed_is_left_alone(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> Slotted:
        return Slotted()

    stream = ask()
    assert type(stream) is Slotted
    assert len(list(stream)) == 2
    attributes = recorded.attributes()
    assert attributes["promptspan.status"] == "ok"
    assert "gen_ai.request.stream" not in attributes


@pytest.mark.parametrize(
    "make", [lambda: iter([1]), lambda: map(str, [1]), lambda: [1], lambda: {"a": 1}, lambda: "x"]
)
def test_plain_values_of_python_are_given_on_as_they_are(recorded: Recorded, make: Any) -> None:
    made = make()

    @traced_prompt
    def ask() -> Any:
        return made

    assert ask() is made
    assert len(recorded.all()) == 1


def test_a_stream_inside_a_dictionary_is_read_as_bedrocks_is(recorded: Recorded) -> None:
    class EventStream:
        def __init__(self) -> None:
            self._event_generator = iter([chunk("Fo"), chunk("ur.", "stop")])

        def __iter__(self) -> Iterator[Any]:
            yield from self._event_generator

    reply: dict[str, Any] = {"stream": EventStream(), "ResponseMetadata": {}}

    @traced_prompt
    def ask() -> Any:
        return reply

    assert ask() is reply
    assert len(list(reply["stream"])) == 2
    assert recorded.attributes()["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_stream_through_two_decorated_functions_is_billed_once_and_closed_for_both(
    recorded: Recorded, replay: ReplayProvider
) -> None:
    with openai.OpenAI(base_url=replay.openai_url, api_key="none", max_retries=0) as client:

        @traced_prompt
        def inner() -> Any:
            return client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": "Hello?"}],
                stream=True,
                stream_options={"include_usage": True},
            )

        @traced_prompt
        def outer() -> Any:
            return inner()

        list(outer())
        billed = [
            span.name for span in recorded.all() if "gen_ai.usage.input_tokens" in (span.attributes or {})
        ]
        assert len(billed) == 1
        assert recorded.named("outer")["gen_ai.operation.name"] == "invoke_workflow"
        recorded.clear()
        with outer() as stream:
            next(stream)
        assert recorded.statuses() == ["incomplete", "incomplete"]


def test_a_close_that_was_kept_outlives_the_stream_as_a_bound_method_would(
    recorded: Recorded, replay: ReplayProvider
) -> None:
    with openai.OpenAI(base_url=replay.openai_url, api_key="none", max_retries=0) as client:

        @traced_prompt
        def ask() -> Any:
            return client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello?"}], stream=True
            )

        stream = ask()
        response, close = stream.response, stream.close
        del stream
        gc.collect()
        close()
        assert response.is_closed
    assert recorded.statuses() == ["incomplete"]


@pytest.mark.parametrize("first", ["", "before()"])
def test_a_stream_that_is_open_when_the_process_ends_is_sent_as_it_is(first: str) -> None:
    code = f"""
import promptspan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

promptspan.configure(service_name="x", exporter=ConsoleSpanExporter(), spool=None)

@promptspan.traced_prompt
def ask():
    yield dict(type="message_start", message=dict(id="msg_1", usage=dict(input_tokens=9)))
    yield dict(type="message_stop")

@promptspan.traced_prompt
def before():
    return "words"

{first}
held = ask()
next(held)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert '"promptspan.status": "incomplete"' in done.stdout
    assert '"gen_ai.usage.input_tokens": 9' in done.stdout
    assert done.stderr == ""
