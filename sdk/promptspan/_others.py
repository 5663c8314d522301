"""The other instrumentations of this process: whether one of them already traced the call inside ours.

Where the application has a tracer provider of ``opentelemetry-sdk``, a span processor of ours sees every span
that starts under a decorated call (our call travels in OpenTelemetry's context, so grandchildren are seen
too). It puts the prompt's name and version on them, since they are the ones that will be billed, and notes
them on the call; when the call is built, one with token counts makes ours the wrapper. Where there is no such
provider nobody else records, and where a client has a provider of its own the store tells the two apart by
``gen_ai.response.id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import get_current

from . import _attributes as a
from ._context import CALL_KEY
from ._guard import Guard
from ._span import SCOPE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

    from ._call import Call

_ADOPT = Guard("own provider")
_SEE = Guard("other instrumentation")
_MOST_NOTED = 64


class Watched:
    """The application's provider, once there is one.

    Attributes:
        seen: What the API had when it was last looked at.
        provider: The same, if it is one of ``opentelemetry-sdk``.
    """

    seen: Any = None
    provider: Any = None


def watch() -> None:
    """Look at the provider that the API has now."""
    # The API's function would install a provider from the environment as a side effect.
    Watched.seen = getattr(trace, "_TRACER_PROVIDER", None)
    with _ADOPT:
        _adopt(Watched.seen)


def provider() -> TracerProvider | None:
    """The application's own provider, if it is one of ``opentelemetry-sdk``."""
    if getattr(trace, "_TRACER_PROVIDER", None) is not Watched.seen:
        watch()
    return Watched.provider


def _adopt(current: Any) -> None:
    Watched.provider = None
    if hasattr(current, "add_span_processor") and hasattr(current, "_active_span_processor"):
        Watched.provider = current
        current.add_span_processor(_watcher())


def _watcher() -> Any:
    from opentelemetry.sdk.trace import SpanProcessor  # the application has loaded it already

    class Watcher(SpanProcessor):
        """Notes the spans of others on the decorated call that they happen in."""

        def on_start(self, span: Any, parent_context: Context | None = None) -> None:
            with _SEE:
                context = get_current() if parent_context is None else parent_context
                call: Any = context.get(CALL_KEY)
                if call is not None:
                    _note(call, span)

    return Watcher()


def _note(call: Call, span: Any) -> None:
    if call.others is None:
        call.others = []
    if len(call.others) < _MOST_NOTED:
        call.others.append(span)
    for key, value in call.identity().items():
        span.set_attribute(key, value)


def traced_by_others(spans: list[Any] | None, response_id: str | None) -> bool:
    """Whether one of ``spans`` holds the tokens of the call whose response has this id."""
    ids: list[Any] = []
    for span in spans or ():
        if getattr(getattr(span, "instrumentation_scope", None), "name", None) == SCOPE_NAME:
            continue
        attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
        if any(key in attributes for key in a.USAGE_OF_OTHERS):
            ids.append(attributes.get(a.GEN_AI_RESPONSE_ID))
    if not ids:
        return False
    # Two calls in one function, one of them seen by others: the one that they did not see is ours.
    return response_id is None or None in ids or response_id in ids


def is_content(key: str) -> bool:
    """Whether an attribute holds text of prompts or answers."""
    return key in a.CONTENT_KEYS or key.startswith(a.GEN_AI_PROMPT_VARIABLE_PREFIX)
