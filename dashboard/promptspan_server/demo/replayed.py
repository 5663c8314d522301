"""The models of the demo: they answer in their providers' JSON, as slowly and as badly as they once did."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from promptspan_server.demo.chat_completions import completion, completion_chunks
from promptspan_server.demo.messages import message, message_events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from promptspan_server.demo.recording import Fault
    from promptspan_server.demo.traffic import PlannedCall

    Messages = Sequence[dict[str, str]]

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


class BadRequestError(ProviderError):
    """The provider does not take what was asked."""

    status_code = 400


class ProviderTimeoutError(ProviderError):
    """No answer in time."""

    status_code = 408


class ConnectionDroppedError(ProviderError):
    """The stream broke off."""

    status_code = 0


_ERRORS: dict[Fault, tuple[type[ProviderError], str]] = {
    "rate_limited": (RateLimitError, "Rate limit reached: limit 500, used 500, requested 1."),
    "server_error": (InternalServerError, "The server had an error while processing your request."),
    "bad_request": (BadRequestError, "This model's maximum context length is exceeded."),
    "timeout": (ProviderTimeoutError, "Request timed out."),
    "dropped": (ConnectionDroppedError, "peer closed connection without sending complete message body"),
}


class Planned:
    """Tells the models what they are to answer: the call that was planned for the task or thread that asks.

    Args:
        latency_scale: 1 takes as long as recorded, 0 answers at once.
    """

    def __init__(self, latency_scale: float = 1.0) -> None:
        self._scale = latency_scale
        self._plan: ContextVar[PlannedCall] = ContextVar("planned call")
        self._closed = threading.Event()

    @contextmanager
    def answering(self, plan: PlannedCall) -> Generator[None]:
        """Plan what the calls made within are answered.

        Args:
            plan: The call.

        Yields:
            While it holds.
        """
        token = self._plan.set(plan)
        try:
            yield
        finally:
            self._plan.reset(token)

    def take(self, model: str, asked: list[str]) -> PlannedCall:
        """Look up the plan for a request.

        Args:
            model: The model that is asked.
            asked: The texts of the conversation.

        Returns:
            The plan.

        Raises:
            ValueError: The application asks something else than was planned.
        """
        plan = self._plan.get()
        if model != plan.recording.request_model or asked != [plan.recording.system, plan.recording.input]:
            raise ValueError("the application asks something else than was planned")
        return plan

    def close(self) -> None:
        """End what waits in threads; nobody can cancel those."""
        self._closed.set()

    def wait(self, recorded_ms: float, *, since: float | None = None) -> None:
        """Take as long as recorded, in a thread.

        Args:
            recorded_ms: As recorded.
            since: From when on, by the monotonic clock; now, if it is not said.

        Raises:
            ConnectionDroppedError: The application ended meanwhile.
        """
        gone_s = 0.0 if since is None else time.monotonic() - since
        if self._closed.wait(max(0.0, self.seconds(recorded_ms) - gone_s)):
            raise ConnectionDroppedError("the application ends")

    def seconds(self, recorded_ms: float) -> float:
        """Scale a recorded time.

        Args:
            recorded_ms: As recorded.

        Returns:
            How long to wait now.
        """
        return recorded_ms / 1000 * self._scale


class OpenAI:
    """Stands where an application has its ``openai.AsyncOpenAI``.

    Args:
        planned: What to answer.
    """

    base_url = "https://api.openai.com/v1"

    def __init__(self, planned: Planned) -> None:
        self._planned = planned

    @property
    def chat(self) -> OpenAI:
        """``client.chat``."""
        return self

    @property
    def completions(self) -> OpenAI:
        """``client.chat.completions``."""
        return self

    async def create(self, *, model: str, messages: Messages) -> Json:
        """``client.chat.completions.create(...)``.

        Args:
            model: The model.
            messages: The conversation.

        Returns:
            The body of the response.

        Raises:
            ProviderError: The plan says so.
        """
        plan = self._planned.take(model, [message["content"] for message in messages])
        await asyncio.sleep(self._planned.seconds(plan.recording.latency_ms))
        _fail(plan)
        return completion(plan.recording, response_id=f"chatcmpl-{uuid4().hex}", created=int(time.time()))

    async def stream(self, *, model: str, messages: Messages) -> AsyncGenerator[Json]:
        """``client.chat.completions.create(..., stream=True)``.

        Args:
            model: The model.
            messages: The conversation.

        Yields:
            The chunks.

        Raises:
            ProviderError: The plan says so, for ``dropped`` in the midst.
        """
        plan = self._planned.take(model, [message["content"] for message in messages])
        recording = plan.recording
        began = time.monotonic()
        await asyncio.sleep(self._planned.seconds(recording.ttft_ms))
        _fail(plan, dropped=False)
        found = completion_chunks(
            recording,
            response_id=f"chatcmpl-{uuid4().hex}",
            created=int(time.time()),
            include_usage=plan.include_usage,
        )
        chunks = list(found)
        pause_ms = (recording.latency_ms - recording.ttft_ms) / len(chunks)
        for number, chunk in enumerate(chunks):
            if number > len(chunks) // 2:
                _fail(plan)
            yield chunk
            # By the clock: what each pause takes too long would add up.
            due_s = self._planned.seconds(recording.ttft_ms + pause_ms * (number + 1))
            await asyncio.sleep(max(0.0, began + due_s - time.monotonic()))


class Anthropic:
    """Stands where an application has its ``anthropic.Anthropic``.

    Args:
        planned: What to answer.
    """

    base_url = "https://api.anthropic.com"

    def __init__(self, planned: Planned) -> None:
        self._planned = planned

    @property
    def messages(self) -> Anthropic:
        """``client.messages``."""
        return self

    def create(self, *, model: str, system: str, messages: Messages) -> Json:
        """``client.messages.create(...)``.

        Args:
            model: The model.
            system: The instructions.
            messages: The conversation.

        Returns:
            The body of the response.

        Raises:
            ProviderError: The plan says so.
        """
        plan = self._planned.take(model, [system, *(message["content"] for message in messages)])
        self._planned.wait(plan.recording.latency_ms)
        _fail(plan)
        return message(plan.recording, response_id=f"msg_{uuid4().hex}")

    def stream(self, *, model: str, system: str, messages: Messages) -> Generator[Json]:
        """``client.messages.create(..., stream=True)``.

        Args:
            model: The model.
            system: The instructions.
            messages: The conversation.

        Yields:
            The events.

        Raises:
            ProviderError: The plan says so.
        """
        plan = self._planned.take(model, [system, *(message["content"] for message in messages)])
        recording = plan.recording
        began = time.monotonic()
        self._planned.wait(recording.ttft_ms)
        _fail(plan)
        events = list(message_events(recording, response_id=f"msg_{uuid4().hex}"))
        pause_ms = (recording.latency_ms - recording.ttft_ms) / len(events)
        for number, event in enumerate(events):
            yield event
            self._planned.wait(recording.ttft_ms + pause_ms * (number + 1), since=began)


def error_name(fault: Fault | None) -> str:
    """Say what the error of a fault is called on a span.

    Args:
        fault: What went wrong, if anything.

    Returns:
        The error's qualified name, empty if nothing did.
    """
    if fault is None:
        return ""
    kind = _ERRORS[fault][0]
    return f"{kind.__module__}.{kind.__qualname__}"


def _fail(plan: PlannedCall, *, dropped: bool = True) -> None:
    fault = plan.recording.fault
    if fault is None or (fault == "dropped" and not dropped):
        return
    kind, text = _ERRORS[fault]
    raise kind(text)
