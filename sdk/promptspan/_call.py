"""One decorated call, from its start to its end.

On the caller's path it only notes references: ids, the context as OpenTelemetry has it, times, the result.
Everything else happens in ``build()``, on the pipeline's thread. It is itself the current OpenTelemetry span
while the user's code runs, so spans of other instrumentations nest under it, and
``trace.get_current_span().set_attribute(...)`` reaches it.
"""

from __future__ import annotations

from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanContext, TraceFlags, TraceState

from . import _attributes as a
from . import _others
from ._chunks import ChunkReader
from ._context import CALL_KEY, SPAN_KEY, enter, leave
from ._freeze import Snapshot
from ._guard import Guard
from ._ids import new_span_id, new_trace_id
from ._kinds import is_list
from ._open_calls import call_began, call_ended
from ._span import SpanEvent
from ._streams import watched

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from opentelemetry.trace import Status, StatusCode
    from opentelemetry.util import types

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

_SIZE_BYTES = 3_000  # of the object itself and of a response without much text
_CHUNK_BYTES = 500
_FOLD_CHUNKS = 256  # a longer stream is read in between, so that its chunks can go
_MOST_NOTES = 128
_MOST_RENDERED = 16
_CANCELLED = frozenset({"CancelledError", "Cancelled", "KeyboardInterrupt"})


class Call(Span):
    """The lifecycle of one decorated call; finished exactly once; a ``Note`` for the pipeline."""

    __slots__ = (
        "_span_context",
        "_token",
        "args",
        "capture",
        "chunks",
        "client",
        "context",
        "end_ns",
        "events",
        "exception",
        "first_chunk_ns",
        "flags",
        "inner_calls",
        "inner_ids",
        "kwargs",
        "last_chunk_ns",
        "model",
        "noted",
        "others",
        "outer",
        "parent_span_id",
        "prompt",
        "reader",
        "recorder",
        "rendered",
        "response",
        "result",
        "size_bytes",
        "span_id",
        "spec",
        "start_ns",
        "start_unix_ns",
        "status",
        "streaming",
        "trace_flags",
        "trace_id",
        "trace_state",
        "usage",
        "variables",
    )

    def __init__(self, spec: Spec, recorder: Recorder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.spec = spec
        self.recorder = recorder
        around = get_current()
        provider = _others.provider()
        parent: Any = around.get(SPAN_KEY)
        self.outer = cast("Call | None", around.get(CALL_KEY))
        self.trace_state: TraceState | None = None
        if type(parent) is Call:
            self.trace_id, self.parent_span_id = parent.trace_id, parent.span_id
            self.trace_flags, self.trace_state = parent.trace_flags, parent.trace_state
        elif parent is not None and (known := parent.get_span_context()).is_valid:
            self.trace_id, self.parent_span_id = known.trace_id, known.span_id
            self.trace_flags, self.trace_state = known.trace_flags, known.trace_state
        else:
            self.trace_id, self.parent_span_id = new_trace_id(), 0
            self.trace_flags = 1 if provider is None else _sampled(provider, around, self.trace_id, spec)
        self.span_id = new_span_id()
        self.context = Context({**around, SPAN_KEY: self, CALL_KEY: self})
        self._span_context: SpanContext | None = None
        self._token: Token[Context] | None = None

        # A sampled-out trace keeps its tokens, for the bill, and loses its texts.
        self.capture = recorder.capture and spec.capture and self.trace_flags & 1 == 1
        self.size_bytes = _SIZE_BYTES
        self.args: list[Any] | None = None
        self.kwargs: dict[str, Any] | None = None
        if self.capture:
            snapshot = Snapshot()
            self.args, self.kwargs = snapshot.take(args), snapshot.take(kwargs)
            self.size_bytes += snapshot.size_bytes
        self.model: Any = spec.model_of(args, kwargs)
        self.client: Any = spec.client_of(args)

        self.status = ""
        self.streaming = False
        self.result: Any = None
        self.response: Any = None
        self.exception: BaseException | None = None
        self.chunks: list[Any] | None = None
        self.reader: ChunkReader | None = None
        self.first_chunk_ns = self.last_chunk_ns = 0
        self.noted: dict[str, Any] | None = None
        self.flags: list[str] | None = None
        self.usage: Usage | None = None
        self.events: list[SpanEvent] | None = None
        self.prompt: Prompt | None = spec.prompt
        self.variables: dict[str, str] | None = None
        self.rendered: list[str] | None = None
        self.others: list[Any] | None = None
        self.inner_calls = 0
        self.inner_ids: set[str] | None = None
        self.end_ns = 0
        self.start_unix_ns = time_ns()
        self.start_ns = perf_counter_ns()

    # The caller's path

    def enter(self) -> None:
        """Become the current span."""
        self._token = enter(self.context)

    def leave(self) -> None:
        """Make the span before current again."""
        token, self._token = self._token, None
        if token is not None:
            leave(self.context, token)

    def opened(self) -> None:
        """Its answer comes in chunks."""
        self.streaming = True

    def returned(self, result: Any) -> Any:
        """The function returned: end the call, or go on while its stream is read.

        Returns:
            What the user gets.
        """
        with _RETURN:
            self.leave()
            stream = watched(self, result)
            if stream is not None:
                return stream
            self.result = self._kept(result)
        self.finish(a.STATUS_VALUE_OK)
        return result

    def _kept(self, result: Any) -> Any:
        """The result as it is now; a provider's own objects count as values, unless text is captured."""
        if not self.capture and type(result) is not dict:
            return result
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
        with _CHUNK:
            self.last_chunk_ns = perf_counter_ns()
            chunks = self.chunks
            if chunks is None:
                self.first_chunk_ns = self.last_chunk_ns
                self.chunks = [item]
                return
            chunks.append(item)
            if len(chunks) >= _FOLD_CHUNKS:
                self.fold()

    def fold(self) -> ChunkReader:
        """Read the chunks so far and let them go."""
        if self.reader is None:
            self.reader = ChunkReader()
        chunks, self.chunks = self.chunks or (), []
        for item in chunks:
            self.reader.add(item)
        return self.reader

    def closed(self) -> None:
        """The stream was closed; whether it had come to its end is seen in its chunks."""
        self.finish(a.STATUS_VALUE_INCOMPLETE)

    def abandoned(self) -> None:
        """Nobody will read on: the call lasted until the last chunk that somebody wanted."""
        self.finish(a.STATUS_VALUE_INCOMPLETE, self.last_chunk_ns or None)

    def finish(self, status: str, end_ns: int | None = None) -> None:
        """End the call; only the first end counts."""
        with _FINISH:
            if self.status:
                return
            self.status = status
            self.end_ns = end_ns or perf_counter_ns()
            call_ended(self)
            if self.chunks:
                self.size_bytes += _CHUNK_BYTES * len(self.chunks)
            self.recorder.submit(self)

    def note(self, key: str, value: Any) -> None:
        """Note an attribute; the first 128 keys are kept."""
        if self.noted is None:
            self.noted = {}
        if len(self.noted) < _MOST_NOTES or key in self.noted:
            self.noted[key] = tuple(value) if is_list(value) else value

    def note_prompt(self, prompt: Prompt, variables: dict[str, str], text: str) -> None:
        """A prompt was rendered during the call, as ``text``."""
        with _PROMPT:
            if self.prompt is None:
                self.prompt = prompt
            if not self.capture:
                return
            if prompt is self.prompt:
                self.variables = variables
            self.rendered = self.rendered or []
            if len(self.rendered) < _MOST_RENDERED:
                self.rendered.append(text)
                self.size_bytes += len(text)

    # What the pipeline and the other instrumentations ask

    def build(self) -> FinishedSpan | None:
        """Make the span (pipeline's thread)."""
        from ._build import build_span  # late: the caller's path needs none of it

        return build_span(self)

    def identity(self) -> dict[str, Any]:
        """The attributes that tell whose call it is."""
        known: dict[str, Any] = dict(self.spec.identity)
        prompt = self.prompt
        if prompt is not None and self.spec.prompt is None:
            if a.GEN_AI_PROMPT_VERSION not in known:
                known[a.GEN_AI_PROMPT_NAME] = prompt.name
                known[a.GEN_AI_PROMPT_VERSION] = prompt.version
            known[a.PROMPTSPAN_PROMPT_TEMPLATE_HASH] = prompt.template_hash
        for key in (a.PROMPTSPAN_FEATURE, a.PROMPTSPAN_TENANT):
            if self.noted and key in self.noted:
                known[key] = self.noted[key]
        return known

    # OpenTelemetry's span

    def get_span_context(self) -> SpanContext:
        """Ids of this span, made when somebody first asks."""
        if self._span_context is None:
            self._span_context = SpanContext(
                self.trace_id,
                self.span_id,
                is_remote=False,
                trace_flags=TraceFlags(self.trace_flags),
                trace_state=self.trace_state,
            )
        return self._span_context

    def is_recording(self) -> bool:
        """Until the call has ended."""
        return not self.status

    def end(self, end_time: int | None = None) -> None:
        """Ignored: the decorated function ends it."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Note an attribute."""
        if not self.status:
            self.note(str(key), value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Note attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        """Note an event."""
        if self.status:
            return
        self.events = self.events or []
        if len(self.events) < _MOST_NOTES:
            self.events.append(
                SpanEvent(name, timestamp or time_ns(), cast("dict[str, Any]", dict(attributes or {})))
            )

    def update_name(self, name: str) -> None:
        """Ignored: the name follows the conventions."""

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Ignored: the call's own end decides."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: ARG002  # OpenTelemetry's signature
    ) -> None:
        """Note an exception that the user's code handled; its text is not kept, it may quote the prompt."""
        kind = type(exception)
        named = {**(attributes or {}), a.EXCEPTION_TYPE: f"{kind.__module__}.{kind.__qualname__}"}
        self.add_event("exception", named, timestamp)


def begin(
    spec: Spec, recorder: Recorder, args: tuple[Any, ...], kwargs: dict[str, Any], *, current: bool
) -> Call | None:
    """Start a call; ``None`` if that failed, and the function runs as if undecorated.

    Args:
        spec: Of the function.
        recorder: In force now.
        args: As called.
        kwargs: As called.
        current: Whether the call becomes the current span at once, or step by step (generators).
    """
    with _BEGIN:
        call = Call(spec, recorder, args, kwargs)
        if current:
            call.enter()
        call_began(call)
        return call
    return None


def _sampled(provider: Any, around: Context, trace_id: int, spec: Spec) -> int:
    """What the application's own sampler says of a new trace."""
    result = provider.sampler.should_sample(around, trace_id, spec.prompt_name)
    return 1 if result.decision.is_sampled() else 0


def _status_of(exc: BaseException) -> str:
    if isinstance(exc, GeneratorExit):
        return a.STATUS_VALUE_INCOMPLETE
    # By name: asyncio, concurrent.futures and trio each have their own, and none has to be loaded to tell.
    if any(kind.__name__ in _CANCELLED for kind in type(exc).__mro__):
        return a.STATUS_VALUE_CANCELLED
    return a.STATUS_VALUE_ERROR
