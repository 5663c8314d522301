# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What type checkers see of the public API; checked by test_typing.py and `make typecheck`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import assert_type

from promptspan import CallSpan, Prompt, current_span, flush, record_score, stats, traced_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


class Named(Protocol):
    def __call__(self, text: str, /, times: int = 1) -> str: ...


@traced_prompt
def bare(text: str, times: int = 1) -> str:
    return text * times


@traced_prompt(prompt="sums", version="7", feature="maths", tags=["a"], capture_content=False)
def with_arguments(text: str, *, strict: bool = False) -> list[str]:
    return [text] if strict else []


@traced_prompt(prompt=Prompt(name="p"))
async def coroutine(number: int) -> int:
    return number


@traced_prompt
def generator() -> Iterator[bytes]:
    yield b""


@traced_prompt
async def async_generator() -> AsyncIterator[float]:
    yield 0.0


class Client:
    @traced_prompt
    def method(self, text: str) -> int:
        return len(text)

    @traced_prompt(feature="f")
    @classmethod
    def of_class(cls, text: str) -> Client:
        return cls()

    @staticmethod
    @traced_prompt
    def static(text: str) -> None: ...


named: Named = bare
function: Callable[[int], Awaitable[int]] = coroutine


async def use() -> None:
    assert_type(bare("x", times=2), str)
    assert_type(with_arguments("x", strict=True), list[str])
    assert_type(await coroutine(1), int)
    for chunk in generator():
        assert_type(chunk, bytes)
    async for number in async_generator():
        assert_type(number, float)
    assert_type(Client().method("x"), int)
    assert_type(Client.of_class("x"), Client)
    assert_type(Client.static("x"), None)
    assert_type(current_span(), CallSpan)
    assert_type(flush(), bool)
    assert_type(stats().emitted, int)
    assert_type(Prompt(name="p").render(a=1), str)
    record_score("helpful", 1, response_id="r")


def misuse() -> Any:
    bare(1)  # pyright: ignore[reportArgumentType]
    with_arguments("x", True)  # pyright: ignore[reportCallIssue]
    traced_prompt("name")  # pyright: ignore[reportArgumentType]
    traced_prompt(prompt=3)  # pyright: ignore[reportArgumentType]
    Client().method()  # pyright: ignore[reportCallIssue]
