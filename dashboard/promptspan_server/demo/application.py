"""The demo's application: a shop's back office, traced with the public SDK and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from promptspan import Prompt, current_span, traced_prompt
from promptspan_server.demo.recording import prompt_path
from promptspan_server.demo.replayed import Anthropic, OpenAI, Planned, ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from promptspan_server.demo.traffic import PlannedCall

Json = dict[str, Any]
Messages = list[dict[str, str]]

ENOUGH_CHUNKS = 4  # after that many, who leaves early leaves with the next


class Application:
    """Handles planned calls as a web application handles requests.

    Args:
        latency_scale: 1 takes as long as recorded, 0 answers at once.
    """

    def __init__(self, latency_scale: float = 1.0) -> None:
        self._planned = Planned(latency_scale)
        openai, anthropic = OpenAI(self._planned), Anthropic(self._planned)
        self._summaries = {
            (version, feature): summary(openai, _prompt("inbox-summary", version), feature)
            for version in ("6", "7")
            for feature in ("inbox", "escalation-digest")
        }
        self._search = search(rewritten_query(openai, _prompt("search-rewrite", "3")))
        self._terms = terms(anthropic, _prompt("contract-extract", "2"))
        self._terms_aloud = terms_aloud(anthropic, _prompt("contract-extract", "2"))

    async def handle(self, request: PlannedCall) -> None:
        """Do what one request asks; a provider's error ends the request, not the application.

        Args:
            request: Who asks what, and how the model answers it.
        """
        recording = request.recording
        system = {"role": "system", "content": recording.system}
        asked = {"role": "user", "content": recording.input}
        with self._planned.answering(request):
            try:
                if recording.prompt == "inbox-summary":
                    summarise = self._summaries[recording.version, request.feature]
                    await summarise([system, asked], recording.request_model, request)
                elif recording.prompt == "search-rewrite":
                    await self._search([system, asked], recording.request_model, request)
                else:
                    await asyncio.to_thread(self._register, recording.system, [asked], request)
            except ProviderError:
                return

    def close(self) -> None:
        """End what is still running in threads."""
        self._planned.close()

    def _register(self, system: str, messages: Messages, request: PlannedCall) -> None:
        model = request.recording.request_model
        if not request.stream:
            self._terms(system, messages, model, request)
            return
        with closing(self._terms_aloud(system, messages, model, request)) as events:
            for number, _ in enumerate(events, 1):
                if request.leaves_early and number > ENOUGH_CHUNKS:
                    break


def summary(
    openai: OpenAI, prompt: Prompt, feature: str
) -> Callable[[Messages, str, PlannedCall], Awaitable[Json]]:
    """Make the function that summarises a ticket with one version of the prompt.

    Args:
        openai: Client of the provider.
        prompt: The version.
        feature: What the summaries are for.

    Returns:
        A traced coroutine function.
    """

    @traced_prompt(prompt=prompt, feature=feature)
    async def summarise(messages: Messages, model: str, request: PlannedCall) -> Json:
        _say_for_whom(request)
        return await openai.chat.completions.create(model=model, messages=messages)

    return summarise


def rewritten_query(
    openai: OpenAI, prompt: Prompt
) -> Callable[[Messages, str, PlannedCall], AsyncGenerator[Json]]:
    """Make the function that rewrites a visitor's query, streamed.

    Args:
        openai: Client of the provider.
        prompt: The version.

    Returns:
        A traced asynchronous generator function.
    """

    @traced_prompt(prompt=prompt, feature="product-search")
    async def rewrite(messages: Messages, model: str, request: PlannedCall) -> AsyncGenerator[Json]:
        _say_for_whom(request)
        async with aclosing(openai.stream(model=model, messages=messages)) as chunks:
            async for chunk in chunks:
                yield chunk

    return rewrite


def search(
    rewrite: Callable[[Messages, str, PlannedCall], AsyncGenerator[Json]],
) -> Callable[[Messages, str, PlannedCall], Awaitable[str]]:
    """Make the function around it, which a visitor's search begins with.

    Args:
        rewrite: Rewrites the query.

    Returns:
        A traced coroutine function; its span is a workflow, the tokens are on the call inside.
    """

    @traced_prompt(name="product-search", feature="product-search", operation="invoke_workflow")
    async def find(messages: Messages, model: str, request: PlannedCall) -> str:
        _say_for_whom(request)
        query = ""
        async with aclosing(rewrite(messages, model, request)) as chunks:
            number = 0
            async for chunk in chunks:
                query += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                number += 1
                if request.leaves_early and number > ENOUGH_CHUNKS:
                    break
        return query

    return find


def terms(anthropic: Anthropic, prompt: Prompt) -> Callable[[str, Messages, str, PlannedCall], Json]:
    """Make the function that extracts a clause's terms.

    Args:
        anthropic: Client of the provider.
        prompt: The version.

    Returns:
        A traced function; what is no JSON is flagged.
    """

    @traced_prompt(prompt=prompt, feature="contract-register", expect_json=True)
    def extract(system: str, messages: Messages, model: str, request: PlannedCall) -> Json:
        _say_for_whom(request)
        return anthropic.messages.create(model=model, system=system, messages=messages)

    return extract


def terms_aloud(
    anthropic: Anthropic, prompt: Prompt
) -> Callable[[str, Messages, str, PlannedCall], Generator[Json]]:
    """Make the function that extracts a clause's terms while somebody watches.

    Args:
        anthropic: Client of the provider.
        prompt: The version.

    Returns:
        A traced generator function.
    """

    @traced_prompt(prompt=prompt, feature="contract-register", expect_json=True)
    def extract(system: str, messages: Messages, model: str, request: PlannedCall) -> Generator[Json]:
        _say_for_whom(request)
        with closing(anthropic.stream(model=model, system=system, messages=messages)) as events:
            yield from events

    return extract


def _prompt(name: str, version: str) -> Prompt:
    return Prompt.from_file(prompt_path(name, version))


def _say_for_whom(request: PlannedCall) -> None:
    current_span().annotate(tenant=request.tenant, user_id=request.user, session_id=request.session)
