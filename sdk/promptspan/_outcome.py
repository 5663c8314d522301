"""What came of a finished call: its response as read, its status, and whether its tokens count elsewhere.

Calls that wait together are read together: RE2 is asked once for the texts of all of them, most of which have
nothing in them, and not once for each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import _attributes as a
from . import _content, _estimate
from ._call import Call
from ._guard import Guard
from ._others import traced_by_others
from ._readers import read_response
from ._readers._fields import get
from ._reading import Message, Reading, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._span import Note

_READ = Guard("read response")
_ESTIMATE = Guard("estimate of tokens")
_AHEAD = Guard("texts of several calls")


class Outcome:
    """What is known of one call before its texts are looked at.

    Attributes:
        reading: Facts of the response; ``None`` if it has none.
        status: How the call ended.
        wrapper: Whether its tokens are counted elsewhere.
        arguments: Of the function, by name.
        usage: Its tokens.
        clean: Texts, its own among them, of which is known that nothing is in them.
    """

    __slots__ = ("arguments", "clean", "reading", "status", "usage", "wrapper")

    def __init__(self, call: Call) -> None:
        """Read a finished call; the call around it hears of it, so inner calls come first."""
        reading = None
        with _READ:
            reading = read_call(call)
        self.reading = reading
        self.status = status_of(call, reading)
        self.wrapper = is_wrapper(call, reading)
        self.arguments = _content.bound_arguments(call)
        self.usage: Usage | None = None
        self.clean: frozenset[str] = frozenset()
        if not self.wrapper:
            self.usage = usage_of(call, reading)
            with _ESTIMATE:
                model = request_model(call, reading) or (reading.model if reading else None)
                self.usage = _estimate.completed(call, self.arguments, reading, self.usage, model)
        if call.outer is not None:
            tell_outer(call.outer, call, reading, self.usage, self.wrapper)


def look_ahead(notes: Iterable[Note]) -> None:
    """Read several calls, in their order, and look at their longest texts at once."""
    with _AHEAD:
        texts: list[str] = []
        outcomes: list[Outcome] = []
        screen = None
        for note in notes:
            if type(note) is Call:
                screen = note.recorder.screen
                note.outcome = outcome = Outcome(note)
                outcomes.append(outcome)
                texts += [value for value in outcome.arguments.values() if type(value) is str]
                if outcome.reading is not None:
                    texts += [message.text for message in outcome.reading.output]
        if screen is not None:
            clean = screen.scanner.clean_among(texts)
            for outcome in outcomes:
                outcome.clean = clean


def read_call(call: Call) -> Reading | None:
    """The facts of the response, from wherever the call left it."""
    for source in (call.response, call.result):
        reading = read_response(source)
        if reading is not None:
            return reading
    if call.chunks or call.reader:
        chunks = call.fold()
        said = chunks.messages()
        reading = chunks.reading()
        if reading is not None:
            return reading if reading.output or not said else replace(reading, output=said)
        if said:
            return _of_text(said)
    if call.exception is not None:
        # OpenAI's parser raises on a truncated answer, which was billed all the same.
        reading = read_response(get(call.exception, "completion"))
        if reading is not None:
            return reading
    if isinstance(call.result, str):
        said = str.__str__(call.result)
        return _of_text((Message(role="assistant", parts=({"type": "text", "content": said},)),))
    return None


def _of_text(said: tuple[Message, ...]) -> Reading:
    return Reading(shape="text", operation=a.OPERATION_CHAT, output=said)


def status_of(call: Call, reading: Reading | None) -> str:
    if reading is None or not call.streaming:
        return call.status
    if call.status == a.STATUS_VALUE_INCOMPLETE and reading.complete and reading.shape != "text":
        return a.STATUS_VALUE_OK  # closed after the last chunk that matters: nothing is missing
    if call.status == a.STATUS_VALUE_OK and not reading.complete:
        return a.STATUS_VALUE_INCOMPLETE  # the provider broke off without saying so
    return call.status


def is_wrapper(call: Call, reading: Reading | None) -> bool:
    """Whether the tokens of this call are counted on another span."""
    if call.spec.operation:
        return call.spec.operation == a.OPERATION_INVOKE_WORKFLOW
    response_id = reading.response_id if reading else None
    if call.recorder.config.yield_to_others and traced_by_others(call.others, response_id):
        return True
    if not call.inner_calls:
        return False
    # A function around decorated ones: a call of its own only if its response is none of theirs.
    return response_id is None or response_id in (call.inner_ids or ())


def tell_outer(outer: Call, call: Call, reading: Reading | None, usage: Usage | None, wrapper: bool) -> None:
    if wrapper:
        outer.inner_calls += call.inner_calls
        ids = call.inner_ids or set[str]()
    elif usage or (reading is not None and reading.response_id):
        outer.inner_calls += 1
        ids = {reading.response_id} if reading is not None and reading.response_id else set[str]()
    else:
        return
    outer.inner_ids = (outer.inner_ids or set[str]()) | ids


def usage_of(call: Call, reading: Reading | None) -> Usage | None:
    known = reading.usage if reading else None
    return call.usage.over(known) if call.usage is not None else known


def request_model(call: Call, reading: Reading | None) -> str | None:
    if isinstance(call.model, str) and (named := str.__str__(call.model)):
        return named
    # Without a response the prompt's own model is the best that is known; with one it would only be a guess.
    if (reading is None or reading.model is None) and call.prompt is not None:
        return call.prompt.model or None
    return None


def error_type(call: Call, status: str) -> str | None:
    if call.exception is None or status not in (a.STATUS_VALUE_ERROR, a.STATUS_VALUE_CANCELLED):
        return None
    kind = type(call.exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
