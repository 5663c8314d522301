"""For tests of applications: what their decorated functions recorded, as objects to assert on.

    from promptspan.testing import capture_spans

    def test_a_summary_costs_what_it_should():
        with capture_spans() as spans:
            summarise("Hello")
        call = spans.one(prompt="summarise")
        assert call.status == "ok" and call.output_tokens < 100 and not call.flags

With pytest, ``pytest_plugins = ["promptspan.testing"]`` in ``conftest.py`` makes it the fixture ``spans``.

Nothing leaves the process, whatever the application configures: no thread, no spool, no network. Ids and
times are the same in every run; time stands still until the test moves it.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from . import _attributes as a
from . import _call, _ids
from . import _score as _scoring  # pyright: ignore[reportPrivateUsage]
from ._config import DEFAULT_HOOK_BUDGET_S, Config
from ._kinds import is_list
from ._recorder import Recorder, held_recorder
from ._stats import Stats, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from ._call_texts import CallTexts
    from ._span import AttributeValue, FinishedSpan, Note

__all__ = ["CapturedCall", "CapturedScore", "CapturedSpans", "Clock", "capture_spans"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BEGINNING = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Clock:
    """What the SDK takes for the time: it stands still until it is moved."""

    def __init__(self) -> None:
        self._now_ns = int((_BEGINNING - _EPOCH).total_seconds()) * 1_000_000_000

    def advance(self, seconds: float) -> None:
        """Move on.

        Raises:
            ValueError: It does not go back.
        """
        if not seconds >= 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._now_ns += round(seconds * 1e9)

    def now_ns(self) -> int:
        """Nanoseconds since the epoch (UTC)."""
        return self._now_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedCall:
    """One recorded call.

    Attributes:
        prompt: Name of the prompt, by default that of the function.
        version: Version of the prompt, empty if it has none.
        feature: What it is for, empty if not said; so with the following texts.
        tenant: Customer or team.
        variant: Arm of a rollout.
        operation: GenAI operation, for example ``chat``; ``invoke_workflow`` is a wrapper around other calls.
        provider: GenAI well-known name.
        request_model: As asked for.
        response_model: As answered.
        response_id: The provider's id of the response.
        status: ok, error, cancelled or incomplete.
        error_type: Class of the exception.
        error_message: As it would leave the process.
        streaming: Whether the answer came in chunks.
        input_tokens: All input; ``None`` if unknown, so with the following counts.
        output_tokens: All output.
        cache_read_tokens: Part of the input.
        cache_write_tokens: Part of the input.
        reasoning_tokens: Part of the output.
        usage_source: provider, estimated or missing.
        reported_cost_usd: What the provider says it cost.
        finish_reasons: As the provider names them.
        flags: Safety flags.
        attempt: Which try it was, if said.
        cached: Whether a cache of the application answered, if said.
        started: Start, UTC.
        duration_ms: Start to end, by the test's clock.
        ttft_ms: Start to the first chunk, ``None`` if not streamed.
        input_text: Messages as JSON, redacted; empty unless text is captured.
        output_text: Likewise.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_span_id: 16 hexadecimal digits, empty for a root.
        attributes: All attributes of the span, by their OpenTelemetry names.
    """

    prompt: str
    version: str
    feature: str
    tenant: str
    variant: str
    operation: str
    provider: str
    request_model: str
    response_model: str
    response_id: str
    status: str
    error_type: str
    error_message: str
    streaming: bool
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_source: str
    reported_cost_usd: Decimal | None
    finish_reasons: tuple[str, ...]
    flags: frozenset[str]
    attempt: int | None
    cached: bool | None
    started: datetime
    duration_ms: float
    ttft_ms: float | None
    input_text: str = field(repr=False)
    output_text: str = field(repr=False)
    trace_id: str
    span_id: str
    parent_span_id: str
    attributes: Mapping[str, AttributeValue] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedScore:
    """One ``record_score()``.

    Attributes:
        name: What was judged.
        value: The score.
        label: The verdict in a word, may be empty.
        explanation: Why, redacted; may be empty.
        trace_id: Of the call, empty if it is named by ``response_id``.
        span_id: Likewise.
        response_id: The provider's id of the response, may be empty.
    """

    name: str
    value: float | None
    label: str
    explanation: str
    trace_id: str
    span_id: str
    response_id: str


_FIELDS = frozenset(each.name for each in fields(CapturedCall))


class CapturedSpans:
    """What was recorded so far, in the order in which the calls ended.

    Attributes:
        clock: The time, as the SDK sees it.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self._lock = threading.Lock()
        self._calls: list[CapturedCall] = []
        self._scores: list[CapturedScore] = []
        self._failure: Exception | None = None

    @property
    def all(self) -> list[CapturedCall]:
        """All calls."""
        with self._lock:
            if self._failure is not None:
                raise AssertionError("promptspan could not make a span of a call") from self._failure
            return list(self._calls)

    @property
    def scores(self) -> list[CapturedScore]:
        """All scores."""
        with self._lock:
            return list(self._scores)

    def where(self, **wanted: object) -> list[CapturedCall]:
        """The calls whose fields have these values: ``where(prompt="summarise", status="error")``.

        Raises:
            TypeError: A call has no such field.
        """
        if unknown := sorted(wanted.keys() - _FIELDS):
            raise TypeError(f"a call has no {', '.join(unknown)}; it has {', '.join(sorted(_FIELDS))}")
        return [call for call in self.all if all(getattr(call, name) == is_ for name, is_ in wanted.items())]

    def one(self, **wanted: object) -> CapturedCall:
        """The only call whose fields have these values.

        Raises:
            AssertionError: There is none, or more than one; the message lists what there is.
            TypeError: A call has no such field.
        """
        found = self.where(**wanted)
        if len(found) != 1:
            asked = ", ".join(f"{name}={is_!r}" for name, is_ in wanted.items()) or "any call"
            listed = "\n".join(f"  {_line(call)}" for call in self.all) or "  none"
            raise AssertionError(f"{len(found)} calls with {asked}; recorded were:\n{listed}")
        return found[0]

    def clear(self) -> None:
        """Forget what was recorded."""
        with self._lock:
            self._calls.clear()
            self._scores.clear()

    def __len__(self) -> int:
        """How many calls there are."""
        return len(self.all)

    def __iter__(self) -> Iterator[CapturedCall]:
        """The calls, in the order in which they ended."""
        return iter(self.all)

    # Where notes go in place of the pipeline

    def submit(self, note: Note) -> None:
        """Make the span at once: there is no background here."""
        try:
            span = note.build()
        except Exception as failure:  # noqa: BLE001  # told to the test, and not to the application
            self._failure = failure
            return
        if span is None:
            return
        with self._lock:
            if span.name == a.EVALUATION_RESULT:
                self._scores.append(_score_of(span))
            else:
                self._calls.append(_call_of(span))

    def flush(self, timeout_s: float) -> bool:
        """Nothing waits."""
        del timeout_s
        return True

    def shutdown(self, timeout_s: float) -> bool:
        """Nothing is left."""
        del timeout_s
        return True

    def stats(self) -> Stats:
        """All that was recorded counts as delivered."""
        count = len(self._calls) + len(self._scores)
        nothing = Tally(emitted=0, delivered=0, spooled=0, queued=0, dropped={})
        return Stats(
            emitted=count, delivered=count, spooled=0, queued=0, dropped={}, adopted=nothing, last_error=None
        )


@contextmanager
def capture_spans(
    *,
    capture_content: bool = False,
    redact: Callable[[str], str] | None = None,
    redact_patterns: Mapping[str, str] | None = None,
    detectors: Mapping[str, Callable[[CallTexts], object]] | None = None,
    hook_budget_s: float = DEFAULT_HOOK_BUDGET_S,
    hash_user_ids: bool = True,
) -> Generator[CapturedSpans]:
    """Capture what is recorded inside, in place of sending it.

    The arguments are those of ``configure()``; if the application calls that itself, its own are in force
    from then on, and nothing is sent either. What was in force before is so again afterwards.

    Yields:
        What was recorded so far; it can be read inside and afterwards.
    """
    spans = CapturedSpans()
    config = Config(
        capture_content=capture_content,
        redact=redact,
        redact_patterns=dict(redact_patterns or {}),
        detectors=dict(detectors or {}),
        hook_budget_s=hook_budget_s,
        hash_user_ids=hash_user_ids,
    )
    clocks: list[tuple[Any, str, Any]] = [
        (module, name, getattr(module, name))
        for module, name in ((_call, "time_ns"), (_call, "perf_counter_ns"), (_scoring, "time_ns"))
    ]
    with held_recorder(Recorder(config, spans)):
        _ids.seed(0)
        for module, name, _ in clocks:
            setattr(module, name, spans.clock.now_ns)
        try:
            yield spans
        finally:
            for module, name, before in clocks:
                setattr(module, name, before)
            _ids.seed(None)


def _call_of(span: FinishedSpan) -> CapturedCall:
    known = span.all_attributes()

    def text(key: str) -> str:
        return str(known.get(key, ""))

    def texts(key: str) -> tuple[str, ...]:
        value = known.get(key, ())
        return tuple(cast("Sequence[str]", value)) if is_list(value) else ()

    def count(key: str) -> int | None:
        value = known.get(key)
        return value if isinstance(value, int) else None

    cost = known.get(a.PROMPTSPAN_COST_REPORTED_USD)
    cached = known.get(a.PROMPTSPAN_CACHED)
    ttft_s = known.get(a.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)
    return CapturedCall(
        prompt=text(a.GEN_AI_PROMPT_NAME),
        version=text(a.GEN_AI_PROMPT_VERSION),
        feature=text(a.PROMPTSPAN_FEATURE),
        tenant=text(a.PROMPTSPAN_TENANT),
        variant=text(a.PROMPTSPAN_VARIANT),
        operation=text(a.GEN_AI_OPERATION_NAME),
        provider=text(a.GEN_AI_PROVIDER_NAME),
        request_model=text(a.GEN_AI_REQUEST_MODEL),
        response_model=text(a.GEN_AI_RESPONSE_MODEL),
        response_id=text(a.GEN_AI_RESPONSE_ID),
        status=text(a.PROMPTSPAN_STATUS),
        error_type=text(a.ERROR_TYPE),
        error_message=span.status_message,
        streaming=known.get(a.GEN_AI_REQUEST_STREAM) is True,
        input_tokens=count(a.GEN_AI_USAGE_INPUT_TOKENS),
        output_tokens=count(a.GEN_AI_USAGE_OUTPUT_TOKENS),
        cache_read_tokens=count(a.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS),
        cache_write_tokens=count(a.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS),
        reasoning_tokens=count(a.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS),
        usage_source=text(a.PROMPTSPAN_USAGE_SOURCE),
        reported_cost_usd=None if cost is None else Decimal(str(cost)),
        finish_reasons=texts(a.GEN_AI_RESPONSE_FINISH_REASONS),
        flags=frozenset(texts(a.PROMPTSPAN_SAFETY_FLAGS)),
        attempt=count(a.PROMPTSPAN_ATTEMPT),
        cached=cached if isinstance(cached, bool) else None,
        started=_EPOCH + timedelta(microseconds=span.start_unix_nano // 1_000),
        duration_ms=(span.end_unix_nano - span.start_unix_nano) / 1e6,
        ttft_ms=ttft_s * 1e3 if isinstance(ttft_s, float) else None,
        input_text=text(a.GEN_AI_INPUT_MESSAGES),
        output_text=text(a.GEN_AI_OUTPUT_MESSAGES),
        trace_id=f"{span.trace_id:032x}",
        span_id=f"{span.span_id:016x}",
        parent_span_id=f"{span.parent_span_id:016x}" if span.parent_span_id else "",
        attributes=known,
    )


def _score_of(span: FinishedSpan) -> CapturedScore:
    known = span.all_attributes()
    value = known.get(a.GEN_AI_EVALUATION_SCORE_VALUE)
    return CapturedScore(
        name=str(known[a.GEN_AI_EVALUATION_NAME]),
        value=value if isinstance(value, float) else None,
        label=str(known.get(a.GEN_AI_EVALUATION_SCORE_LABEL, "")),
        explanation=str(known.get(a.GEN_AI_EVALUATION_EXPLANATION, "")),
        trace_id=str(known.get(a.PROMPTSPAN_SCORE_TRACE_ID, "")),
        span_id=str(known.get(a.PROMPTSPAN_SCORE_SPAN_ID, "")),
        response_id=str(known.get(a.GEN_AI_RESPONSE_ID, "")),
    )


def _line(call: CapturedCall) -> str:
    version = f" version {call.version!r}" if call.version else ""
    return (
        f"{call.prompt!r}{version}: {call.status}, {call.response_model or call.request_model or 'no model'}"
    )


if "pytest" in sys.modules:  # who tests with something else does without
    import pytest

    @pytest.fixture(name="spans")
    def _spans() -> Iterator[CapturedSpans]:
        """What the test's calls recorded; see ``promptspan.testing``."""
        with capture_spans() as spans:
            yield spans
