"""Our spans and those of an application's own OpenTelemetry, in one trace."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

import promptspan
from promptspan import current_span, traced_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from recorded import Recorded
    from replay import ReplayProvider

BOTH_WAYS = True

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Words."}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3},
}


class OwnProvider:
    """The application's own set-up."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("the application")

    def named(self, name: str) -> Any:
        # Our spans come from the background, a moment after they are safe.
        deadline = time.monotonic() + 10
        while not any(span.name == name for span in self.exporter.get_finished_spans()):
            assert time.monotonic() < deadline, [span.name for span in self.exporter.get_finished_spans()]
            threading.Event().wait(0.005)
        found = [span for span in self.exporter.get_finished_spans() if span.name == name]
        assert len(found) == 1, [span.name for span in self.exporter.get_finished_spans()]
        return found[0]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[TracerProvider], OwnProvider]:
    def installed(provider: TracerProvider) -> OwnProvider:
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        return OwnProvider(provider)

    return installed


@pytest.fixture
def own(install: Callable[[TracerProvider], OwnProvider]) -> OwnProvider:
    return install(TracerProvider())


def test_spans_nest_in_both_directions(recorded: Recorded, own: OwnProvider) -> None:
    @traced_prompt
    def ask() -> Any:
        with own.tracer.start_as_current_span("inside"):
            return ANSWER

    with own.tracer.start_as_current_span("around") as around:
        ask()
        assert trace.get_current_span() is around
    ours = recorded.one()
    assert ours.context is not None
    assert ours.parent is not None
    assert ours.parent.span_id == around.get_span_context().span_id
    assert own.named("inside").parent.span_id == ours.context.span_id
    assert own.named("inside").context.trace_id == ours.context.trace_id
    assert ours.context.trace_id == around.get_span_context().trace_id


def test_the_applications_exporters_see_an_ordinary_span_without_content(
    captured: Recorded, configured: Callable[..., Recorded], own: OwnProvider
) -> None:
    @traced_prompt
    def ask(text: str) -> Any:
        return ANSWER

    ask("my words")
    captured.all()
    assert own.named("chat gpt-4o").attributes["gen_ai.usage.input_tokens"] == 12
    assert "my words" in own.named("chat gpt-4o").attributes["gen_ai.input.messages"]
    assert own.named("chat gpt-4o").resource == own.provider.resource

    own.exporter.clear()
    without = configured()
    ask("my words")
    without.all()
    assert "my words" not in str(own.named("chat gpt-4o").attributes)


def test_a_trace_that_the_application_does_not_sample_keeps_its_tokens_and_loses_its_texts(
    captured: Recorded, install: Callable[[TracerProvider], OwnProvider]
) -> None:
    own = install(TracerProvider(sampler=ParentBased(ALWAYS_OFF)))

    @traced_prompt
    def ask(text: str) -> Any:
        return ANSWER

    with own.tracer.start_as_current_span("around"):
        ask("my words")
    ask("my words")  # a root of its own asks the application's sampler
    assert own.exporter.get_finished_spans() == ()
    for span in captured.all():
        assert span.context is not None
        assert not span.context.trace_flags.sampled
        attributes = dict(span.attributes or {})
        assert attributes["gen_ai.usage.input_tokens"] == 12
        assert "gen_ai.input.messages" not in attributes


def test_the_applications_provider_is_neither_replaced_nor_shut_down(
    recorded: Recorded, own: OwnProvider
) -> None:
    @traced_prompt
    def ask() -> Any:
        return ANSWER

    ask()
    recorded.one()
    own.named("chat gpt-4o")
    promptspan.shutdown(5)
    assert trace.get_tracer_provider() is own.provider
    with own.tracer.start_as_current_span("afterwards"):
        pass
    assert own.named("afterwards").resource == own.provider.resource


def test_a_sampled_out_call_sends_its_tokens_to_us_and_nothing_to_the_application(
    captured: Recorded, install: Callable[[TracerProvider], OwnProvider]
) -> None:
    own = install(TracerProvider(sampler=ALWAYS_OFF))

    @traced_prompt(capture_content=True)
    async def ask(text: str) -> Any:
        current_span().annotate(feature="inbox")
        return ANSWER

    @traced_prompt
    def stream(text: str) -> Iterator[Any]:
        yield ANSWER

    asyncio.run(ask("my words"))
    list(stream("my words"))
    spans = captured.all()
    assert [(span.attributes or {})["gen_ai.usage.output_tokens"] for span in spans] == [3, 3]
    assert (spans[0].attributes or {})["promptspan.feature"] == "inbox"
    assert "words" not in "".join(str(dict(span.attributes or {})) for span in spans).lower()
    assert own.exporter.get_finished_spans() == ()


def test_a_call_that_another_instrumentation_traced_is_billed_there(
    recorded: Recorded, own: OwnProvider
) -> None:
    @traced_prompt(prompt="sums", version="3", feature="maths")
    def ask() -> Any:
        with (
            own.tracer.start_as_current_span("chain"),
            own.tracer.start_as_current_span("chat gpt-4o") as theirs,
        ):
            theirs.set_attribute("gen_ai.usage.input_tokens", 12)
            theirs.set_attribute("gen_ai.response.id", "chatcmpl-1")
        return ANSWER

    ask()
    attributes = recorded.attributes()
    assert attributes["gen_ai.operation.name"] == "invoke_workflow"
    assert "gen_ai.usage.input_tokens" not in attributes
    assert attributes["gen_ai.response.id"] == "chatcmpl-1"
    theirs = own.named("chat gpt-4o").attributes
    # The one that is billed has to say for which prompt.
    assert theirs["gen_ai.prompt.name"] == "sums"
    assert theirs["gen_ai.prompt.version"] == "3"
    assert theirs["promptspan.feature"] == "maths"


def test_spans_of_others_without_tokens_take_nothing_away(recorded: Recorded, own: OwnProvider) -> None:
    @traced_prompt
    def ask() -> Any:
        with own.tracer.start_as_current_span("POST"):
            return ANSWER

    ask()
    assert recorded.attributes()["gen_ai.usage.input_tokens"] == 12


def test_a_call_of_another_response_is_still_ours(recorded: Recorded, own: OwnProvider) -> None:
    @traced_prompt
    def ask() -> Any:
        with own.tracer.start_as_current_span("another call") as theirs:
            theirs.set_attribute("gen_ai.usage.input_tokens", 99)
            theirs.set_attribute("gen_ai.response.id", "chatcmpl-of-another")
        return ANSWER

    ask()
    assert recorded.attributes()["gen_ai.usage.input_tokens"] == 12


def test_an_application_whose_spans_go_elsewhere_can_have_the_tokens_here(
    configured: Callable[..., Recorded], own: OwnProvider
) -> None:
    recorded = configured(yield_to_others=False)

    @traced_prompt
    def ask() -> Any:
        with own.tracer.start_as_current_span("chat") as theirs:
            theirs.set_attribute("gen_ai.usage.input_tokens", 12)
        return ANSWER

    ask()
    assert recorded.attributes()["gen_ai.usage.input_tokens"] == 12


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_own_span_and_ours_are_one_bill(
    recorded: Recorded, own: OwnProvider, replay: ReplayProvider, stream: bool
) -> None:
    with anthropic.Anthropic(base_url=replay.url, api_key="none", max_retries=0) as claude:

        @traced_prompt(prompt="weather")
        def ask() -> Any:
            return claude.messages.create(
                model="claude-opus-4-8",
                max_tokens=10,
                stream=stream,
                messages=[{"role": "user", "content": "Rain?"}],
            )

        answer = ask()
        if stream:
            list(answer)
    ours = recorded.attributes()
    theirs = [span for span in own.exporter.get_finished_spans() if span.name == "anthropic.messages.create"]
    assert [(span.attributes or {})["gen_ai.usage.output_tokens"] for span in theirs] == [
        replay.billed[-1].output_tokens
    ]
    assert (theirs[0].attributes or {})["gen_ai.prompt.name"] == "weather"
    assert ours["gen_ai.operation.name"] == "invoke_workflow"
    assert "gen_ai.usage.output_tokens" not in ours


def test_current_span_of_opentelemetry_is_ours_and_takes_attributes(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> Any:
        span = trace.get_current_span()
        assert span.is_recording()
        assert f"{span.get_span_context().span_id:016x}" == current_span().span_id
        span.set_attribute("app.step", "first")
        span.add_event("looked up", {"app.hits": 3})
        span.record_exception(ValueError("my words"))
        span.end()  # somebody else's mistake ends nothing
        return ANSWER

    ask()
    span = recorded.one()
    assert (span.attributes or {})["app.step"] == "first"
    assert [event.name for event in span.events] == ["looked up", "exception"]
    assert "my words" not in str(span.events[1].attributes)
    assert (span.attributes or {})["promptspan.status"] == "ok"


def test_context_variables_of_the_caller_reach_the_function_and_come_back(recorded: Recorded) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("before")

    @traced_prompt
    def ask() -> Any:
        assert variable.get() == "before"
        variable.set("after")
        return ANSWER

    ask()
    assert variable.get() == "after"
    assert len(recorded.all()) == 1


def test_remote_parents_are_continued(recorded: Recorded) -> None:
    remote = trace.SpanContext(
        0xA1,
        0xB2,
        is_remote=True,
        trace_flags=trace.TraceFlags(1),
        trace_state=trace.TraceState([("k", "v")]),
    )

    @traced_prompt
    def ask() -> Any:
        return ANSWER

    with trace.use_span(trace.NonRecordingSpan(remote)):
        ask()
    span = recorded.one()
    assert span.parent is not None
    assert span.context is not None
    assert (span.parent.span_id, span.context.trace_id) == (0xB2, 0xA1)
    assert span.context.trace_state.get("k") == "v"


def test_a_span_that_a_generator_holds_across_its_chunks_stays_its_own(recorded: Recorded) -> None:
    tracer = TracerProvider().get_tracer("the application")
    seen: list[int] = []

    @traced_prompt
    def chunks() -> Iterator[int]:
        with tracer.start_as_current_span("all of it") as span:
            for number in range(3):
                seen.append(trace.get_current_span().get_span_context().span_id)
                yield number
            assert trace.get_current_span() is span
        assert trace.get_current_span().get_span_context().span_id != span.get_span_context().span_id

    for _ in chunks():
        assert not trace.get_current_span().get_span_context().is_valid
        assert current_span().span_id == ""
    assert len(set(seen)) == 1
    assert recorded.statuses() == ["ok"]


async def test_a_span_that_an_asynchronous_generator_holds_stays_its_own(recorded: Recorded) -> None:
    tracer = TracerProvider().get_tracer("the application")
    seen: list[int] = []

    @traced_prompt
    async def chunks() -> AsyncIterator[int]:
        with tracer.start_as_current_span("all of it"):
            for number in range(3):
                await asyncio.sleep(0)
                seen.append(trace.get_current_span().get_span_context().span_id)
                yield number

    async for _ in chunks():
        assert not trace.get_current_span().get_span_context().is_valid
    assert len(set(seen)) == 1
    assert await asyncio.to_thread(recorded.statuses) == ["ok"]


def test_what_a_function_leaves_in_the_context_stays_there_and_its_call_does_not(recorded: Recorded) -> None:
    before = context.get_current()

    @traced_prompt
    def tag() -> None:
        context.attach(baggage.set_baggage("team", "inbox"))

    try:
        tag()
        assert baggage.get_baggage("team") == "inbox"
        assert current_span().span_id == ""
        assert not trace.get_current_span().get_span_context().is_valid
        tag()
    finally:
        context.attach(before)
    parents = [span.parent for span in recorded.all()]
    assert parents == [None, None]
