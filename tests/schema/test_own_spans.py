"""What our own SDK writes (DESIGN, "Attributes that the SDK writes") lands in the columns of the contract."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from schema.bodies import MILLISECOND, SECOND, Span, Value, traces

if TYPE_CHECKING:
    from schema.conftest import Store

_ATTRIBUTES: dict[str, Value] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "Claude-Sonnet-4-5",
    "gen_ai.request.stream": True,
    "gen_ai.response.model": "claude-sonnet-4-5-20250929",
    "gen_ai.response.id": "msg_01",
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.usage.input_tokens": 1209,
    "gen_ai.usage.output_tokens": 393,
    "gen_ai.usage.cache_read.input_tokens": 1000,
    "gen_ai.usage.cache_write.input_tokens": 188,
    "gen_ai.usage.reasoning.output_tokens": 90,
    "gen_ai.usage.audio.input_tokens": 7,
    "gen_ai.usage.audio.output_tokens": 3,
    "gen_ai.prompt.name": "summarise",
    "gen_ai.prompt.version": "7",
    "gen_ai.prompt.variable.text": "a mail",
    "gen_ai.conversation.id": "thread-1",
    "user.id": "hash-of-user",
    "session.id": "session-1",
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hello"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"Hi"}]}]',
    "promptspan.feature": "inbox-summary",
    "promptspan.tenant": "acme",
    "promptspan.prompt.template_hash": "ab" * 32,
    "promptspan.prompt.template": "Summarise: {text}",
    "promptspan.prompt.owner": "team-inbox",
    "promptspan.safety.flags": ["pii", "refusal"],
    "promptspan.usage.source": "provider",
    "promptspan.usage.cache_write_1h.input_tokens": 40,
    "promptspan.cost.reported_usd": 0.007053,
    "promptspan.service_tier": "priority",
    "promptspan.attempt": 2,
    "promptspan.cached": True,
    "promptspan.context.tokens": 512,
    "promptspan.tags": ["blue"],
}

_EXPECTED = {
    "operation": "chat",
    "provider": "anthropic",
    "request_model": "claude-sonnet-4-5",
    "response_model": "claude-sonnet-4-5-20250929",
    "response_id": "msg_01",
    "streaming": True,
    "finish_reasons": ["stop", "length"],
    "ttft_ms": 250.0,
    "duration_ms": 800.0,
    "input_tokens": 1209,
    "output_tokens": 393,
    "cache_read_tokens": 1000,
    "cache_write_5m_tokens": 148,
    "cache_write_1h_tokens": 40,
    "reasoning_tokens": 90,
    "audio_input_tokens": 7,
    "audio_output_tokens": 3,
    "usage_source": "provider",
    "reported_cost_usd": Decimal("0.007053000"),
    "service_tier": "priority",
    "prompt_name": "summarise",
    "prompt_version": "7",
    "template_hash": "ab" * 32,
    "user_id": "hash-of-user",
    "session_id": "session-1",
    "feature": "inbox-summary",
    "tenant": "acme",
    "safety_flags": ["pii", "refusal"],
    "tags": ["blue"],
    "attempt": 2,
    "cached": True,
    "billable": True,
    "status": "ok",
    "error_type": "",
    "service": "inbox",
    "environment": "prod",
    "instrumentation": "promptspan",
    "sdk_version": "1.0",
}


def test_every_attribute_has_its_column(store: Store) -> None:
    span = Span(_ATTRIBUTES, parent_span_id="00f067aa0ba902b7")
    store.land(traces(span))
    assert store.call(", ".join(_EXPECTED)) == _EXPECTED
    assert store.call("trace_id, span_id, parent_span_id") == {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": "00f067aa0ba902b7",
    }
    assert store.value("SELECT toUnixTimestamp64Nano(ts) FROM llm_calls") == span.start_ns


def test_what_has_no_column_stays_in_attributes_and_texts_do_not(store: Store) -> None:
    store.land(traces(Span(_ATTRIBUTES)))
    assert store.call("attributes")["attributes"] == {
        "gen_ai.prompt.variable.text": "a mail",
        "promptspan.context.tokens": "512",
    }
    assert store.rows("SELECT input_text, output_text FROM llm_texts") == [
        (_ATTRIBUTES["gen_ai.input.messages"], _ATTRIBUTES["gen_ai.output.messages"])
    ]


def test_a_template_is_kept_once_with_when_it_was_seen(store: Store) -> None:
    first = Span(_ATTRIBUTES)
    later = Span(
        {**_ATTRIBUTES, "promptspan.prompt.owner": "team-mail"}, start_ns=first.start_ns + 5 * SECOND
    )
    store.land(traces(first))
    store.land(traces(later))
    assert store.rows(
        "SELECT prompt_name, prompt_version, template_hash, template, owner, "
        "toUnixTimestamp64Nano(first_seen), toUnixTimestamp64Nano(last_seen) FROM prompt_templates FINAL"
    ) == [("summarise", "7", "ab" * 32, "Summarise: {text}", "team-mail", first.start_ns, later.start_ns)]


def test_a_version_that_is_not_given_is_the_beginning_of_the_templates_hash(store: Store) -> None:
    attributes = {key: value for key, value in _ATTRIBUTES.items() if key != "gen_ai.prompt.version"}
    store.land(traces(Span(attributes)))
    assert store.call("prompt_version") == {"prompt_version": "abababababab"}


@pytest.mark.parametrize("status", ["ok", "error", "cancelled", "incomplete"])
def test_the_sdks_own_word_for_the_outcome_counts(store: Store, status: str) -> None:
    failed = status in ("error", "cancelled")
    store.land(traces(Span({**_ATTRIBUTES, "promptspan.status": status}, status_code=2 if failed else 0)))
    assert store.call("status, output_tokens") == {"status": status, "output_tokens": 393}


def test_a_wrapper_is_there_and_is_not_billed(store: Store) -> None:
    call = Span(
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5}
    )
    wrapper = Span(
        {
            "gen_ai.operation.name": "invoke_workflow",
            "promptspan.feature": "inbox",
            "gen_ai.prompt.name": "p",
        },
        trace_id=call.trace_id,
    )
    call.parent_span_id = wrapper.span_id
    store.land(traces(wrapper, call))
    assert store.rows(
        "SELECT operation, billable, input_tokens, feature FROM llm_calls ORDER BY operation"
    ) == [
        ("chat", True, 5, ""),
        ("invoke_workflow", False, None, "inbox"),
    ]


def test_spans_that_are_no_calls_are_in_the_waterfall_alone(store: Store) -> None:
    http = Span(
        {"http.request.method": "POST", "url.full": "https://api.openai.com/v1/chat"},
        name="POST",
        scope="http",
    )
    store.land(traces(http))
    assert store.rows("SELECT count() FROM llm_calls") == [(0,)]
    assert store.rows("SELECT trace_id, span_id, name, kind, service, duration_ms, scope FROM spans") == [
        (http.trace_id, http.span_id, "POST", "Client", "inbox", 800.0, "http")
    ]


def test_a_span_is_visible_when_the_landing_returns(store: Store) -> None:
    before = datetime.now(timezone.utc)
    store.land(traces(Span(_ATTRIBUTES, duration_ns=3 * MILLISECOND)))
    (ts,) = store.rows("SELECT ts FROM llm_calls")[0]
    assert 50 < (before - ts).total_seconds() < 300
