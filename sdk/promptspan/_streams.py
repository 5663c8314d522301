"""Streams that a function returns: the user gets the very object, of its own type, with our tap inside.

OpenAI's and Anthropic's stream classes read everything from one private iterator of the instance
(``_iterator``): their ``for`` loops, ``next()``, ``with`` blocks and helpers (``text_stream``,
``get_final_message``) all draw from it. So the tap replaces that attribute on the instance. A proxy would
fail ``isinstance`` and hide attributes; a subclass set as ``__class__`` changes ``type()`` and works only for
some classes, so it is kept for iterators without such an attribute. Their ``close()`` goes to the HTTP
response and not to the iterator, so it is noted apart, holding the stream weakly: a reference to itself would
leave a dropped stream, and its connection, to the garbage collector.
"""

from __future__ import annotations

import inspect
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any

from ._context import enter, leave
from ._generators import async_driver, awaited, driver
from ._kinds import is_dict, type_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from ._call import Call

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class made in Python, whose instances can be changed
_PRIVATE_ITERATORS = ("_iterator", "_event_generator")
_MOST_KINDS = 4_096

# By class of what functions returned: what watches it, ``None`` for what is no stream.
watchers: dict[type[Any], Callable[[Call, Any], Any] | None] = {}


def watched(call: Call, result: Any) -> Any:
    """What the user gets in place of a stream, usually itself; ``None`` if it is no stream."""
    kind = type_of(result)
    try:
        watch = watchers[kind]
    except KeyError:
        if len(watchers) > _MOST_KINDS:  # an application that makes classes as it goes
            watchers.clear()
        watch = watchers[kind] = _watch_for(kind)
    return None if watch is None else watch(call, result)


def _watch_for(kind: type[Any]) -> Callable[[Call, Any], Any] | None:
    if kind is types.GeneratorType:
        return _generator
    if kind is types.AsyncGeneratorType:
        return _async_generator
    if kind is types.CoroutineType:
        return _coroutine
    if kind is dict:
        return _dictionary
    if not kind.__flags__ & _HEAP_TYPE:
        return None
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
        return _stream
    if hasattr(kind, "__enter__") or hasattr(kind, "__aenter__"):
        return _manager
    return None


def _named_like(wrapper: Any, original: Any) -> Any:
    wrapper.__name__, wrapper.__qualname__ = original.__name__, original.__qualname__
    return wrapper


def _generator(call: Call, generator: Any) -> Any:
    call.opened()
    return _named_like(driver(lambda: (call, generator))(), generator)


def _async_generator(call: Call, generator: Any) -> Any:
    call.opened()
    return _named_like(async_driver(lambda: (call, generator))(), generator)


def _coroutine(call: Call, coroutine: Any) -> Any:
    return _named_like(awaited(call, coroutine), coroutine)


def _dictionary(call: Call, result: dict[str, Any]) -> Any:
    """Bedrock's replies hold their stream of events under a key."""
    for name in ("stream", "body"):
        stream = result.get(name)
        if stream is not None and _private_iterator(stream) is not None:
            return None if _stream(call, stream) is None else result
    return None


def _private_iterator(stream: Any) -> str | None:
    """The attribute that ``stream`` reads its chunks from."""
    kind = type_of(stream)
    for method in ("__next__", "__anext__", "__iter__", "__aiter__"):
        code = getattr(getattr(kind, method, None), "__code__", None)
        for name in _PRIVATE_ITERATORS:
            if code is not None and name in code.co_names:
                return name
    return None


def _stream(call: Call, stream: Any) -> Any:
    # A helper (Anthropic's ``MessageStream``) reads a raw stream; there the chunks are as the provider sent
    # them. Bedrock's has one of that name, too, of bytes.
    raw = getattr(stream, "__dict__", {}).get("_raw_stream", stream)
    name = _private_iterator(raw)
    if name is None and raw is not stream:
        raw, name = stream, _private_iterator(stream)
    call.opened()
    if name is None:
        return _subclassed(call, stream)
    inner = getattr(raw, name)
    call.client = getattr(raw, "_client", None) or call.client
    # What the client sent: if the stream tells no usage, the input is counted there.
    call.request = getattr(getattr(raw, "response", None), "request", None)
    setattr(raw, name, AsyncTap(call, inner) if hasattr(inner, "__anext__") else Tap(call, inner))
    for each in {id(raw): raw, id(stream): stream}.values():
        _note_close(call, each)
    return stream


class _Tapped:
    """Stands in for an iterator of the stream's; when nobody holds it any more, nobody will read on."""

    __slots__ = ("__weakref__", "_call", "_context", "_inner")

    def __init__(self, call: Call, inner: Any) -> None:
        self._call = call
        self._context: Any = call.context  # the call lets go of it when it ends
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._call.abandoned()


class Tap(_Tapped):
    """Stands in for an iterator, and tells the call of each chunk and of the end."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._call
        context = self._context
        token = enter(context)
        try:
            item = self._inner.__next__()
        except StopIteration:
            leave(context, token)
            call.ended(None)
            raise
        except BaseException as exc:
            leave(context, token)
            call.failed(exc)
            raise
        leave(context, token)
        call.chunk(item)
        return item


class AsyncTap(_Tapped):
    """Stands in for an asynchronous iterator."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        call = self._call
        context = self._context
        token = enter(context)
        try:
            item = await self._inner.__anext__()
        except StopAsyncIteration:
            leave(context, token)
            call.ended(None)
            raise
        except BaseException as exc:
            leave(context, token)
            call.failed(exc)
            raise
        leave(context, token)
        call.chunk(item)
        return item


def _note_close(call: Call, stream: Any) -> None:
    """Let the call end when somebody closes the stream; the close itself is the type's own."""
    method = getattr(type_of(stream), "close", None)
    code = getattr(method, "__code__", None)
    if method is None or code is None:
        return
    # Two decorated functions may give the same stream on: each of their calls hears of the close.
    earlier = getattr(stream, "__dict__", {}).get("close")
    known = weakref.ref(stream)
    response = getattr(stream, "response", None)  # outlives the stream, as a bound method would

    if code.co_flags & inspect.CO_COROUTINE:

        async def close_async() -> Any:
            target = known()
            try:
                if earlier is not None:
                    return await earlier()
                if target is not None:
                    return await method(target)
                return None if response is None else await response.aclose()
            finally:
                call.closed()

        stream.close = _named_like(close_async, method)
    else:

        def close() -> Any:
            target = known()
            try:
                if earlier is not None:
                    return earlier()
                if target is not None:
                    return method(target)
                return None if response is None else response.close()
            finally:
                call.closed()

        stream.close = _named_like(close, method)


def _manager(call: Call, manager: Any) -> Any:
    """``client.messages.stream(...)``: the request goes out when the ``with`` block is entered."""
    fields = getattr(manager, "__dict__", None)
    name = next((key for key in fields if key.endswith("__api_request")), None) if is_dict(fields) else None
    if name is None or not is_dict(fields):
        return None
    call.opened()
    request = fields[name]
    fields[name] = (
        _AwaitedRequest(call, request) if hasattr(type_of(manager), "__aenter__") else _Request(call, request)
    )
    return manager


class _Pending:
    """A request that has not gone out yet; if it never does, the call is abandoned."""

    __slots__ = ("_call", "_original", "_sent")

    def __init__(self, call: Call, original: Any) -> None:
        self._call = call
        self._original = original
        self._sent = False

    def __del__(self) -> None:
        if not self._sent and not sys.is_finalizing():
            self._call.abandoned()


class _Request(_Pending):
    __slots__ = ()

    def __call__(self) -> Any:
        self._sent = True
        call = self._call
        call.enter()
        try:
            raw = self._original()
        except BaseException as exc:
            call.failed(exc)
            raise
        return call.returned(raw)


class _AwaitedRequest(_Pending):
    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Any]:
        self._sent = True
        return awaited(self._call, self._original).__await__()


_subclasses: dict[type[Any], type[Any]] = {}


def _subclassed(call: Call, stream: Any) -> Any:
    """An iterator of a class that reads from nothing we can tap: its instance gets a subclass with a tap."""
    kind = type_of(stream)
    if hasattr(kind, "__promptspan__"):  # returned once more, by a function around the first
        return None
    if kind not in _subclasses:
        _subclasses[kind] = _subclass_of(kind)
    try:
        stream.__class__ = _subclasses[kind]
    except TypeError:  # slots, or a layout that does not allow it: it stays as it is
        call.streaming = False
        return None
    stream.__promptspan_call__ = _Owned(call)
    return stream


class _Owned:
    """The call of one stream; goes when the stream goes."""

    __slots__ = ("call", "context")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.context: Any = call.context

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.call.abandoned()


def _subclass_of(kind: type[Any]) -> type[Any]:
    def step(self: Any) -> Any:
        return Tap.__next__(_Borrowed(self, kind))  # type: ignore[arg-type]

    async def step_async(self: Any) -> Any:
        return await AsyncTap.__anext__(_Borrowed(self, kind))  # type: ignore[arg-type]

    def close(self: Any) -> Any:
        try:
            return kind.close(self)  # type: ignore[attr-defined]
        finally:
            self.__promptspan_call__.call.closed()

    members: dict[str, Any] = {"__promptspan__": True, "__module__": kind.__module__, "__doc__": kind.__doc__}
    if hasattr(kind, "__next__"):
        members["__next__"] = step
    if hasattr(kind, "__anext__"):
        members["__anext__"] = step_async
    code = getattr(getattr(kind, "close", None), "__code__", None)
    if code is not None and not code.co_flags & inspect.CO_COROUTINE:
        members["close"] = close
    made = type(kind.__name__, (kind,), members)
    made.__qualname__ = kind.__qualname__
    return made


class _Borrowed:
    """A subclassed stream in the form that the taps step."""

    __slots__ = ("_call", "_context", "_inner")

    def __init__(self, stream: Any, kind: type[Any]) -> None:
        owned = stream.__promptspan_call__
        self._call = owned.call
        self._context = owned.context
        self._inner = _Bound(stream, kind)


class _Bound:
    __slots__ = ("_kind", "_stream")

    def __init__(self, stream: Any, kind: type[Any]) -> None:
        self._stream = stream
        self._kind = kind

    def __next__(self) -> Any:
        return self._kind.__next__(self._stream)

    def __anext__(self) -> Any:
        return self._kind.__anext__(self._stream)
