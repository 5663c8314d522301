"""Evaluations and human feedback, attached to a call by its span or by the provider's response id."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from time import time_ns
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from ._context import current_call
from ._ids import random_bits
from ._recorder import active_recorder
from ._span import KIND_INTERNAL, FinishedSpan

if TYPE_CHECKING:
    from ._screen import Screen

_TRACE_ID = re.compile(r"[0-9a-f]{32}\Z")
_SPAN_ID = re.compile(r"[0-9a-f]{16}\Z")
_SIZE_BYTES = 2_000


class _ScoreNote:
    """A score on its way: becomes a small span of its own, which the store turns into a row of ``scores``."""

    __slots__ = ("_attributes", "_screen", "_span_id", "_trace_id", "_ts", "size_bytes")

    def __init__(
        self,
        attributes: dict[str, Any],
        trace_id: str,
        span_id: str,
        screen: Screen,
    ) -> None:
        self._attributes = attributes
        self._trace_id = trace_id
        self._span_id = span_id
        self._screen = screen
        self._ts = time_ns()
        self.size_bytes = _SIZE_BYTES + len(attributes.get(a.GEN_AI_EVALUATION_EXPLANATION) or "")

    def build(self) -> FinishedSpan:
        """Make the span (pipeline's thread)."""
        from ._content import Redactor

        attributes = {key: value for key, value in self._attributes.items() if value is not None}
        redactor = Redactor(self._screen)
        attributes[a.GEN_AI_EVALUATION_NAME] = redactor.name(attributes[a.GEN_AI_EVALUATION_NAME])
        for key in (a.GEN_AI_EVALUATION_EXPLANATION, a.GEN_AI_EVALUATION_SCORE_LABEL):
            if key in attributes:
                attributes[key] = redactor.text(attributes[key])
        return FinishedSpan(
            name=a.EVALUATION_RESULT,
            kind=KIND_INTERNAL,
            trace_id=int(self._trace_id, 16) if self._trace_id else random_bits(128) or 1,
            span_id=random_bits(64) or 1,
            parent_span_id=int(self._span_id, 16) if self._span_id else 0,
            trace_flags=1,
            trace_state="",
            start_unix_nano=self._ts,
            end_unix_nano=self._ts,
            attributes=attributes,
        )


def record_score(
    name: str,
    value: float | None = None,
    *,
    label: str | None = None,
    explanation: str | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    response_id: str | None = None,
) -> None:
    """Record how good an answer was, by a person, a check or another model.

    Now or later, here or in another process.

    Without ids the score belongs to the decorated call that is running.

    Args:
        name: What was judged, for example "helpful" or "thumbs".
        value: The score; booleans count as 1 and 0.
        label: The verdict in a word, for example "pass".
        explanation: Why; redacted before it leaves.
        trace_id: Trace of the call, 32 hexadecimal digits (``current_span().trace_id``).
        span_id: Span of the call, 16 hexadecimal digits.
        response_id: The provider's id of the response, in place of the two.

    Raises:
        ValueError: There is no call to attach the score to, an id is not in its form, neither value nor label
            is given, or the value is no finite number. So also where nothing is recorded.
    """
    name = _text("a score's name", name)
    if not name:
        raise ValueError("a score needs a name")
    if value is None and label is None:
        raise ValueError("a score needs a value or a label")
    number = None if value is None else _number(value)
    label = None if label is None else _text("label", label)
    explanation = None if explanation is None else _text("explanation", explanation)
    response_id = None if response_id is None else _text("response_id", response_id)
    if trace_id is None and span_id is None and response_id is None:
        call = current_call()
        if call is None:
            raise ValueError("say which call is meant: trace_id and span_id, or response_id")
        trace_id, span_id = f"{call.trace_id:032x}", f"{call.span_id:016x}"
    trace_id = "" if trace_id is None else _text("trace_id", trace_id).lower()
    span_id = "" if span_id is None else _text("span_id", span_id).lower()
    if span_id and not trace_id:
        raise ValueError("a span_id needs its trace_id")
    if trace_id and not _TRACE_ID.match(trace_id):
        raise ValueError(f"trace_id must be 32 hexadecimal digits, not {trace_id!r}")
    if span_id and not _SPAN_ID.match(span_id):
        raise ValueError(f"span_id must be 16 hexadecimal digits, not {span_id!r}")
    recorder = active_recorder()
    if recorder is None:
        return
    attributes: dict[str, Any] = {
        a.GEN_AI_EVALUATION_NAME: name,
        a.GEN_AI_EVALUATION_SCORE_VALUE: number,
        a.GEN_AI_EVALUATION_SCORE_LABEL: label,
        a.GEN_AI_EVALUATION_EXPLANATION: explanation,
        a.GEN_AI_RESPONSE_ID: response_id,
        a.PROMPTSPAN_SCORE_TRACE_ID: trace_id or None,
        a.PROMPTSPAN_SCORE_SPAN_ID: span_id or None,
    }
    recorder.submit(_ScoreNote(attributes, trace_id, span_id, recorder.screen))


def _text(what: str, value: Any) -> str:
    """A text as it is; what is none is told by its type alone."""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a text, not {type(value).__name__}")  # noqa: TRY004  # one kind of error
    return str.__str__(value)


def _number(value: Any) -> float:
    number = math.nan
    if isinstance(value, float):
        number = float.__float__(value)
    elif isinstance(value, int):
        with suppress(OverflowError):
            number = float(int.__index__(value))
    if not math.isfinite(number):
        raise ValueError(f"a score must be a finite number, not {_shown(value)}")
    return number


def _shown(value: Any) -> str:
    return repr(value) if type(value) is float else type(value).__name__
