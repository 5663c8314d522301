"""The models of the demo: they answer in their providers' JSON, as slowly and as badly as they once did."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from promptspan_server.demo.chat_completions import completion, completion_chunks
from promptspan_server.demo.messages import message, message_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from promptspan_server.demo.traffic import PlannedCall

Json = dict[str, Any]


class ProviderError(Exception):
    """The provider answered with an error.

    Attributes:
        status_code: The HTTP status.
    """

    status_code = 500


class RateLimitError(ProviderError):
    """Too many requests."""

    status_code = 429


class InternalServerError(ProviderError):
    """The provider's own trouble."""


class ProviderTimeoutError(ProviderError):
    """No answer in time."""

    status_code = 408


class ConnectionDroppedError(ProviderError):
    """The stream broke off."""

    status_code = 0


class Models:
    """Answers planned calls.

    Args:
        latency_scale: 1 takes as long as recorded, 0 answers at once.
    """

    def __init__(self, latency_scale: float = 1.0) -> None:
        self._scale = latency_scale

    async def chat_completion(self, plan: PlannedCall) -> Json:
        """Answer as OpenAI's ``chat.completions.create`` would.

        Args:
            plan: The call.

        Returns:
            The body of the response.

        Raises:
            ProviderError: The plan says so.
        """
        await asyncio.sleep(self._latency_s(plan))
        _fail(plan)
        return completion(plan.recording, response_id=f"chatcmpl-{uuid4().hex}", created=int(time.time()))

    async def chat_stream(self, plan: PlannedCall) -> AsyncIterator[Json]:
        """Answer as OpenAI's ``chat.completions.create(stream=True)`` would.

        Args:
            plan: The call.

        Yields:
            The chunks.

        Raises:
            ProviderError: The plan says so, for ``dropped`` in the midst.
        """
        recording = plan.recording
        await asyncio.sleep(recording.ttft_ms / 1000 * self._scale)
        _fail(plan, dropped=False)
        found = completion_chunks(
            recording,
            response_id=f"chatcmpl-{uuid4().hex}",
            created=int(time.time()),
            include_usage=plan.include_usage,
        )
        chunks = list(found)
        pause_s = (recording.latency_ms - recording.ttft_ms) / 1000 * self._scale / len(chunks)
        for number, chunk in enumerate(chunks):
            if number > len(chunks) // 2:
                _fail(plan)
            yield chunk
            await asyncio.sleep(pause_s)

    def message(self, plan: PlannedCall) -> Json:
        """Answer as Anthropic's ``messages.create`` would.

        Args:
            plan: The call.

        Returns:
            The body of the response.

        Raises:
            ProviderError: The plan says so.
        """
        time.sleep(self._latency_s(plan))
        _fail(plan)
        return message(plan.recording, response_id=f"msg_{uuid4().hex}")

    def message_stream(self, plan: PlannedCall) -> Iterator[Json]:
        """Answer as Anthropic's ``messages.create(stream=True)`` would.

        Args:
            plan: The call.

        Yields:
            The events.

        Raises:
            ProviderError: The plan says so.
        """
        recording = plan.recording
        time.sleep(recording.ttft_ms / 1000 * self._scale)
        _fail(plan)
        events = list(message_events(recording, response_id=f"msg_{uuid4().hex}"))
        pause_s = (recording.latency_ms - recording.ttft_ms) / 1000 * self._scale / len(events)
        for event in events:
            yield event
            time.sleep(pause_s)

    def _latency_s(self, plan: PlannedCall) -> float:
        return plan.recording.latency_ms / 1000 * self._scale


def _fail(plan: PlannedCall, *, dropped: bool = True) -> None:
    match plan.recording.fault:
        case "rate_limited":
            raise RateLimitError("Rate limit reached: limit 500, used 500, requested 1.")
        case "server_error" | "bad_request":
            raise InternalServerError("The server had an error while processing your request.")
        case "timeout":
            raise ProviderTimeoutError("Request timed out.")
        case "dropped" if dropped:
            raise ConnectionDroppedError("peer closed connection without sending complete message body")
        case _:
            pass
