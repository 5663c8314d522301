"""Every kind of wrapper, with every way a call can end."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from promptspan import current_span, traced_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from recorded import Recorded

BOTH_WAYS = True


def completion(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Four."}}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    }
    return whole | changes


def chunk(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {"content": text} if text else {}
    return {
        "id": "chatcmpl-2",
        "object": "chat.completion.chunk",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


LAST: dict[str, Any] = {
    "choices": [],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3},
    "id": "chatcmpl-2",
}


class BoomError(Exception):
    pass


class TestFunctions:
    def test_a_call_becomes_a_span_with_the_facts_of_its_response(self, recorded: Recorded) -> None:
        @traced_prompt(prompt="sums", version="7", feature="maths", tenant="acme", tags=["a"], variant="b")
        def ask(model: str) -> Any:
            return completion()

        assert ask("gpt-4o") == completion()
        span = recorded.one()
        assert span.name == "chat gpt-4o"
        assert span.kind is trace.SpanKind.CLIENT
        assert span.status.is_ok
        assert dict(span.attributes or {}) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.prompt.name": "sums",
            "gen_ai.prompt.version": "7",
            "promptspan.feature": "maths",
            "promptspan.tenant": "acme",
            "promptspan.status": "ok",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 3,
            "promptspan.usage.source": "provider",
            "gen_ai.response.finish_reasons": ("stop",),
            "code.function.name": f"{__name__}.TestFunctions."
            "test_a_call_becomes_a_span_with_the_facts_of_its_response.<locals>.ask",
            "promptspan.tags": ("a",),
            "promptspan.variant": "b",
        }

    def test_bare_it_is_shown_under_the_functions_name(self, recorded: Recorded) -> None:
        @traced_prompt
        def ask() -> Any:
            return completion()

        ask()
        assert recorded.attributes()["gen_ai.prompt.name"] == "ask"

    def test_an_exception_is_the_same_object_and_an_error_on_the_span(self, recorded: Recorded) -> None:
        boom = BoomError("secret words")

        @traced_prompt
        def ask() -> Any:
            raise boom

        with pytest.raises(BoomError) as caught:
            ask()
        assert caught.value is boom
        assert [entry.name for entry in caught.traceback][-1] == "ask"
        span = recorded.one()
        assert span.status.status_code is trace.StatusCode.ERROR
        attributes = dict(span.attributes or {})
        assert attributes["promptspan.status"] == "error"
        assert attributes["error.type"] == f"{__name__}.BoomError"
        assert attributes["promptspan.usage.source"] == "missing"
        assert "gen_ai.usage.input_tokens" not in attributes
        assert span.status.description == "BoomError"  # without content capture no text of the exception

    @pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt, "cancelled"), (SystemExit, "error")])
    def test_what_is_no_exception_passes_and_is_recorded(
        self, recorded: Recorded, raised: type[BaseException], status: str
    ) -> None:
        @traced_prompt
        def ask() -> Any:
            raise raised

        with pytest.raises(raised):
            ask()
        assert recorded.attributes()["promptspan.status"] == status

    def test_methods_of_all_kinds_work_with_the_decorator_on_either_side(self, recorded: Recorded) -> None:
        class Client:
            @traced_prompt
            def plain(self) -> Any:
                return self

            @classmethod
            @traced_prompt
            def inner_class(cls) -> Any:
                return cls

            @traced_prompt
            @classmethod
            def outer_class(cls) -> Any:
                return cls

            @staticmethod
            @traced_prompt
            def inner_static(value: int) -> Any:
                return value

            @traced_prompt
            @staticmethod
            def outer_static(value: int) -> Any:
                return value

        client = Client()
        assert client.plain() is client
        assert client.inner_class() is Client
        assert Client.outer_class() is Client
        assert client.inner_static(3) == 3
        assert Client.outer_static(4) == 4
        assert len(recorded.all()) == 5

    def test_what_cannot_be_called_is_refused_at_decoration(self) -> None:
        with pytest.raises(TypeError, match="'int' objects"):
            traced_prompt(3)  # pyright: ignore[reportCallIssue, reportArgumentType]


class TestCoroutines:
    async def test_a_call_becomes_a_span(self, recorded: Recorded) -> None:
        @traced_prompt
        async def ask() -> Any:
            await asyncio.sleep(0)
            return completion()

        assert await ask() == completion()
        assert recorded.attributes()["gen_ai.usage.input_tokens"] == 12

    async def test_an_exception_is_the_same_object(self, recorded: Recorded) -> None:
        boom = BoomError()

        @traced_prompt
        async def ask() -> Any:
            await asyncio.sleep(0)
            raise boom

        with pytest.raises(BoomError) as caught:
            await ask()
        assert caught.value is boom
        assert recorded.statuses() == ["error"]

    async def test_cancellation_passes_and_is_no_error(self, recorded: Recorded) -> None:
        @traced_prompt
        async def ask() -> Any:
            await asyncio.Event().wait()

        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        span = recorded.one()
        assert (span.attributes or {})["promptspan.status"] == "cancelled"
        assert span.status.status_code is trace.StatusCode.UNSET

    async def test_a_timeout_around_the_call_still_works(self, recorded: Recorded) -> None:
        @traced_prompt
        async def ask() -> Any:
            await asyncio.Event().wait()

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ask(), 0.01)
        assert recorded.statuses() == ["cancelled"]

    async def test_calls_that_run_together_keep_their_own_span(self, recorded: Recorded) -> None:
        seen: dict[int, tuple[str, str]] = {}

        @traced_prompt
        async def ask(number: int) -> Any:
            before = current_span().span_id
            await asyncio.sleep(0)
            seen[number] = (before, current_span().span_id)
            return completion()

        await asyncio.gather(*(ask(number) for number in range(5)))
        assert all(before == after for before, after in seen.values())
        assert len({before for before, _ in seen.values()}) == 5
        assert len(recorded.all()) == 5

    async def test_a_plain_function_may_return_the_coroutine(self, recorded: Recorded) -> None:
        async def create() -> Any:
            await asyncio.sleep(0)
            return completion()

        @traced_prompt
        def ask() -> Any:
            return create()

        coroutine = ask()
        assert asyncio.iscoroutine(coroutine)
        assert coroutine.__name__ == "create"
        assert await coroutine == completion()
        assert recorded.attributes()["gen_ai.usage.output_tokens"] == 3

    async def test_a_coroutine_that_is_thrown_away_leaves_nothing_current(self, recorded: Recorded) -> None:
        @traced_prompt
        async def ask() -> Any:
            await asyncio.Event().wait()

        coroutine = ask()
        coroutine.send(None)
        coroutine.close()
        assert recorded.statuses() == ["incomplete"]


class TestGenerators:
    def test_chunks_are_put_together(self, recorded: Recorded) -> None:
        @traced_prompt
        def ask() -> Iterator[Any]:
            yield chunk("Fo")
            yield chunk("ur.")
            yield chunk("", "stop")
            yield LAST

        assert len(list(ask())) == 4
        attributes = recorded.attributes()
        assert attributes["gen_ai.request.stream"] is True
        assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
        assert attributes["gen_ai.usage.input_tokens"] == 12
        assert attributes["gen_ai.response.time_to_first_chunk"] >= 0
        assert attributes["promptspan.status"] == "ok"

    def test_a_stream_of_thousands_of_chunks_is_put_together(self, captured: Recorded) -> None:
        @traced_prompt
        def ask() -> Iterator[Any]:
            for number in range(3_000):
                yield chunk(f"{number} ")
            yield chunk("", "stop")
            yield LAST

        for _ in ask():
            pass
        attributes = captured.attributes()
        assert attributes["gen_ai.usage.output_tokens"] == 3
        assert "2998 2999 " in attributes["gen_ai.output.messages"]

    def test_a_break_is_incomplete_with_the_tokens_that_are_known(self, recorded: Recorded) -> None:
        closed: list[str] = []

        @traced_prompt
        def ask() -> Iterator[Any]:
            try:
                yield {
                    "type": "message_start",
                    "message": {"id": "m", "model": "c", "usage": {"input_tokens": 9}},
                }
                yield {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}
            finally:
                closed.append("closed")

        for _ in ask():
            break
        assert closed == ["closed"]
        attributes = recorded.attributes()
        assert attributes["promptspan.status"] == "incomplete"
        assert attributes["gen_ai.usage.input_tokens"] == 9
        assert attributes["promptspan.usage.source"] == "estimated"

    def test_an_error_between_chunks_is_the_same_object(self, recorded: Recorded) -> None:
        boom = BoomError()

        @traced_prompt
        def ask() -> Iterator[Any]:
            yield chunk("Fo")
            raise boom

        with pytest.raises(BoomError) as caught:
            list(ask())
        assert caught.value is boom
        assert recorded.statuses() == ["error"]

    def test_the_span_is_current_only_while_a_chunk_is_made(self, recorded: Recorded) -> None:
        inside: list[str] = []

        @traced_prompt
        def ask() -> Iterator[Any]:
            inside.append(current_span().span_id)
            yield chunk("Fo")
            inside.append(current_span().span_id)

        for _ in ask():
            assert current_span().span_id == ""
        assert inside[0] == inside[1] != ""
        assert len(recorded.all()) == 1

    def test_a_generator_that_never_starts_is_no_call(self, recorded: Recorded) -> None:
        @traced_prompt
        def ask() -> Iterator[Any]:
            yield chunk("Fo")

        ask()
        assert recorded.all() == []

    def test_plain_strings_are_the_output(self, captured: Recorded) -> None:
        @traced_prompt
        def ask() -> Iterator[str]:
            yield "Fo"
            yield "ur."

        assert list(ask()) == ["Fo", "ur."]
        attributes = captured.attributes()
        assert '"Four."' in attributes["gen_ai.output.messages"]
        assert attributes["promptspan.usage.source"] == "missing"

    def test_a_plain_function_may_return_the_generator(self, recorded: Recorded) -> None:
        def create() -> Iterator[Any]:
            yield chunk("Four.")
            yield chunk("", "stop")

        @traced_prompt
        def ask() -> Any:
            return create()

        assert len(list(ask())) == 2
        assert recorded.attributes()["gen_ai.request.stream"] is True


class TestAsyncGenerators:
    async def test_chunks_are_put_together(self, recorded: Recorded) -> None:
        @traced_prompt
        async def ask() -> AsyncIterator[Any]:
            yield chunk("Four.")
            await asyncio.sleep(0)
            yield chunk("", "stop")
            yield LAST

        assert len([item async for item in ask()]) == 3
        attributes = recorded.attributes()
        assert attributes["gen_ai.usage.output_tokens"] == 3
        assert attributes["promptspan.status"] == "ok"

    async def test_an_early_close_is_incomplete(self, recorded: Recorded) -> None:
        closed: list[str] = []

        @traced_prompt
        async def ask() -> AsyncIterator[Any]:
            try:
                yield chunk("Four.")
                yield chunk("")
            finally:
                await asyncio.sleep(0)
                closed.append("closed")

        stream: Any = ask()
        await anext(stream)
        await stream.aclose()
        assert closed == ["closed"]
        assert recorded.statuses() == ["incomplete"]

    async def test_cancellation_between_chunks_passes(self, recorded: Recorded) -> None:
        @traced_prompt
        async def ask() -> AsyncIterator[Any]:
            yield chunk("Four.")
            await asyncio.Event().wait()

        async def read() -> None:
            async for _ in ask():
                pass

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert recorded.statuses() == ["cancelled"]

    async def test_an_error_between_chunks_is_the_same_object(self, recorded: Recorded) -> None:
        boom = BoomError()

        @traced_prompt
        async def ask() -> AsyncIterator[Any]:
            yield chunk("Four.")
            raise boom

        async def read() -> None:
            async for _ in ask():
                assert current_span().span_id == ""

        with pytest.raises(BoomError) as caught:
            await read()
        assert caught.value is boom
        assert recorded.statuses() == ["error"]

    async def test_no_task_is_made_for_a_chunk(self, recorded: Recorded) -> None:
        tasks: set[Any] = set()

        @traced_prompt
        async def ask() -> AsyncIterator[Any]:
            for _ in range(3):
                tasks.add(asyncio.current_task())
                yield chunk("x")

        async for _ in ask():
            tasks.add(asyncio.current_task())
        assert tasks == {asyncio.current_task()}
        assert len(recorded.all()) == 1


class TestNesting:
    def test_the_inner_function_is_the_call_and_the_outer_its_wrapper(self, recorded: Recorded) -> None:
        @traced_prompt
        def inner() -> Any:
            return completion()

        @traced_prompt
        def outer() -> Any:
            return inner()

        outer()
        wrapper, call = recorded.named("outer"), recorded.named("inner")
        assert wrapper["gen_ai.operation.name"] == "invoke_workflow"
        assert not any(key.startswith(("gen_ai.usage", "promptspan.usage")) for key in wrapper)
        assert call["gen_ai.usage.input_tokens"] == 12
        spans = {span.name: span for span in recorded.all()}
        parent = spans["chat gpt-4o-2024-08-06"].parent
        outer_context = spans["invoke_workflow outer"].context
        assert parent is not None
        assert outer_context is not None
        assert (parent.span_id, parent.trace_id) == (outer_context.span_id, outer_context.trace_id)

    def test_a_sum_over_inner_calls_is_no_bill_of_its_own(self, recorded: Recorded) -> None:
        @traced_prompt
        def inner(number: int) -> Any:
            return completion(id=f"chatcmpl-{number}")

        @traced_prompt
        def outer() -> Any:
            answers = [inner(1), inner(2)]
            return {"usage": {"prompt_tokens": 24, "completion_tokens": 6}, "answers": len(answers)}

        outer()
        assert recorded.named("outer")["gen_ai.operation.name"] == "invoke_workflow"

    def test_three_levels_have_one_bill(self, recorded: Recorded) -> None:
        @traced_prompt
        def inner() -> Any:
            return completion()

        @traced_prompt
        def middle() -> Any:
            return inner()

        @traced_prompt
        def outer() -> Any:
            return middle()

        outer()
        billed = [span for span in recorded.all() if "gen_ai.usage.input_tokens" in (span.attributes or {})]
        assert [span.name for span in billed] == ["chat gpt-4o-2024-08-06"]

    def test_an_outer_function_with_a_call_of_its_own_is_billed_too(self, recorded: Recorded) -> None:
        @traced_prompt
        def inner() -> Any:
            return completion(id="chatcmpl-inner")

        @traced_prompt
        def outer() -> Any:
            inner()
            return completion(id="chatcmpl-outer")

        outer()
        assert recorded.named("outer")["gen_ai.usage.input_tokens"] == 12
        assert recorded.named("inner")["gen_ai.usage.input_tokens"] == 12

    def test_a_stream_given_on_by_an_outer_function_is_billed_once(self, recorded: Recorded) -> None:
        @traced_prompt
        def inner() -> Iterator[Any]:
            yield chunk("Four.", "stop")
            yield LAST

        @traced_prompt
        def outer() -> Iterator[Any]:
            yield from inner()

        assert len(list(outer())) == 2
        assert recorded.named("inner")["gen_ai.usage.input_tokens"] == 12
        assert recorded.named("outer")["gen_ai.operation.name"] == "invoke_workflow"

    def test_a_call_in_a_thread_without_our_context_is_a_root(self, recorded: Recorded) -> None:
        import threading

        @traced_prompt
        def inner() -> Any:
            return completion()

        @traced_prompt
        def outer() -> Any:
            thread = threading.Thread(target=inner)
            thread.start()
            thread.join()
            return "done"

        outer()
        assert all(span.parent is None for span in recorded.all())


def test_what_the_caller_passes_is_let_go_when_the_call_ends(recorded: Recorded) -> None:
    import weakref

    class Big:
        pass

    @traced_prompt
    def ask(value: Any) -> Any:
        return completion()

    big = Big()
    known = weakref.ref(big)
    ask(big)
    del big
    gc.collect()
    assert known() is None
    assert len(recorded.all()) == 1


def test_a_call_that_has_ended_does_not_wait_for_the_collector(recorded: Recorded) -> None:
    import weakref

    class Answer(str):
        __slots__ = ("__weakref__",)

    @traced_prompt
    def ask() -> str:
        return Answer("The parcel is in Aachen.")

    @traced_prompt
    def stream() -> Iterator[str]:
        yield Answer("The parcel is in Aachen.")

    gc.collect()
    gc.disable()
    try:
        known = [weakref.ref(ask()), *[weakref.ref(piece) for piece in stream()]]
        assert len(recorded.all()) == 2
        assert [ref() for ref in known] == [None, None]
    finally:
        gc.enable()
