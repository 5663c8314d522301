"""Errors in the words and shapes of the providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptspan_server.demo.recording import Fault

_STATUS = {"bad_request": 400, "rate_limited": 429, "server_error": 500}

_OPENAI: dict[str, tuple[str, str | None, str]] = {
    "bad_request": (
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context is 128000.",
    ),
    "rate_limited": (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached: limit 500, used 500, requested 1.",
    ),
    "server_error": ("server_error", None, "The server had an error while processing your request."),
}
# Google's status, Bedrock's type.
_NAMES: dict[str, tuple[str, str]] = {
    "bad_request": ("INVALID_ARGUMENT", "ValidationException"),
    "rate_limited": ("RESOURCE_EXHAUSTED", "ThrottlingException"),
    "server_error": ("INTERNAL", "InternalServerException"),
}
_ANTHROPIC: dict[str, tuple[str, str]] = {
    "bad_request": ("invalid_request_error", "prompt is too long: 213450 tokens > 200000 maximum"),
    "rate_limited": ("rate_limit_error", "This request would exceed your organization's rate limit."),
    "server_error": ("api_error", "Internal server error"),
}


def fault_reply(
    provider: str, fault: Fault, *, retry_after_s: float, message: str | None = None
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of an error; `message` replaces the provider's usual words."""
    headers = {"retry-after": f"{retry_after_s:g}"} if fault == "rate_limited" else {}
    if provider == "anthropic":
        kind, text = _ANTHROPIC[fault]
        error: dict[str, Any] = {"type": kind, "message": message or text}
        return _STATUS[fault], headers, {"type": "error", "error": error, "request_id": "req_replayed"}
    kind, code, text = _OPENAI[fault]
    if provider == "google":
        status = {"code": _STATUS[fault], "message": message or text, "status": _NAMES[fault][0]}
        return _STATUS[fault], headers, {"error": status}
    if provider == "bedrock":
        return _STATUS[fault], headers | {"x-amzn-errortype": _NAMES[fault][1]}, {"message": message or text}
    if provider == "ollama":
        return _STATUS[fault], headers, {"error": message or text}
    if provider in ("cohere", "mistral"):
        return _STATUS[fault], headers, {"message": message or text}
    return (
        _STATUS[fault],
        headers,
        {"error": {"message": message or text, "type": kind, "param": None, "code": code}},
    )
