"""Server-sent events, cut where a network would cut them: anywhere."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def data_event(data: dict[str, Any]) -> bytes:
    """As OpenAI's chat completions: data alone."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def named_event(data: dict[str, Any]) -> bytes:
    """As Anthropic and OpenAI's responses: the type is the event's name too."""
    return b"event: " + str(data["type"]).encode() + b"\n" + data_event(data)


def cut_anywhere(events: Iterable[bytes], seed: str) -> Iterator[bytes]:
    """Mostly whole events, now and then several in one packet or one in two, within a letter if need be."""
    rng = random.Random(seed)
    held = b""
    for event in events:
        held += event
        fate = rng.random()
        if fate < 0.2:
            continue
        if fate < 0.35:
            at = rng.randrange(1, len(held))
            yield held[:at]
            held = held[at:]
            continue
        yield held
        held = b""
    if held:
        yield held
