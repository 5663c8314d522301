"""``@traced_prompt``: one of four short wrappers, chosen when the function is decorated."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._call import begin
from ._generators import async_driver, driver
from ._recorder import active_recorder
from ._spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from ._call import Call
    from ._prompt import Prompt

    class Decorator(Protocol):
        """Gives back what it gets: a function with the same signature, or a class's or static method."""

        def __call__(self, function: _F, /) -> _F: ...


_OF_CACHES = ("cache_info", "cache_clear", "cache_parameters")  # of functools.lru_cache

# The decorated thing has exactly the type that it had: parameters, overloads, coroutine or generator, and
# all.
_F = TypeVar("_F", bound="Callable[..., Any] | classmethod[Any, Any, Any] | staticmethod[Any, Any]")


@overload
def traced_prompt(function: _F, /) -> _F: ...
@overload
def traced_prompt(
    *,
    prompt: Prompt | str | None = None,
    name: str | None = None,
    version: str | None = None,
    feature: str | None = None,
    tenant: str | None = None,
    tags: Sequence[str] = (),
    variant: str | None = None,
    attempt: int | None = None,
    cached: bool | None = None,
    fallback_of: str | None = None,
    operation: str | None = None,
    capture_content: bool = True,
    expect_json: bool = False,
) -> Decorator: ...
def traced_prompt(
    function: Any = None,
    /,
    *,
    prompt: Prompt | str | None = None,
    name: str | None = None,
    version: str | None = None,
    feature: str | None = None,
    tenant: str | None = None,
    tags: Sequence[str] = (),
    variant: str | None = None,
    attempt: int | None = None,
    cached: bool | None = None,
    fallback_of: str | None = None,
    operation: str | None = None,
    capture_content: bool = True,
    expect_json: bool = False,
) -> Any:
    """Record each call of a function that asks a model, without changing anything about the function.

    Works bare and with arguments; on functions, coroutine functions, generators, asynchronous generators and
    methods. Return the provider's response, or its stream, from the function and its tokens are read from it;
    where the function returns something else, give the response to ``current_span().set_response(...)``.

    Args:
        function: Given by ``@traced_prompt`` without parentheses.
        prompt: The prompt that the function uses, or its name.
        name: What the calls are shown under; default the prompt's name, else the function's.
        version: Version of the prompt; default that of ``prompt``.
        feature: What the call is for; what finance sums by.
        tenant: Customer or team.
        tags: Free words to filter by.
        variant: Arm of a rollout.
        attempt: Which try its calls are, 1 for the first; where it changes from call to call, say it inside:
            ``current_span().annotate(attempt=2)``. So with the next two.
        cached: Whether its answers come from a cache of your own.
        fallback_of: Model that should have answered.
        operation: GenAI operation name, where what the response shows is not right; ``invoke_workflow`` for a
            function whose tokens are counted elsewhere.
        capture_content: False keeps this function's texts in the process even where ``configure`` captures
            them.
        expect_json: Whether the answer should be JSON; if it is not, the call is flagged.

    Returns:
        The function, or a decorator for it.

    Raises:
        TypeError: What is decorated cannot be called.
    """

    def decorate(target: Any) -> Any:
        # A class's or static method decorated from outside: the function inside is what is called.
        if isinstance(target, (classmethod, staticmethod)):
            return type(target)(decorate(target.__func__))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]
        if not callable(target):
            raise TypeError(
                f"@traced_prompt decorates functions and methods, not {type(target).__name__!r} objects"
            )
        spec = Spec(
            target,
            prompt=prompt,
            name=name,
            version=version,
            feature=feature,
            tenant=tenant,
            tags=tags,
            variant=variant,
            attempt=attempt,
            cached=cached,
            fallback_of=fallback_of,
            operation=operation,
            capture_content=capture_content,
            expect_json=expect_json,
        )
        return _like(target, _wrapper_for(target)(target, spec))

    return decorate if function is None else decorate(function)


def _like(target: Any, wrapper: Any) -> Any:
    """The wrapper with all that can be read from the function; a cache has its own methods besides."""
    for name in _OF_CACHES:
        if (method := getattr(target, name, None)) is not None:
            setattr(wrapper, name, method)
    return functools.wraps(target)(wrapper)


def _wrapper_for(function: Any) -> Callable[[Any, Spec], Any]:
    if inspect.iscoroutinefunction(function):
        return _coroutine
    if inspect.isgeneratorfunction(function):
        return _generator
    if inspect.isasyncgenfunction(function):
        return _async_generator
    return _function


def _function(function: Any, spec: Spec) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        recorder = active_recorder()
        call = None if recorder is None else begin(spec, recorder, args, kwargs, current=True)
        if call is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as exc:
            call.failed(exc)
            raise
        return call.returned(result)

    return wrapper


def _coroutine(function: Any, spec: Spec) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        recorder = active_recorder()
        call = None if recorder is None else begin(spec, recorder, args, kwargs, current=True)
        if call is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as exc:
            call.failed(exc)
            raise
        return call.returned(result)

    return wrapper


def _generator(function: Any, spec: Spec) -> Any:
    return driver(_starter(function, spec))


def _async_generator(function: Any, spec: Spec) -> Any:
    return async_driver(_starter(function, spec))


def _starter(function: Any, spec: Spec) -> Callable[..., tuple[Call | None, Any]]:
    def start(*args: Any, **kwargs: Any) -> tuple[Call | None, Any]:
        generator = function(*args, **kwargs)
        recorder = active_recorder()
        call = None if recorder is None else begin(spec, recorder, args, kwargs, current=False)
        if call is not None:
            call.opened()
        return call, generator

    return start
