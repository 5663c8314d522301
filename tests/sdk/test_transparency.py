"""Decorated and undecorated, functions cannot be told apart: random programs, run both ways."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptspan import current_span, traced_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from recorded import Recorded


class BoomError(Exception):
    pass


class OtherError(Exception):
    pass


Program = list[tuple[str, Any]]
ERRORS: dict[str, type[BaseException]] = {
    "boom": BoomError,
    "other": OtherError,
    "stop": StopIteration,
    "exit": GeneratorExit,
    "cancel": asyncio.CancelledError,
    "interrupt": KeyboardInterrupt,
}
CAUGHT: dict[str, tuple[type[BaseException], ...]] = {
    "all": (BaseException,),
    "boom": (BoomError,),
    "exit": (GeneratorExit,),
}
# A generator is a list of steps; a script is what its reader does with it.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("yield"), st.integers(0, 9)),
        st.tuples(st.just("yield catching"), st.sampled_from(["boom", "exit", "all"])),
        st.tuples(st.just("raise"), st.sampled_from(["boom", "stop", "interrupt"])),
        st.tuples(st.just("return"), st.integers(0, 9)),
    ),
    max_size=5,
)
scripts = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.none()),
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("throw"), st.sampled_from(sorted(ERRORS))),
        st.tuples(st.just("close"), st.none()),
    ),
    min_size=1,
    max_size=6,
)


def answers_no_close(program: Program) -> bool:
    """An asynchronous generator that yields to a close is stuck for good in Python 3.11, decorated or not."""
    closes = (("yield catching", "exit"), ("yield catching", "all"))
    catching = [at for at, step in enumerate(program) if step in closes]
    return all(not step[0].startswith("yield") for at in catching for step in program[at + 1 :])


SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def generator_function(program: Program, log: list[Any]) -> Callable[[], Generator[Any, Any, Any]]:
    def run() -> Generator[Any, Any, Any]:
        log.append("started")
        try:
            for kind, value in program:
                if kind == "yield":
                    log.append(("got", (yield value)))
                elif kind == "yield catching":
                    try:
                        log.append(("got", (yield value)))
                    except CAUGHT[value] as caught:
                        log.append(("caught", type(caught)))
                elif kind == "raise":
                    raise ERRORS[value]
                else:
                    return value
        finally:
            log.append("ended")

    return run


def async_generator_function(program: Program, log: list[Any]) -> Callable[[], AsyncGenerator[Any, Any]]:
    async def run() -> AsyncGenerator[Any, Any]:
        log.append("started")
        try:
            for kind, value in program:
                await asyncio.sleep(0)
                if kind == "yield":
                    log.append(("got", (yield value)))
                elif kind == "yield catching":
                    try:
                        log.append(("got", (yield value)))
                    except CAUGHT[value] as caught:
                        log.append(("caught", type(caught)))
                elif kind == "raise":
                    raise ERRORS[value]
                else:
                    return
        finally:
            log.append("ended")

    return run


def describe(exc: BaseException) -> tuple[Any, ...]:
    value = exc.value if isinstance(exc, StopIteration) else None
    cause = type(exc.__cause__) if exc.__cause__ is not None else None
    return (type(exc), str(exc), value, cause)


def read(generator: Generator[Any, Any, Any], script: Program) -> list[Any]:
    seen: list[Any] = []
    for kind, value in script:
        try:
            if kind == "next":
                seen.append(next(generator))
            elif kind == "send":
                seen.append(generator.send(value))
            elif kind == "throw":
                seen.append(generator.throw(ERRORS[value]()))
            else:
                seen.append(generator.close())
        except BaseException as exc:  # noqa: BLE001  # all of them are compared
            seen.append(describe(exc))
        assert current_span().span_id == ""
    for _ in range(8):  # a program may answer a close with a value, as often as it has steps
        try:
            seen.append(generator.close())
            break
        except BaseException as exc:  # noqa: BLE001
            seen.append(describe(exc))
    return seen


async def read_async(generator: AsyncGenerator[Any, Any], script: Program) -> list[Any]:
    seen: list[Any] = []
    for kind, value in script:
        try:
            if kind == "next":
                seen.append(await anext(generator))
            elif kind == "send":
                seen.append(await generator.asend(value))
            elif kind == "throw":
                seen.append(await generator.athrow(ERRORS[value]()))
            else:
                seen.append(await generator.aclose())
        except BaseException as exc:  # noqa: BLE001  # all of them are compared
            seen.append(describe(exc))
        assert current_span().span_id == ""
    for _ in range(8):
        try:
            seen.append(await generator.aclose())
            break
        except BaseException as exc:  # noqa: BLE001
            seen.append(describe(exc))
    return seen


@SETTINGS
@given(program=steps, script=scripts)
def test_a_generator_does_what_it_would_undecorated(
    recorded: Recorded, program: Program, script: Program
) -> None:
    plain_log: list[Any] = []
    traced_log: list[Any] = []
    plain = read(generator_function(program, plain_log)(), script)
    traced = read(traced_prompt(generator_function(program, traced_log))(), script)
    assert traced == plain
    assert traced_log == plain_log


@SETTINGS
@given(program=steps, script=scripts)
def test_a_generator_that_a_function_returns_does_what_it_would_undecorated(
    recorded: Recorded, program: Program, script: Program
) -> None:
    plain_log: list[Any] = []
    traced_log: list[Any] = []
    made = generator_function(program, traced_log)()
    plain = read(generator_function(program, plain_log)(), script)
    traced = read(traced_prompt(lambda: made)(), script)
    assert traced == plain
    assert traced_log == plain_log


@SETTINGS
@given(program=steps.filter(answers_no_close), script=scripts)
def test_an_asynchronous_generator_does_what_it_would_undecorated(
    recorded: Recorded, program: Program, script: Program
) -> None:
    plain_log: list[Any] = []
    traced_log: list[Any] = []

    async def both() -> tuple[list[Any], list[Any]]:
        plain = async_generator_function(program, plain_log)()
        traced = traced_prompt(async_generator_function(program, traced_log))()
        return await read_async(plain, script), await read_async(traced, script)

    plain, traced = asyncio.run(both())
    assert traced == plain
    assert traced_log == plain_log


def test_nothing_that_inspect_tells_is_changed() -> None:
    def plain(a: int, /, b: str = "x", *c: int, d: float, **e: Any) -> str:
        """Words."""
        return b

    async def coroutine(a: int) -> int:
        return a

    def generator(a: int) -> Generator[int]:
        yield a

    async def async_generator(a: int) -> AsyncGenerator[int]:
        yield a

    every: list[Any] = [plain, coroutine, generator, async_generator]
    for function in every:
        traced = traced_prompt(function)
        for tells in (
            inspect.signature,
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
            asyncio.iscoroutinefunction,
            inspect.isfunction,
            inspect.getdoc,
            inspect.get_annotations,
        ):
            assert tells(traced) == tells(function), (function, tells)
        assert traced.__name__ == function.__name__
        assert traced.__qualname__ == function.__qualname__
        assert traced.__module__ == function.__module__
        assert traced.__wrapped__ is function


def test_a_missing_argument_is_the_same_error(recorded: Recorded) -> None:
    def plain(a: int) -> int:
        return a

    def error(function: Any) -> str:
        try:
            function()
        except TypeError as exc:
            return str(exc)
        return ""

    assert error(traced_prompt(plain)) == error(plain) != ""


def test_an_application_that_seeds_random_keeps_its_sequence(recorded: Recorded) -> None:
    import random

    @traced_prompt
    def ask() -> str:
        return "words"

    random.seed(4)
    expected = random.random()
    random.seed(4)
    ask()
    assert random.random() == expected
    recorded.all()
