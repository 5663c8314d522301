"""Safety flags: what the provider said of its answer, and what the texts of a call show."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from ._hooks import Skipped
from ._kinds import is_dict, is_list, listed, mapped
from ._readers._envelopes import json_of
from ._readers._fields import get, items, text
from ._refusal import refuses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._call_texts import CallTexts
    from ._content import Redactor
    from ._reading import Reading
    from ._screen import Screen

_JSON_FENCE = re.compile(r"\A```(?:json)?\s*|\s*```\Z")
_JSON_FORMATS = ("json_object", "json_schema", "json")
_ASKING_NAMES = frozenset({"response_format", "text", "format", "generation_config", "config"})
_MOST_LEAVES = 2_000
_MOST_DEPTH = 12
_TRUSTED_ROLES = ("system", "developer")
_TRUSTED_NAMES = frozenset({"system", "instructions", "system_prompt", "system_instruction"})
_UNREAD_NAMES = frozenset({"role", "type", "model"})


def of_reading(reading: Reading | None, *, finished: bool, wants_json: bool) -> set[str]:
    """Flags of an answer, without those of its words.

    Args:
        reading: What is known of it.
        finished: Whether the call came to its end without an error.
        wants_json: Whether the answer should be JSON.
    """
    flags: set[str] = set()
    if reading is None or reading.operation == a.OPERATION_EMBEDDINGS:
        return flags
    said = reading.text
    if reading.refused or refuses(said):
        flags.add(a.FLAG_REFUSAL)
    if reading.filtered:
        flags.add(a.FLAG_CONTENT_FILTER)
    if reading.truncated:
        flags.add(a.FLAG_TRUNCATED)
    explained = reading.refused or reading.filtered
    if (
        finished
        and not explained
        and reading.output
        and not said.strip()
        and not any(each.says_something for each in reading.output)
    ):
        flags.add(a.FLAG_EMPTY_OUTPUT)
    if finished and not _as_asked(reading, wants_json=wants_json):
        flags.add(a.FLAG_INVALID_JSON)
    return flags


def _as_asked(reading: Reading, *, wants_json: bool) -> bool:
    """Whether what should be JSON is: the answers, if so wanted, and the arguments of tools always."""
    for message in reading.output:
        for part in message.parts:
            if part.get("type") == "tool_call" and not _is_object(part.get("arguments")):
                return False
        if wants_json and (said := message.text.strip()) and not is_json(said):
            return False
    return True


def _is_object(arguments: Any) -> bool:
    return not isinstance(arguments, str) or not arguments or is_json(arguments)


def is_json(said: str) -> bool:
    """Whether a text is JSON, also in a fence of Markdown."""
    try:
        json.loads(_JSON_FENCE.sub("", said.strip()))
    except (ValueError, RecursionError):
        return False
    return True


def wants_json(arguments: Mapping[str, Any], response: Any, request: Any) -> bool:
    """Whether JSON was asked for, as far as the arguments, the response or the client's request show it.

    Args:
        arguments: Of the function, by name.
        response: As the provider gave it; OpenAI's responses repeat what was asked for.
        request: Of the client's HTTP library, or ``None``.
    """
    asked = get(response, "text")
    if asked is not None and text(asked, "format", "type") in _JSON_FORMATS:
        return True
    for name in _ASKING_NAMES & arguments.keys():
        # A text of that name asks for nothing, unless it is a format.
        if (type(arguments[name]) is not str or name == "format") and _asks(arguments):
            return True
    body = None if request is None else get(request, "content")
    return isinstance(body, bytes) and b"json" in body and _asks(json_of(body))


def _asks(request: Any) -> bool:
    if isinstance(get(request, "response_format"), type):
        return True  # a model that the answer is parsed into
    asked = (
        text(request, "response_format", "type"),
        text(request, "text", "format", "type"),
        text(request, "format"),
    )
    if any(kind in _JSON_FORMATS for kind in asked):
        return True
    types = (
        text(request, "generation_config", "response_mime_type"),
        text(request, "config", "response_mime_type"),
        text(request, "generationConfig", "responseMimeType"),
    )
    return "application/json" in types


def of_provider(response: Any, exception: BaseException | None) -> set[str]:
    """Flags of what the provider says beside the answer: Azure's verdict on the prompt, refused requests."""
    flags: set[str] = set()
    for verdict in items(response, "prompt_filter_results"):
        results = get(verdict, "content_filter_results")
        if is_dict(results):
            if any(get(result, "filtered") is True for result in results.values()):
                flags.add(a.FLAG_CONTENT_FILTER)
            if any(get(results, shield, "detected") is True for shield in ("jailbreak", "indirect_attack")):
                flags.add(a.FLAG_INJECTION)
    if exception is not None:
        codes = (
            text(exception, "code"),
            text(exception, "body", "code"),
            text(exception, "body", "innererror", "code"),
        )
        if any(
            code in ("content_filter", "ResponsibleAIPolicyViolation", "content_policy_violation")
            for code in codes
        ):
            flags.add(a.FLAG_CONTENT_FILTER)  # Azure refuses the request itself
    return flags


def of_input(values: Mapping[str, Any], rendered: list[str] | None, redactor: Redactor) -> list[str]:
    """Look at all that the model was given: in messages, in results of tools, in retrieved documents.

    Args:
        values: Arguments and variables of prompts, by name.
        rendered: Prompts as rendered: their templates are the developer's own words.
        redactor: Takes the flags down.

    Returns:
        The texts that are not the developer's own.
    """
    found: list[tuple[str, bool]] = []  # and whether it is the developer's own
    for name, value in values.items():
        if name not in _UNREAD_NAMES:
            _collect(value, name in _TRUSTED_NAMES, 0, found)
    given: list[str] = []
    for said, trusted in found:
        redactor.look(said, foreign=not trusted)
        if not trusted:
            given.append(said)
    for said in rendered or ():
        redactor.look(said, foreign=False)
    return given


def _collect(value: Any, trusted: bool, depth: int, found: list[tuple[str, bool]]) -> None:
    if isinstance(value, str):
        said = str.__str__(value)
        if not said.startswith("data:"):  # a picture
            found.append((said, trusted))
    elif depth < _MOST_DEPTH and len(found) < _MOST_LEAVES:
        if is_dict(value):
            fields = mapped(value)
            role = fields.get("role")
            trusted = trusted or (type(role) is str and role in _TRUSTED_ROLES)
            for key, item in fields.items():
                if key not in _UNREAD_NAMES:
                    _collect(item, trusted, depth + 1, found)
        elif is_list(value):
            for item in listed(value):
                _collect(item, trusted, depth + 1, found)


def of_output(reading: Reading, redactor: Redactor) -> None:
    """Look at an answer, also at what it says to tools."""
    found: list[tuple[str, bool]] = []
    for message in reading.output:
        for part in message.parts:
            content = part.get("content")
            if type(content) is str:
                redactor.look(content, foreign=False)
            else:
                _collect(part, False, 0, found)
    for said, _ in found:
        redactor.look(said, foreign=False)


def of_detectors(screen: Screen, texts: CallTexts) -> tuple[set[str], tuple[str, ...]]:
    """Ask the user's own detectors.

    Returns:
        The flags that they raise, and the names of those that gave no answer.
    """
    raised: set[str] = set()
    skipped: list[str] = []
    for flag, hook in screen.detectors.items():
        try:
            if hook.ask(texts):
                raised.add(flag)
        except Skipped:  # noqa: PERF203  # each of them on its own
            skipped.append(flag)
    return raised, tuple(skipped)
