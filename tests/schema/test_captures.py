"""Real instrumentations' spans against the truth of what they called (../shared/data/captures).

Wherever a span carries a fact in any form, `llm_calls_once` says it; what it does not carry is NULL or empty.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from conftest import SHARED_DATA

if TYPE_CHECKING:
    from pathlib import Path

    from schema.conftest import Store

_FOLDER = SHARED_DATA / "captures"

# What these instrumentations did not record, by name. Without lifetimes cache writes are one number.
_GAPS: dict[tuple[str, str], set[str]] = {
    ("langfuse__openai_dropin", "chat_basic"): {"request_model", "response_id", "finish_reasons"},
    ("langfuse__openai_dropin", "chat_cached_reasoning"): {"request_model", "response_id", "finish_reasons"},
    ("langfuse__openai_dropin", "chat_stream_usage"): {"request_model", "response_id"},
    ("langfuse__openai_dropin", "embeddings"): {"request_model"},
    ("openlit__default", "chat_cached_reasoning"): {"reasoning_tokens"},
    ("openlit__default", "chat_stream_usage"): {"reasoning_tokens"},
    ("openlit__default", "anthropic_cached"): {"cache_write_1h_tokens"},
    ("openllmetry__default", "chat_stream_usage"): {"reasoning_tokens"},
    ("openllmetry__default", "anthropic_cached"): {"cache_write_1h_tokens"},
    ("otel-genai__default", "anthropic_cached"): {"cache_write_1h_tokens"},
    ("otel-genai__content_span", "anthropic_cached"): {"cache_write_1h_tokens"},
}

# "stop = end_turn, tool_calls = tool_use" (CONVENTIONS, Counting once, rule 7).
_SAME_REASON = {"end_turn": "stop", "tool_use": "tool_calls"}

_USAGE = {
    "input_tokens": "input_tokens_total",
    "output_tokens": "output_tokens_total",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_1h_tokens": "cache_write_1h_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
    "audio_input_tokens": "audio_input_tokens",
    "audio_output_tokens": "audio_output_tokens",
}


def _manifest() -> dict[str, Any]:
    path = _FOLDER / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"entries": []}


MANIFEST = _manifest()
ENTRIES: list[dict[str, Any]] = MANIFEST["entries"]


def _name(entry: dict[str, Any]) -> str:
    return f"{entry['instrumentation']}-{entry['scenario']}"


def _billed(store: Store) -> list[dict[str, Any]]:
    columns = [
        "operation",
        "provider",
        "request_model",
        "response_model",
        "response_id",
        *_USAGE,
        "cache_write_5m_tokens",
        "finish_reasons",
        "status",
        "error_type",
        "streaming",
        "ttft_ms",
        "duration_ms",
        "usage_source",
    ]
    rows = store.rows(f"SELECT {', '.join(columns)} FROM llm_calls_once WHERE billable ORDER BY ts")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _expected(call: dict[str, Any]) -> dict[str, Any]:
    usage: dict[str, int] = call["usage"] or {}
    reasons: list[str] = call["finish_reasons"] or []
    return {
        "operation": call["operation"],
        "provider": call["provider"],
        "request_model": call["request_model"],
        "response_model": call["response_model"] or "",
        "response_id": call["response_id"] or "",
        "finish_reasons": [_SAME_REASON.get(reason, reason) for reason in reasons],
        "streaming": call["streaming"],
        **{ours: usage.get(theirs) for ours, theirs in _USAGE.items()},
    }


@pytest.mark.shared_data
def test_the_manifest_is_read(shared_data: Path) -> None:
    assert len(ENTRIES) == 40, shared_data


@pytest.mark.shared_data
@pytest.mark.parametrize("entry", ENTRIES, ids=_name)
def test_a_capture_says_what_was_called(store: Store, entry: dict[str, Any]) -> None:
    store.land((_FOLDER / entry["traces"]).read_bytes())
    billed = _billed(store)
    gaps = _GAPS.get((entry["instrumentation"], entry["scenario"]), set())
    assert len(billed) == entry["truth"]["n_logical_model_calls"]
    for row, call in zip(billed, entry["truth"]["calls"], strict=True):
        for column, expected in _expected(call).items():
            found = row[column]
            if column in gaps:
                assert found in (None, "", []), (
                    f"{column} is recorded after all: take it off the list of gaps"
                )
            elif expected == 0 and column in _USAGE:
                assert found in (None, 0), column
            else:
                assert found == expected, column
        if call["error"]:
            assert row["status"] == "error"
            assert row["error_type"] in call["error"]["acceptable_error_type"]
            assert row["usage_source"] == "missing"
        else:
            assert row["status"] == "ok"
            assert row["error_type"] == ""
            assert row["usage_source"] == "provider"
            writes = (row["cache_write_5m_tokens"] or 0) + (row["cache_write_1h_tokens"] or 0)
            assert writes == call["usage"]["cache_write_input_tokens"]
        if call["streaming"]:
            assert 0 < row["ttft_ms"] < row["duration_ms"]
        else:
            assert row["ttft_ms"] is None


@pytest.mark.shared_data
@pytest.mark.parametrize("entry", ENTRIES, ids=_name)
def test_a_captures_buckets_cost_what_the_provider_billed(store: Store, entry: dict[str, Any]) -> None:
    store.land((_FOLDER / entry["traces"]).read_bytes())
    for row, call in zip(_billed(store), entry["truth"]["calls"], strict=True):
        if call["usage"] is None:
            assert row["input_tokens"] is None
            continue
        if "cache_write_1h_tokens" in _GAPS.get((entry["instrumentation"], entry["scenario"]), set()):
            continue
        price = MANIFEST["fixture_prices_usd_per_1m"][call["price_key"]]
        tokens: dict[str, int] = {name: row[name] or 0 for name in (*_USAGE, "cache_write_5m_tokens")}
        buckets = {
            "cache_read": tokens["cache_read_tokens"],
            "cache_write_5m": tokens["cache_write_5m_tokens"],
            "cache_write_1h": tokens["cache_write_1h_tokens"],
            "output": tokens["output_tokens"],
        }
        buckets["input"] = tokens["input_tokens"] - sum(buckets.values()) + buckets["output"]
        parts = [Decimal(count) * Decimal(str(price[name])) for name, count in buckets.items()]
        cost = sum(parts, Decimal(0)) / 1_000_000
        assert abs(cost - Decimal(str(call["expected_cost_usd"]))) < Decimal("1e-9")


@pytest.mark.shared_data
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if "content" in _name(entry)], ids=_name)
def test_captured_texts_hold_the_prompt_and_the_answer(store: Store, entry: dict[str, Any]) -> None:
    store.land((_FOLDER / entry["traces"]).read_bytes())
    (call,) = entry["truth"]["calls"]
    texts = store.rows("SELECT input_text, output_text FROM llm_texts FINAL")
    if call["operation"] == "embeddings":
        assert texts == []
        return
    ((input_text, output_text),) = texts
    assert all(text in input_text for text in call["prompt_texts"])
    assert (call["completion_text"] or "") in output_text
