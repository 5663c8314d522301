"""The embeddings shape of OpenAI and of those who copy it. The vectors themselves are never looked at."""

from __future__ import annotations

from typing import Any

from promptspan import _attributes as a
from promptspan._reading import Reading, Usage

from ._chat_completions import reported_cost
from ._fields import count, get, items, text

SHAPE = "embeddings"


def matches(response: Any) -> bool:
    """Whether ``response`` is a list of embeddings."""
    data = items(response, "data")
    return bool(data) and get(data[0], "embedding") is not None


def read(response: Any) -> Reading:
    """Read a list of embeddings."""
    tokens = count(response, "usage", "prompt_tokens")
    return Reading(
        shape=SHAPE,
        operation=a.OPERATION_EMBEDDINGS,
        provider="openai",
        model=text(response, "model"),
        response_id=text(response, "id"),
        usage=None if tokens is None else Usage(input_tokens=tokens, output_tokens=0),
        reported_cost_usd=reported_cost(get(response, "usage")),
    )
