"""Random programs of functions that call one another run the same, decorated and undecorated."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import gc
import inspect
import pickle
import sys
import types
import typing
import weakref
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptspan import current_span, traced_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from recorded import Recorded

    Decorate = Callable[[Any], Any]


class BoomError(Exception):
    pass


VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
KINDS: dict[str, type[BaseException]] = {
    "boom": BoomError,
    "key": KeyError,
    "stop": StopIteration,
    "exit": GeneratorExit,
    "cancel": asyncio.CancelledError,
    "interrupt": KeyboardInterrupt,
}
Program = list[tuple[Any, ...]]

_leaves = st.one_of(
    st.tuples(st.just("set"), st.integers(1, 9)),
    st.tuples(st.just("get")),
    st.tuples(st.just("say"), st.integers(0, 9)),
    st.tuples(st.just("raise"), st.sampled_from(sorted(KINDS))),
    st.tuples(st.just("return"), st.integers(0, 9)),
    st.tuples(st.just("sleep")),
)
_shapes = st.sampled_from(
    ["function", "method", "classmethod", "staticmethod", "partial", "object", "generator", "coroutine"]
)


def _steps(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(inner, max_size=4)
    return st.one_of(
        st.tuples(st.just("call"), _shapes, body),
        st.tuples(st.just("try"), st.sampled_from(["boom", "key", "cancel"]), body),
        st.tuples(st.just("from"), st.sampled_from(sorted(KINDS)), body),
        st.tuples(st.just("timeout"), body),
        st.tuples(st.just("task"), body),
        st.tuples(st.just("cancelled task"), st.integers(0, 3), body),
    )


programs = st.lists(st.recursive(_leaves, _steps, max_leaves=12), min_size=1, max_size=5)


class Run:
    """One run of a program; what it notes is compared."""

    def __init__(self, decorate: Decorate) -> None:
        self.decorate = decorate
        self.log: list[Any] = []
        self.raised: list[BaseException] = []

    def begin(self, kind: str) -> BaseException:
        self.raised.append(KINDS[kind](f"number {len(self.raised)}"))
        return self.raised[-1]

    def end(self, exc: BaseException) -> None:
        """Note an exception: which it is, what it came from, and where it has been in this file."""
        own = [number for number, known in enumerate(self.raised) if known is exc]
        cause = type(exc.__cause__).__name__, type(exc.__context__).__name__, exc.__suppress_context__
        frames: list[tuple[str, int]] = []
        trace = exc.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == __file__:
                frames.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
            trace = trace.tb_next
        self.log.append((own, type(exc).__name__, str(exc), cause, frames))

    async def body(self, program: Program) -> Any:
        for kind, *facts in program:
            if kind == "set":
                VARIABLE.set(facts[0])
            elif kind == "get":
                self.log.append(("variable", VARIABLE.get()))
            elif kind == "say":
                self.log.append(facts[0])
            elif kind == "raise":
                raise self.begin(facts[0])
            elif kind == "return":
                return facts[0]
            elif kind == "sleep":
                await asyncio.sleep(0)
            elif kind == "call":
                self.log.append(("returned", await self.call(*facts)))
            elif kind == "try":
                try:
                    await self.body(facts[1])
                except KINDS[facts[0]] as exc:
                    self.end(exc)
            elif kind == "from":
                try:
                    await self.body(facts[1])
                except Exception as exc:
                    raise self.begin(facts[0]) from exc
            elif kind == "timeout":
                await self.timeout(facts[0])
            else:
                await self.task(kind, facts)
        return None

    async def timeout(self, program: Program) -> Any:
        """The shape that loses its meaning where a decorator makes tasks of its own."""
        if sys.version_info < (3, 11):
            return await self.body(program)

        async def slow() -> None:
            await self.body(program)
            scope.reschedule(asyncio.get_running_loop().time())  # now, however fast this machine is
            await asyncio.sleep(60)

        try:
            async with asyncio.timeout(None) as scope:
                await self.settled(self.decorate(slow))
        except TimeoutError as exc:
            self.log.append(("timeout", type(exc.__cause__).__name__))
        return None

    async def task(self, kind: str, facts: list[Any]) -> None:
        async def work() -> Any:
            return await self.body(facts[-1])

        task = asyncio.ensure_future(self.settled(self.decorate(work)))
        if kind == "cancelled task":
            for _ in range(facts[0]):
                await asyncio.sleep(0)
            task.cancel()
        try:
            self.log.append(("task", await task))
        except asyncio.CancelledError as exc:
            self.end(exc)

    async def settled(self, function: Callable[[], Any]) -> Any:
        """A task's outcome as a value: a task would put an interrupt through the loop."""
        try:
            return await function()
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001  # all of them are compared
            self.end(exc)
            return None

    async def call(self, shape: str, program: Program) -> Any:
        """Call a function of some kind that runs the program."""
        if shape == "coroutine":
            return await self.decorate(self.coroutine(program))()
        if shape == "generator":
            return list(self.decorate(self.generator(program))())
        return self.function(shape, self.stepper(program))

    def coroutine(self, program: Program) -> Callable[[], Any]:
        async def function() -> Any:
            return await self.body(program)

        return function

    def generator(self, program: Program) -> Callable[[], Generator[Any, Any, Any]]:
        def function() -> Generator[Any, Any, Any]:
            yield 1
            yield self.stepper(program)()

        return function

    def stepper(self, program: Program) -> Callable[[], Any]:
        """The program without its awaits, as a plain function has none."""
        plain = [step for step in program if step[0] in ("set", "get", "say", "raise", "return")]

        def step() -> Any:
            coroutine = self.body(plain)
            try:
                coroutine.send(None)
            except StopIteration as stop:
                return stop.value
            raise AssertionError("a plain program does not wait")

        return step

    def function(self, shape: str, run: Callable[[], Any]) -> Any:
        def function(*_: Any) -> Any:
            return run()

        class Object:
            def __call__(self) -> Any:
                return run()

        if shape == "partial":
            return self.decorate(functools.partial(function, 1))()
        if shape == "object":
            return self.decorate(Object())()
        if shape == "function":
            return self.decorate(function)()
        kinds: dict[str, Any] = {"classmethod": classmethod, "staticmethod": staticmethod}
        method: Any = kinds[shape](function) if shape in kinds else function
        holder: Any = type("Holder", (), {"method": self.decorate(method)})
        return holder().method()


def undecorated(function: Any) -> Any:
    return function


def outcome(program: Program, decorate: Decorate) -> list[Any]:
    run = Run(decorate)

    async def main() -> None:
        @decorate
        async def outermost() -> Any:
            return await run.body(program)

        try:
            run.log.append(("end", await outermost()))
        except BaseException as exc:  # noqa: BLE001  # all of them are compared
            run.end(exc)
        run.log.append(("variable", VARIABLE.get()))
        assert current_span().span_id == ""

    asyncio.run(main())
    return run.log


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=programs)
def test_a_program_runs_the_same_with_all_its_functions_decorated(
    recorded: Recorded, program: Program
) -> None:
    assert outcome(program, traced_prompt) == outcome(program, undecorated)


# What is read from a function without calling it


@traced_prompt
def module_level(a: int, b: str = "x") -> str:
    """More words."""
    return f"{a}{b}"


class Holder:
    """A class as applications have them."""

    @traced_prompt
    def method(self, a: int) -> int:
        return a

    @classmethod
    @traced_prompt
    def of_class(cls, a: int) -> type[Holder]:
        return cls

    @staticmethod
    @traced_prompt
    def of_none(a: int) -> int:
        return a


def test_decorated_functions_are_pickled_and_copied_as_functions_are() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert copy.copy(module_level) is module_level
    assert copy.deepcopy({"f": module_level})["f"] is module_level
    assert pickle.loads(pickle.dumps(Holder.of_none)) is Holder.of_none
    assert pickle.loads(pickle.dumps(Holder().method))(3) == 3
    assert pickle.loads(pickle.dumps(Holder.of_class))(3) is Holder
    assert pickle.loads(pickle.dumps(functools.partial(module_level, 4)))() == "4x"


def test_annotations_are_found_where_the_function_was_written() -> None:
    """As FastAPI, pydantic and typer look for them: strings, with the module's own names."""
    module = types.ModuleType("elsewhere")
    source = """
from __future__ import annotations
import typing
class Body: ...
def endpoint(body: Body, page: typing.Optional[int] = None, *, token: "str" = "t") -> list[Body]: ...
"""
    exec(compile(source, "elsewhere.py", "exec", dont_inherit=True), module.__dict__)
    endpoint: Any = module.__dict__["endpoint"]
    traced = traced_prompt(endpoint)
    assert typing.get_type_hints(traced) == typing.get_type_hints(endpoint)
    assert inspect.signature(traced) == inspect.signature(endpoint)
    assert inspect.signature(traced, eval_str=True) == inspect.signature(endpoint, eval_str=True)
    unwrapped = inspect.unwrap(traced)
    assert unwrapped is endpoint
    assert unwrapped.__globals__ is module.__dict__


def test_attributes_of_a_function_are_there_also_those_of_a_cache() -> None:
    def marked(a: int) -> int:
        return a

    marked.mark = "here"  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    traced: Any = traced_prompt(marked)
    assert traced.mark == "here"
    assert inspect.getsource(traced) == inspect.getsource(marked)
    cached: Any = traced_prompt(functools.lru_cache(maxsize=8)(marked))
    assert cached(1) == cached(1) == 1
    assert cached.cache_info().hits == 1
    assert cached.cache_parameters()["maxsize"] == 8
    cached.cache_clear()
    assert cached.cache_info().hits == 0


# What is freed, and when


@pytest.mark.parametrize("decorate", [undecorated, traced_prompt], ids=["plain", "traced"])
def test_a_generator_that_an_error_was_thrown_into_holds_nothing(
    recorded: Recorded, decorate: Decorate
) -> None:
    @decorate
    def chunks() -> Generator[int, Any, Any]:
        yield 1
        yield 2

    def throw() -> weakref.ref[BoomError]:
        generator = chunks()
        next(generator)
        try:
            generator.throw(BoomError("x"))
        except BoomError as exc:
            return weakref.ref(exc)
        raise AssertionError("it was thrown")

    gc.disable()
    try:
        known = throw()
        recorded.all()
        assert known() is None
    finally:
        gc.enable()


def test_a_generator_that_is_dropped_is_closed_at_once(recorded: Recorded) -> None:
    closed: list[str] = []

    @traced_prompt
    def chunks() -> Generator[int, Any, Any]:
        try:
            yield 1
        finally:
            closed.append("closed")

    held = chunks()
    next(held)
    del held
    assert closed == ["closed"]
    assert recorded.statuses() == ["incomplete"]


async def test_an_asynchronous_generator_that_is_closed_in_a_with_block_is_closed_there(
    recorded: Recorded,
) -> None:
    closed: list[str] = []

    @traced_prompt
    async def chunks() -> AsyncGenerator[int, Any]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("closed")

    async with aclosing(chunks()) as stream:
        async for _ in stream:
            break
    assert closed == ["closed"]
    assert recorded.statuses() == ["incomplete"]
