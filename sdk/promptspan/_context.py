"""The current call, kept in OpenTelemetry's own context: spans nest in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.context import Context, attach, create_key, detach, get_current
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

if TYPE_CHECKING:
    from contextvars import Token

    from ._call import Call

CALL_KEY = create_key("promptspan-call")
# The API keeps the key of the current span private; a context that holds nothing else tells it.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))


def current_call() -> Call | None:
    """The innermost decorated call that is running here."""
    return cast("Call | None", get_current().get(CALL_KEY))  # only this package writes under this key


def enter(context: Context) -> Token[Context]:
    """Make ``context`` current."""
    return attach(context)


def leave(context: Context, token: Token[Context]) -> None:
    """Make the context before ``context`` current again.

    A coroutine or generator that is thrown away is closed wherever the collector runs, in a context that
    never had ours
    attached: there is nothing to take back then, and OpenTelemetry would log an error.
    """
    if get_current() is context:
        detach(token)
