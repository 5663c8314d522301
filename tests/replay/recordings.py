from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from promptspan_server.demo.recording import RecordedUsage, Recording, estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Recordings:
    """Finds the recorded call for a prompt; an unknown prompt gets a short made-up answer.

    Several recordings of one prompt take turns, in the order given, so that each is billed once a round.
    """

    def __init__(self, recorded: Iterable[Recording] = ()) -> None:
        by_model: defaultdict[tuple[str, str], list[Recording]] = defaultdict(list)
        by_text: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in recorded:
            text = prompt_text(recording.system, recording.input)
            by_model[recording.request_model, text].append(recording)
            by_text[text].append(recording)
        self._by_model = {key: itertools.cycle(found) for key, found in by_model.items()}
        self._by_text: dict[str, Iterator[Recording]] = {
            text: itertools.cycle(found) for text, found in by_text.items()
        }

    def answer(self, *, provider: str, model: str, text: str) -> Recording:
        turns = self._by_model.get((model, text)) or self._by_text.get(text)
        if turns is not None:
            return next(turns)
        answer = f"Noted: {' '.join(text.split())[:60]}"
        usage = RecordedUsage(
            input_tokens=estimate_tokens(text) + 7, output_tokens=estimate_tokens(answer) + 1
        )
        return Recording(
            prompt="unknown",
            version="0",
            id="unknown",
            provider=provider,
            request_model=model,
            response_model=model,
            system="",
            input=text,
            answer=answer,
            usage=usage,
            latency_ms=400.0,
            ttft_ms=200.0,
            finish_reason="stop",
        )


def prompt_text(*parts: str) -> str:
    """What a request asked, whichever API it came through."""
    return "\n\n".join(part.strip() for part in parts if part.strip())
