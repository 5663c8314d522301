"""Our own mistakes never reach the application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from promptspan import _guard, current_span, traced_prompt
from promptspan._guard import Guard

if TYPE_CHECKING:
    from recorded import Recorded


@pytest.fixture
def swallowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard as it is outside our tests."""
    monkeypatch.setattr(_guard, "reraise", False)


def broken(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("our mistake")


@pytest.mark.usefixtures("swallowing")
def test_a_mistake_is_logged_with_its_place_and_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard("a place")
    for _ in range(2):
        with guard:
            raise KeyError("what the user wrote")
    assert caplog.text.count("promptspan failed at 'a place'") == 1
    assert "builtins.KeyError" in caplog.text
    assert "test_guard.py" in caplog.text
    assert "what the user wrote" not in caplog.text
    assert guard.failures == 2
    _guard.GUARDS.remove(guard)


@pytest.mark.usefixtures("swallowing")
@pytest.mark.parametrize("place", ["random_bits", "enter", "leave", "watched", "chunk", "finish"])
def test_whatever_of_ours_fails_the_function_does_what_it_does(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place in ("chunk", "finish"):  # guarded inside: what they call fails
        monkeypatch.setattr("promptspan._call.perf_counter_ns", broken)
    else:
        monkeypatch.setattr(f"promptspan._call.{place}", broken)

    @traced_prompt
    def function() -> str:
        current_span().set_attribute("a", 1)
        return "words"

    @traced_prompt
    def failing() -> str:
        raise KeyError("theirs")

    @traced_prompt
    async def coroutine() -> str:
        return "words"

    @traced_prompt
    def generator() -> Any:
        yield 1
        return 2

    def run() -> None:
        """In a context of its own: a call that could not leave it stays current there."""
        assert function() == "words"
        with pytest.raises(KeyError, match="theirs"):
            failing()
        assert list(generator()) == [1]

    import contextvars

    contextvars.copy_context().run(run)
    assert asyncio.run(coroutine()) == "words"
    monkeypatch.undo()


def test_a_failure_is_logged_once_and_counted_each_time(
    swallowing: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_guard, "GUARDS", [])
    guard = Guard("a place")
    for _ in range(3):
        with guard:
            broken()
    assert _guard.failures() == {"a place": 3}
    assert len(caplog.records) == 1
    assert "'a place'" in caplog.text


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_what_is_no_exception_passes_the_guard(swallowing: None, kind: type[BaseException]) -> None:
    guard = Guard("a place")
    _guard.GUARDS.remove(guard)

    def interrupted() -> None:
        with guard:
            raise kind

    with pytest.raises(kind):
        interrupted()
    assert guard.failures == 0
