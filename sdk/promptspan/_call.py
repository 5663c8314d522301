"""One decorated call, from its start to its end.

On the caller's path it only notes references: ids, the context as OpenTelemetry has it, times, the result.
Everything else happens in ``build()``, on the pipeline's thread. It is itself the current OpenTelemetry span
while the user's code runs.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context

from . import _attributes as a
from . import _others
from ._chunks import ChunkReader
from ._context import CALL_KEY, SPAN_KEY, current_context, enter, leave, reset
from ._freeze import LEAVES, Snapshot
from ._guard import Guard
from ._ids import random_bits
from ._kinds import type_of
from ._open_calls import call_began, call_ended
from ._running_span import RunningSpan
from ._streams import watched, watchers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token

    from opentelemetry.trace import SpanContext

    from ._outcome import Outcome
    from ._prompt import Prompt
    from ._reading import Usage
    from ._recorder import Recorder
    from ._span import FinishedSpan
    from ._spec import Spec

_BEGIN = Guard("begin")
_RETURN = Guard("return")
_FAIL = Guard("fail")
_CHUNK = Guard("chunk")
_FINISH = Guard("finish")
_PROMPT = Guard("prompt")
_SNAPSHOT = Guard("snapshot of the arguments")

_SIZE_BYTES = 700  # of the object itself, measured
_RESPONSE_BYTES = 2_300  # of a client's response without much text
_COUNTED = frozenset({type(None), str, dict, list, tuple})  # results whose size the snapshot of them knows
_CHUNK_BYTES = 500
_MOST_CHUNKS = (
    1_024  # held; of a longer stream one more is read with each that comes, so that there is no stall
)
_MOST_RENDERED = 16
_WHOSE = (a.PROMPTSPAN_FEATURE, a.PROMPTSPAN_TENANT)
_build_span: Callable[[Call], FinishedSpan] | None = None
_CANCELLED = frozenset({"CancelledError", "Cancelled", "KeyboardInterrupt"})


class Call(RunningSpan):
    """The lifecycle of one decorated call; finished exactly once; a ``Note`` for the pipeline.

    What each call has lies in slots; what few calls have is a default of the class until it is set.
    """

    __slots__ = (
        "capture",
        "client",
        "context",
        "end_ns",
        "model",
        "outer",
        "parent_span_id",
        "recorder",
        "result",
        "size_bytes",
        "span_id",
        "spec",
        "start_ns",
        "start_unix_ns",
        "status",
        "token",
        "trace_flags",
        "trace_id",
    )

    spec: Spec
    recorder: Recorder
    trace_id: int
    span_id: int
    parent_span_id: int
    trace_flags: int
    outer: Call | None
    context: Any  # a Context, None once the call has ended
    capture: bool
    size_bytes: int
    model: Any
    client: Any
    status: str
    result: Any
    start_unix_ns: int
    start_ns: int
    end_ns: int
    token: Token[Context] | None

    args: Sequence[Any] | None = None
    kwargs: dict[str, Any] | None = None
    streaming: bool = False
    response: Any = None
    request: Any = None
    exception: BaseException | None = None
    chunks: deque[Any] | None = None
    reader: ChunkReader | None = None
    outcome: Outcome | None = None
    first_chunk_ns: int = 0
    last_chunk_ns: int = 0
    flags: list[str] | None = None
    usage: Usage | None = None
    prompt: Prompt | None = None
    variables: dict[str, str] | None = None
    rendered: list[str] | None = None
    others: list[Any] | None = None
    inner_calls: int = 0
    inner_ids: set[str] | None = None

    # The caller's path

    def opened(self) -> None:
        """Its answer comes in chunks."""
        self.streaming = True

    def returned(self, result: Any) -> Any:
        """The function returned: end the call, or go on while its stream is read.

        Returns:
            What the user gets.
        """
        end_ns = perf_counter_ns()
        try:
            context = self.context
            if context is None:  # the end of the process was before
                return result
            token = self.token
            if token is not None:
                self.token = None
                if current_context() is context:
                    reset(token)
                else:
                    leave(context, token)
            kind = type_of(result)
            # Of most classes it is known that they are no streams; a dictionary may hold one.
            if watchers.get(kind, kind) is not None:
                stream = watched(self, result)
                if stream is not None:
                    return stream
            # A provider's own objects count as values, unless text is captured.
            if self.capture or issubclass(kind, dict):
                self.result = self._kept(result)
            else:
                self.result = result
                self.size_bytes += len(result) if kind is str else _RESPONSE_BYTES
            if not self.status:  # as finish() does, without the way there
                self.status = a.STATUS_VALUE_OK
                self.end_ns = end_ns
                self.context = None
                call_ended(self)
                self.recorder.submit(self)
        except Exception as exc:
            if not _RETURN.caught(exc):
                raise
            self.finish(a.STATUS_VALUE_OK, end_ns)
        return result

    def enter(self) -> None:
        """Become the current span, unless it has ended."""
        if self.context is not None:
            self.token = enter(self.context)

    def leave(self) -> None:
        """Make the span before current again."""
        token, self.token = self.token, None
        if token is not None and self.context is not None:
            leave(self.context, token)

    def _kept(self, result: Any) -> Any:
        """The result as it is now."""
        snapshot = Snapshot()
        kept = snapshot.take(result)
        self.size_bytes += snapshot.size_bytes
        return kept

    def failed(self, exc: BaseException) -> None:
        """The function raised."""
        with _FAIL:
            self.leave()
            self.exception = exc
        self.finish(_status_of(exc))

    def ended(self, value: Any) -> None:
        """The generator came to its end and returned ``value``."""
        with _RETURN:
            self.result = self._kept(value)
        self.finish(a.STATUS_VALUE_OK)

    def chunk(self, item: Any) -> None:
        """The stream gave ``item``."""
        try:
            self.last_chunk_ns = perf_counter_ns()
            chunks = self.chunks
            if chunks is None:
                self.first_chunk_ns = self.last_chunk_ns
                self.chunks = deque((item,))
                return
            chunks.append(item)
            if len(chunks) > _MOST_CHUNKS:
                self._reader().add(chunks.popleft())
        except Exception as exc:
            if not _CHUNK.caught(exc):
                raise

    def _reader(self) -> ChunkReader:
        if self.reader is None:
            self.reader = ChunkReader()
        return self.reader

    def fold(self) -> ChunkReader:
        """Read the chunks that are left and let them go."""
        reader = self._reader()
        chunks, self.chunks = self.chunks or (), deque()
        for item in chunks:
            reader.add(item)
        return reader

    def closed(self) -> None:
        """The stream was closed; whether it had come to its end is seen in its chunks."""
        self.finish(a.STATUS_VALUE_INCOMPLETE)

    def abandoned(self) -> None:
        """Nobody will read on: the call lasted until the last chunk that somebody wanted."""
        self.finish(a.STATUS_VALUE_INCOMPLETE, self.last_chunk_ns or None)

    def finish(self, status: str, end_ns: int | None = None) -> None:
        """End the call; only the first end counts."""
        if self.status:
            return
        self.status = status
        try:
            self.end_ns = end_ns or perf_counter_ns()
            self.context = None  # it holds this call: a ring, until the collector runs
            call_ended(self)
            if self.chunks:
                self.size_bytes += _CHUNK_BYTES * len(self.chunks)
            elif type(self.result) not in _COUNTED:
                self.size_bytes += _RESPONSE_BYTES
            self.recorder.submit(self)
        except Exception as exc:
            if not _FINISH.caught(exc):
                raise

    def note_prompt(self, prompt: Prompt, variables: dict[str, str], text: str) -> None:
        """A prompt was rendered during the call, as ``text``."""
        with _PROMPT:
            if self.prompt is None:
                self.prompt = prompt
            if prompt is self.prompt:
                self.variables = variables
            self.rendered = self.rendered or []
            if len(self.rendered) < _MOST_RENDERED:
                self.rendered.append(text)
                self.size_bytes += len(text)

    # What the pipeline and the other instrumentations ask

    def build(self) -> FinishedSpan | None:
        """Make the span (pipeline's thread)."""
        global _build_span  # noqa: PLW0603  # looked up once: an import statement costs more than the rest here
        if _build_span is None:
            from ._build import build_span  # late: the caller's path needs none of it

            _build_span = build_span
        try:
            return _build_span(self)
        finally:
            if self.exception is not None:
                self.exception = (
                    None  # it holds the frame that holds this call: a ring, until the collector runs
                )

    def named(self) -> dict[str, Any]:
        """Which prompt and version it is, by the decorator or the prompt that was rendered."""
        prompt = self.prompt
        if prompt is None or self.spec.prompt is not None:
            return self.spec.identity
        known: dict[str, Any] = dict(self.spec.identity)
        if a.GEN_AI_PROMPT_VERSION not in known:
            known[a.GEN_AI_PROMPT_NAME] = prompt.name
            known[a.GEN_AI_PROMPT_VERSION] = prompt.version
        known[a.PROMPTSPAN_PROMPT_TEMPLATE_HASH] = prompt.template_hash
        if prompt.git_commit:
            known[a.PROMPTSPAN_PROMPT_GIT_COMMIT] = prompt.git_commit
        return known

    def identity(self) -> dict[str, Any]:
        """The attributes that tell whose call it is."""
        noted = self.noted or {}
        whose = {key: _text_of(noted[key]) for key in _WHOSE if key in noted}
        return {**self.named(), **whose}


def begin(
    spec: Spec, recorder: Recorder, args: tuple[Any, ...], kwargs: dict[str, Any], *, current: bool
) -> Call | None:
    """Start a call; ``None`` if that failed, and the function runs as if undecorated.

    One straight run of assignments: this is the caller's time, with caches gone cold since the last call.

    Args:
        spec: Of the function.
        recorder: In force now.
        args: As called.
        kwargs: As called.
        current: Whether the call becomes the current span at once, or step by step (generators).
    """
    try:
        if getattr(trace, "_TRACER_PROVIDER", None) is not _others.Watched.seen:
            _others.watch()
        call = Call()
        call.spec = spec
        call.recorder = recorder
        around = current_context()
        parent: Any = around.get(SPAN_KEY)
        outer: Any = around.get(CALL_KEY)
        call.outer = outer
        if parent is None and _others.Watched.provider is None:
            call.trace_id = random_bits(128) or 1
            call.parent_span_id = 0
            call.trace_flags = 1
        elif parent is None:
            _root(call, around)
        elif type(parent) is Call:
            call.trace_id = parent.trace_id
            call.parent_span_id = parent.span_id
            call.trace_flags = parent.trace_flags
            if parent.trace_state is not None:
                call.trace_state = parent.trace_state
        else:
            _below(call, around, parent.get_span_context())
        call.span_id = random_bits(64) or 1
        call.context = context = Context({**around, SPAN_KEY: call, CALL_KEY: call})

        # A sampled-out trace keeps its tokens, for the bill, and loses its texts.
        call.capture = recorder.capture and spec.capture and call.trace_flags & 1 == 1
        # Texts are looked at for flags also where none leaves. The tuple and the dictionary are the wrapper's
        # own: with only strings and numbers in them there is nothing to copy.
        call.args = args
        call.kwargs = kwargs
        size = _SIZE_BYTES
        for item in args:
            kind = type_of(item)
            if kind is str:
                size += len(item)
            elif kind not in LEAVES:
                size += _copied(call, args, kwargs)
                break
        else:
            for item in kwargs.values():
                kind = type_of(item)
                if kind is str:
                    size += len(item)
                elif kind not in LEAVES:
                    size += _copied(call, args, kwargs)
                    break
        call.size_bytes = size
        model = kwargs.get(spec.model_name)
        if model is None and 0 <= spec.model_at < len(args):
            model = args[spec.model_at]
        call.model = model
        call.client = spec.client_of(args) if spec.looks_for_client else None
        if spec.prompt is not None:
            call.prompt = spec.prompt
        call.status = ""
        call.result = None
        call.token = enter(context) if current else None
        call_began(call)
        call.start_unix_ns = time_ns()
        call.start_ns = perf_counter_ns()
    except Exception as exc:
        if not _BEGIN.caught(exc):
            raise
        return None
    return call


def _copied(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Give the call a snapshot of its arguments; a guess of the memory that this keeps alive."""
    call.args = call.kwargs = None
    try:
        snapshot = Snapshot(texts_only=not call.capture)
        call.args, call.kwargs = snapshot.take(args), snapshot.take(kwargs)
    except Exception as exc:
        if not _SNAPSHOT.caught(exc):
            raise
        return 0
    return snapshot.size_bytes


def _root(call: Call, around: Context) -> None:
    """A trace of its own begins; where the application has a sampler, that decides what is captured."""
    call.trace_id = random_bits(128) or 1
    call.parent_span_id = 0
    provider: Any = _others.Watched.provider
    if provider is None:
        call.trace_flags = 1
        return
    result = provider.sampler.should_sample(around, call.trace_id, call.spec.prompt_name)
    call.trace_flags = 1 if result.decision.is_sampled() else 0


def _below(call: Call, around: Context, parent: SpanContext) -> None:
    """Another instrumentation's span is around, of this process or of the caller's."""
    if not parent.is_valid:
        _root(call, around)
        return
    call.trace_id = parent.trace_id
    call.parent_span_id = parent.span_id
    call.trace_flags = parent.trace_flags
    call.trace_state = parent.trace_state


def _status_of(exc: BaseException) -> str:
    if isinstance(exc, GeneratorExit):
        return a.STATUS_VALUE_INCOMPLETE
    # By name: asyncio, concurrent.futures and trio each have their own, and none has to be loaded to tell.
    if any(kind.__name__ in _CANCELLED for kind in type(exc).__mro__):
        return a.STATUS_VALUE_CANCELLED
    return a.STATUS_VALUE_ERROR


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    from ._plain import plain

    return str(plain(value))
