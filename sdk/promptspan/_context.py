"""The current call, kept in OpenTelemetry's own context: spans nest in both directions."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as api
from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from ._call import Call

CALL_KEY = create_key("promptspan-call")
# The API keeps the key of the current span private; a context that holds nothing else tells it.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))


def _variable() -> Any:
    """The context variable behind the API, ``None`` where ``OTEL_PYTHON_CONTEXT`` names another kind."""
    variable = getattr(getattr(api, "_RUNTIME_CONTEXT", None), "_current_context", None)
    return cast("Any", variable) if isinstance(variable, ContextVar) else None


# Straight to the variable: what lies between costs a call as much as all the rest of its beginning.
_known = _variable()
current_context: Callable[[], Context] = _known.get if _known else api.get_current
enter: Callable[[Context], Token[Context]] = _known.set if _known else api.attach
reset: Callable[[Token[Context]], None] = _known.reset if _known else api.detach


def current_call() -> Call | None:
    """The innermost decorated call that is running here."""
    return cast("Call | None", current_context().get(CALL_KEY))  # only this package writes under this key


def leave(context: Context, token: Token[Context]) -> None:
    """Make the context before ``context`` current again.

    A coroutine or generator that is thrown away is closed wherever the collector runs, in a context that
    never had ours attached: there is nothing to take back then.
    """
    now = current_context()
    if now is context:
        reset(token)
        return
    call = context.get(CALL_KEY)
    if now.get(CALL_KEY) is not call:
        return
    try:
        reset(token)
    except ValueError:
        return
    # What the user's code has put into the context and left there stays there; the call does not.
    before = current_context()
    span = now.get(SPAN_KEY)
    span = before.get(SPAN_KEY) if span is call else span
    enter(Context({**now, CALL_KEY: before.get(CALL_KEY), SPAN_KEY: span}))


def step_out(context: Context, token: Token[Context]) -> Context:
    """Make the context of a generator's reader current again, after a step.

    Returns:
        In which context the generator goes on: a span that it holds across its chunks is in there.
    """
    now = current_context()
    if now is not context and now.get(CALL_KEY) is not context.get(CALL_KEY):
        return context
    try:
        reset(token)
    except ValueError:
        return context
    return now
