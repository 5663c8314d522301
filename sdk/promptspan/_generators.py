"""Stepping the user's generators and coroutines with the call current only while they run.

Each step attaches the call's context, lets the user's code produce one chunk, and detaches. ``send``,
``throw``, ``close`` and the return value go straight through: ``GeneratorExit`` is thrown in like any other
exception, so a generator that answers it with a value or with its return value behaves as it would
undecorated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._context import enter, step_out

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    from ._call import Call


def driver(
    start: Callable[..., tuple[Call | None, Generator[Any, Any, Any]]],
) -> Callable[..., Generator[Any, Any, Any]]:
    """A generator function that runs what ``start`` gives, chunk by chunk.

    The decorated function is this loop itself: a ``yield from`` in between would close the user's generator
    where undecorated it could go on.

    Args:
        start: Called at the first step with the arguments; gives the call (``None``: not recorded) and the
            generator.
    """

    def driven(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call, generator = start(*args, **kwargs)
        step: Any = generator.send
        value: Any = None
        context: Any = None if call is None else call.context
        while True:
            token = enter(context) if context else None
            try:
                item = step(value)
            except StopIteration as stop:
                value = None
                if call is not None and token is not None:
                    step_out(context, token)
                    call.ended(stop.value)
                return stop.value
            except BaseException as exc:
                value = None  # what was thrown in holds this frame, and so would hold itself
                if call is not None and token is not None:
                    step_out(context, token)
                    call.failed(exc)
                raise
            if call is not None and token is not None:
                context = step_out(context, token)
                call.chunk(item)
            try:
                value = yield item
                step = generator.send
            except BaseException as thrown:  # noqa: BLE001  # it is thrown on into the user's generator
                value = thrown
                step = generator.throw
            item = None

    return driven


def async_driver(
    start: Callable[..., tuple[Call | None, AsyncGenerator[Any, Any]]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """An asynchronous generator function that runs what ``start`` gives, chunk by chunk; no task is made.

    There is no ``yield from`` for asynchronous generators, so the decorated function has to be this loop
    itself.

    Args:
        start: Called at the first step with the arguments; gives the call (``None``: not recorded) and the
            generator.
    """

    async def driven(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call, generator = start(*args, **kwargs)
        step: Any = generator.asend
        value: Any = None
        context: Any = None if call is None else call.context
        while True:
            token = enter(context) if context else None
            try:
                item = await step(value)
            except StopAsyncIteration:
                value = None
                if call is not None and token is not None:
                    step_out(context, token)
                    call.ended(None)
                return
            except BaseException as exc:
                value = None  # what was thrown in holds this frame, and so would hold itself
                if call is not None and token is not None:
                    step_out(context, token)
                    call.failed(exc)
                raise
            if call is not None and token is not None:
                context = step_out(context, token)
                call.chunk(item)
            try:
                value = yield item
                step = generator.asend
            except BaseException as thrown:  # noqa: BLE001  # it is thrown on into the user's generator
                value = thrown
                step = generator.athrow
            item = None

    return driven


async def awaited(call: Call, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await the coroutine that a plain function returned."""
    call.enter()
    try:
        result = await coroutine
    except BaseException as exc:
        call.failed(exc)
        raise
    return call.returned(result)
