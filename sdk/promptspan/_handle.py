"""What ``current_span()`` gives: the way to say more about the call that is running."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from . import _attributes as a
from ._context import current_call
from ._freeze import frozen
from ._guard import Guard
from ._kinds import as_dict
from ._reading import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._call import Call

_NOTE = Guard("current_span()")
_MOST_FLAGS = 32
_log = logging.getLogger("promptspan")
_said: set[str] = set()
_MOST_TOKENS = 1 << 53


class CallSpan:
    """The running call. Every method works, does nothing outside a call, and never raises."""

    __slots__ = ("_call",)

    def __init__(self, call: Call | None) -> None:
        self._call = call

    @property
    def trace_id(self) -> str:
        """Trace id in 32 hexadecimal digits, empty outside a call."""
        return "" if self._call is None else f"{self._call.trace_id:032x}"

    @property
    def span_id(self) -> str:
        """Span id in 16 hexadecimal digits, empty outside a call."""
        return "" if self._call is None else f"{self._call.span_id:016x}"

    def set_attribute(self, key: str, value: Any) -> None:
        """Note one attribute of your own; its value is read later, in the background."""
        call = self._call
        if call is None or call.status:
            return
        with _NOTE:
            call.note(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Note attributes of your own."""
        with _NOTE:
            self._note(as_dict(attributes))

    def set_model(self, model: str) -> None:
        """Say which model is asked, where the function's arguments do not show it."""
        if self._call is not None:
            self._call.model = model

    def set_response(self, response: Any) -> None:
        """Give the provider's response (or last chunk), where the function returns something else."""
        call = self._call
        if call is None:
            return
        with _NOTE:
            call.response = frozen(response) if call.capture or isinstance(response, dict) else response

    def set_usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        cache_write_1h_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        audio_input_tokens: int | None = None,
        audio_output_tokens: int | None = None,
        estimated: bool = False,
    ) -> None:
        """Say what the call used; wins over what the response says.

        Args:
            input_tokens: All input, cache reads and writes included.
            output_tokens: All output, reasoning included.
            cache_read_tokens: Part of the input.
            cache_write_tokens: Part of the input.
            cache_write_1h_tokens: Part of the cache writes.
            reasoning_tokens: Part of the output.
            audio_input_tokens: Part of the input.
            audio_output_tokens: Part of the output.
            estimated: The counts are not the provider's.
        """
        if self._call is not None:
            self._call.usage = Usage(
                input_tokens=_tokens(input_tokens),
                output_tokens=_tokens(output_tokens),
                cache_read_tokens=_tokens(cache_read_tokens),
                cache_write_tokens=_tokens(cache_write_tokens),
                cache_write_1h_tokens=_tokens(cache_write_1h_tokens),
                reasoning_tokens=_tokens(reasoning_tokens),
                audio_input_tokens=_tokens(audio_input_tokens),
                audio_output_tokens=_tokens(audio_output_tokens),
                estimated=estimated is True,
            )

    def add_flag(self, *flags: str) -> None:
        """Raise safety flags of your own, for example of a moderation check."""
        call = self._call
        if call is None:
            return
        with _NOTE:
            known = call.flags = call.flags or []
            texts = [
                str.__str__(flag)[:64] for flag in cast("tuple[object, ...]", flags) if isinstance(flag, str)
            ]
            known.extend(texts[: _MOST_FLAGS - len(known)])

    def context(
        self,
        *,
        tokens: int | None = None,
        documents: int | None = None,
        stale_s: float | None = None,
        truncated: bool | None = None,
    ) -> None:
        """Say what the model was given besides the prompt.

        Args:
            tokens: Tokens of retrieved context.
            documents: How many documents it came from.
            stale_s: Age of the oldest of them, in seconds.
            truncated: Whether some of it had to be left out.
        """
        self._note(
            {
                a.PROMPTSPAN_CONTEXT_TOKENS: _fit("tokens", tokens, _tokens(tokens)),
                a.PROMPTSPAN_CONTEXT_DOCUMENTS: _fit("documents", documents, _tokens(documents)),
                a.PROMPTSPAN_CONTEXT_STALE_S: _fit("stale_s", stale_s, _seconds(stale_s)),
                a.PROMPTSPAN_CONTEXT_TRUNCATED: _fit("truncated", truncated, _truth(truncated)),
            }
        )

    def annotate(
        self,
        *,
        feature: str | None = None,
        tenant: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        variant: str | None = None,
        attempt: int | None = None,
        cached: bool | None = None,
        fallback_of: str | None = None,
    ) -> None:
        """Say whose call it is and what is special about it.

        Args:
            feature: What it is for; what finance sums by.
            tenant: Customer or team.
            user_id: End user; leaves as a hash unless configured otherwise.
            session_id: Session of the user.
            conversation_id: Conversation that it belongs to.
            variant: Arm of a rollout.
            attempt: 1 for the first try, 2 for its first repetition, and so on.
            cached: Whether the answer came from a cache of your own.
            fallback_of: Model that should have answered.
        """
        self._note(
            {
                a.PROMPTSPAN_FEATURE: feature,
                a.PROMPTSPAN_TENANT: tenant,
                a.USER_ID: user_id,
                a.SESSION_ID: session_id,
                a.GEN_AI_CONVERSATION_ID: conversation_id,
                a.PROMPTSPAN_VARIANT: variant,
                a.PROMPTSPAN_ATTEMPT: _fit("attempt", attempt, _tokens(attempt) or None),
                a.PROMPTSPAN_CACHED: _fit("cached", cached, _truth(cached)),
                a.PROMPTSPAN_FALLBACK_OF: fallback_of,
            }
        )

    def _note(self, attributes: dict[str, Any]) -> None:
        call = self._call
        if call is None or call.status:
            return
        with _NOTE:
            for key, value in attributes.items():
                call.note(key, value)


def _tokens(value: Any) -> int | None:
    """A count; what cannot be one (negative, huge, no whole number) is unknown."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    count = int.__index__(value)
    return count if 0 <= count < _MOST_TOKENS else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, float):
        seconds = float.__float__(value)
        return seconds if 0 <= seconds < _MOST_TOKENS else None
    whole = _tokens(value)
    return None if whole is None else float(whole)


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _fit(name: str, given: Any, value: Any) -> Any:
    """A value that makes sense; said once by name where what was given does not."""
    if given is not None and value is None and name not in _said:
        _said.add(name)
        _log.warning(
            "promptspan: %s=%s makes no sense and is left out (tokens, documents: 0 and more; "
            "attempt: 1 and more; stale_s: seconds; truncated, cached: True or False)",
            name,
            repr(given) if type(given) is float or _is_short(given) else f"<{type(given).__name__}>",
        )
    return value


def _is_short(value: Any) -> bool:
    # Python refuses to write a number of thousands of digits.
    return type(value) is int and value.bit_length() <= 64


_NO_CALL = CallSpan(None)


def current_span() -> CallSpan:
    """The decorated call that is running here; outside one, a handle that does nothing."""
    call = current_call()
    return _NO_CALL if call is None else CallSpan(call)
