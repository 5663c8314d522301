"""What providers' responses come wrapped in: HTTP replies, raw replies of clients, batch results."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from promptspan._kinds import dataclass_fields, is_dict, is_list, is_text, listed, mapped, type_of

from ._fields import fields_of, get, text

if TYPE_CHECKING:
    from collections.abc import Iterable

# Where applications and clients put a response beside what they made of it.
_INSIDE = ("response", "completion", "raw", "raw_response", "message", "result", "http_response", "data")
_MAX_ITEMS = 8
_MAX_BODY_BYTES = 2_000_000
TIER_OF_BATCHES = "batch"


def inside(value: Any) -> Iterable[Any]:
    """What a response may be, in a tuple, list, dictionary or object around it."""
    if is_dict(value):
        return list(mapped(value).values())[:_MAX_ITEMS]
    if is_list(value):
        return listed(value)[:_MAX_ITEMS]
    fields = fields_of(value)
    if names := dataclass_fields(type_of(value)):
        return [fields.get(name) for name in names[:_MAX_ITEMS]]
    return [inner for name in _INSIDE if (inner := fields.get(name)) is not None]


def batch_result(value: Any) -> Any:
    """The response in a line of OpenAI's or Anthropic's batch results; ``None`` if it is none."""
    fields = fields_of(value)
    if fields.get("custom_id") is None:
        return None
    body = get(fields.get("response"), "body")
    return get(fields.get("result"), "message") if body is None else body


def amazon_event(message: Any) -> Any:
    """The event in a raw message of Amazon's event stream (botocore's class), in botocore's form."""
    payload = get(message, "payload")
    name = text(message, "headers", ":event-type")
    if not issubclass(type(payload), bytes) or name is None:
        return None
    try:
        return {name: _with_bytes(json.loads(payload))}
    except (ValueError, RecursionError):
        return {name: {}}


def _with_bytes(event: Any) -> Any:
    data = get(event, "bytes")
    return {"bytes": base64.b64decode(data)} if is_text(data) else event


def json_body(value: Any) -> Any:
    """The JSON of an HTTP reply of httpx or requests that the application has read; reads nothing itself."""
    try:
        fields: Any = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001  # without one, or a property of somebody else's
        return None
    return json_of(fields.get("_content") if is_dict(fields) else None)


def json_of(body: Any) -> Any:
    """The JSON in bytes; ``None`` if they hold none."""
    if (
        not issubclass(type(body), bytes)
        or len(body) > _MAX_BODY_BYTES
        or not body[:64].lstrip().startswith(b"{")
    ):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
