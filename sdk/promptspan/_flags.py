"""Safety flags: what the provider said of its answer, and what the answer itself shows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from . import _attributes as a
from ._redaction import MOST_SEARCHED, contains_any, redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._reading import Reading

# Sentences with which a text tries to take over the model that reads it. Few and literal: a flag is a hint to
# look.
_INJECTION = re.compile(
    r"(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|your\s+)*(?:previous|prior|above|earlier|preceding)\s+"
    r"(?:instructions?|prompts?|rules|directions|messages)"
    r"|(?:reveal|print|repeat|show)\s+(?:me\s+)?(?:your|the)\s+(?:system|hidden|initial)\s+(?:prompt|instructions?)"
    r"|you are now (?:in\s+)?(?:dan|developer\s+mode|jailbroken)"
    r"|<\|im_start\|>\s*system",
    re.IGNORECASE,
)
# One of these is in whatever the pattern finds; the pattern alone is slow.
_INJECTION_WORDS = ("instruction", "prompt", "rules", "directions", "messages", "you are now", "im_start")
_OPENINGS = ("i'm sorry, but i can", "i can't assist", "i cannot assist")
_JSON_FENCE = re.compile(r"\A```(?:json)?\s*|\s*```\Z")


def of_reading(reading: Reading | None, *, finished: bool, wants_json: bool) -> set[str]:
    """Flags of an answer, without what redaction finds in its text.

    Args:
        reading: What is known of it.
        finished: Whether the call came to its end without an error.
        wants_json: Whether the answer should be JSON.
    """
    flags: set[str] = set()
    if reading is None or reading.operation == a.OPERATION_EMBEDDINGS:
        return flags
    if reading.refused:
        flags.add(a.FLAG_REFUSAL)
    if reading.filtered:
        flags.add(a.FLAG_CONTENT_FILTER)
    if reading.truncated:
        flags.add(a.FLAG_TRUNCATED)
    text = reading.text
    # Models refuse in words, too, where the provider has no field for it. Only how an answer begins is looked
    # at.
    if text[:80].lstrip().lower().replace("\u2019", "'").startswith(_OPENINGS):
        flags.add(a.FLAG_REFUSAL)
    if finished and reading.output and not any(message.says_something for message in reading.output):
        flags.add(a.FLAG_EMPTY_OUTPUT)
    if finished and wants_json and text and not _is_json(text):
        flags.add(a.FLAG_INVALID_JSON)
    return flags


def of_text(text: str) -> set[str]:
    """Flags of secrets and personal data in a text that does not leave the process."""
    flags: set[str] = set()
    redact(text, flags)
    return flags


def of_input(texts: Iterable[str]) -> set[str]:
    """Flags of what the model was given, without what redaction finds in it."""
    tries = any(
        contains_any(part.lower(), _INJECTION_WORDS) and _INJECTION.search(part)
        for part in (text[:MOST_SEARCHED] for text in texts)
    )
    return {a.FLAG_INJECTION} if tries else set()


def _is_json(text: str) -> bool:
    try:
        json.loads(_JSON_FENCE.sub("", text.strip()))
    except (ValueError, RecursionError):
        return False
    return True
