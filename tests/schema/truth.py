"""What a store must say about a capture: the truth of the double, in the columns of `llm_costs`."""

from __future__ import annotations

import dataclasses
from typing import Any

from schema.capturing.replies import Reply

Json = dict[str, Any]

PROVIDERS = {
    "chat": "openai",
    "completions": "openai",
    "responses": "openai",
    "embeddings": "openai",
    "messages": "anthropic",
    "gemini": "gcp.gemini",
    "converse": "aws.bedrock",
    "invoke": "aws.bedrock",
    "mistral": "mistral_ai",
    "groq": "groq",
    "ollama": "ollama",
    "cohere": "cohere",
}
USAGE = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "write_5m",
    "cache_write_1h_tokens": "write_1h",
    "reasoning_tokens": "reasoning",
    "audio_input_tokens": "audio_in",
    "audio_output_tokens": "audio_out",
}
COLUMNS = (
    "operation",
    "provider",
    "request_model",
    "response_model",
    "response_id",
    "finish_reasons",
    "streaming",
    "status",
    "error_type",
    "service_tier",
    "reported_cost_usd",
    "usage_source",
    "ttft_ms",
    *USAGE,
)
_OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}
# Answers without an id of their own.
_NAMELESS = {"embeddings", "converse", "ollama"}
# Gemini stops for a call of a tool as for anything.
_REASONS = {("gemini", "tool_calls"): "stop"}
_HOSTS = {"azure": "azure.ai.openai", "azure_stream": "azure.ai.openai", "openrouter": "openrouter"}


def logical_calls(scenario: str, capture: Json) -> list[Json]:
    """The model calls that the application made: of a request that its client repeated, the last."""
    calls: list[Json] = capture["calls"]
    wanted = capture["expected_calls"]
    return [_expected(scenario, capture, call) for call in (calls if wanted is None else calls[-wanted:])]


def differences(truth: Json, row: Json) -> Json:
    """What a row says otherwise, by column: None for what it does not say, NULL or empty."""
    found: Json = {}
    for column, wanted in truth.items():
        said = row[column]
        if said == wanted or (not said and not wanted and said is not False):
            continue
        if (
            column == "reported_cost_usd"
            and said is not None
            and wanted is not None
            and float(said) == wanted
        ):
            continue
        if column == "operation" and {said, wanted} == {"generate_content", "chat"}:
            continue  # the conventions have a name of its own for Google's
        if column == "status" and wanted == "incomplete" and said in {"error", "cancelled"}:
            continue
        found[column] = None if said in (None, "", []) else said
    if truth["status"] == "error" and not row["error_type"]:
        found["error_type"] = None
    if truth["streaming"] and truth["status"] == "ok" and row["ttft_ms"] is None:
        found["ttft_ms"] = None
    return found


def _expected(scenario: str, capture: Json, call: Json) -> Json:
    reply: Json = dataclasses.asdict(Reply(**call["reply"]))
    api: str = call["api"]
    failed = reply["status"] != 200
    ended: str = capture["ending"]
    known = call["sent_usage"] and not failed
    operation = _OPERATIONS.get(api, "chat")
    truth: Json = {
        "operation": operation,
        "provider": _HOSTS.get(scenario, PROVIDERS.get(api, "")),
        "request_model": call["model"],
        "response_model": "" if failed else reply["model"].lower(),
        "response_id": "" if failed or api in _NAMELESS else call["response_id"],
        "finish_reasons": []
        if failed or ended or operation == "embeddings"
        else [_REASONS.get((api, reply["finish"]), reply["finish"])] * reply["choices"],
        "streaming": call["stream"],
        "status": "error" if failed else "incomplete" if ended else "ok",
        "reported_cost_usd": reply["cost_usd"],
    }
    if reply["tier"]:
        truth["service_tier"] = reply["tier"]
    if not (ended and api == "messages"):  # Anthropic's streams tell the input at their beginning
        truth["usage_source"] = "provider" if known else "missing"
        truth |= {column: reply[field] if known else None for column, field in USAGE.items()}
    if api in {"messages", "invoke"}:
        truth["reasoning_tokens"] = None  # not in Anthropic's usage
    if operation == "embeddings" and known:
        truth["output_tokens"] = 0
    return truth
