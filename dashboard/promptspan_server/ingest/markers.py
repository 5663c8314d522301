"""Markers by HTTP: `POST /v1/markers` with a JSON object, for pipelines that have curl and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.markers import read_marker, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.store.engine import Engine

MAX_BODY_BYTES = 64 << 10


def recorder(engine: Engine) -> Callable[[bytes], str]:
    """Return what records the marker of a request's body and returns its id."""

    def take(body: bytes) -> str:
        marker = read_marker(_object(body))
        with engine.handle() as handle:
            record(HandleExecutor(handle), marker)
        return marker.id

    return take


def _object(body: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is no JSON") from None
    if not isinstance(value, dict):
        raise ValueError(  # noqa: TRY004 - what the sender sent is wrong, not what our code passed
            'the body is no JSON object, such as {"text": "inbox-summary 7", "kind": "deploy"}'
        )
    return cast("dict[str, Any]", value)
