from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from promptspan_server.queries.call import CallDetail
from promptspan_server.queries.calls import MAX_ROWS, CallSearch
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.templates import Templates
from promptspan_server.queries.trace import CallScores, CallText, TraceSpans
from queries.live_store import ago

if TYPE_CHECKING:
    from typing import Any

    from queries.live_store import LiveStore

PROMPT = "calls"
DAY = TimeRange(ago(7), ago(6))
SCOPE = Scope(DAY, Filter(prompt=PROMPT))


@pytest.fixture(scope="module")
def told(live: LiveStore) -> dict[str, Any]:
    """Three calls: one fast, one slow with a flag, one failed; the slow one has text, spans and scores."""
    named = {"prompt_name": PROMPT, "prompt_version": "v1"}
    fast = live.call(ago(7, 1), **named, duration_ms=50.0)
    slow = live.call(
        ago(7, 2),
        **named,
        duration_ms=9_000.0,
        safety_flags=["pii"],
        response_id="chatcmpl-Slow",
        cache_read_tokens=300,
        cache_write_5m_tokens=200,
        reasoning_tokens=40,
        finish_reasons=["stop"],
        attributes={"tag": "x"},
    )
    failed = live.call(
        ago(7, 3), **named, status="error", error_type="RateLimitError", input_tokens=None, output_tokens=None
    )
    for row in (fast, slow, failed):
        live.insert("llm_calls", row)
    who = {"trace_id": slow["trace_id"], "span_id": slow["span_id"]}
    live.insert(
        "llm_texts",
        {**who, "ts": ago(7, 2), "input_text": "Where is the blue box?", "output_text": "On the roof."},
    )
    live.insert(
        "spans",
        {
            **who,
            "ts": ago(7, 2),
            "name": "chat",
            "duration_ms": 9_000.0,
            "parent_span_id": "f" * 16,
            "status": "Ok",
        },
    )
    live.insert(
        "spans",
        {
            "trace_id": slow["trace_id"],
            "span_id": "f" * 16,
            "ts": ago(7, 1, 59, 59),
            "name": "POST /ask",
            "duration_ms": 10_500.0,
            "attributes": {"http.route": "/ask"},
        },
    )
    score = {"name": "helpful", "value": 0.5, "label": "fair", "explanation": "half of it"}
    live.insert("scores", {**who, **score, "ts": ago(7, 5), "source_id": "1", "response_id": ""})
    live.insert(
        "scores",
        {
            **score,
            "trace_id": "",
            "span_id": "",
            "response_id": "chatcmpl-Slow",
            "ts": ago(7, 6),
            "source_id": "2",
            "value": None,
        },
    )
    return {"fast": fast, "slow": slow, "failed": failed}


def found(live: LiveStore, **conditions: Any) -> list[str]:
    return [row.trace_id for row in live.reader.ask(CallSearch(SCOPE, **conditions)).rows]


def test_calls_come_newest_first(live: LiveStore, told: dict[str, Any]) -> None:
    rows = live.reader.ask(CallSearch(SCOPE)).rows
    assert [row.trace_id for row in rows] == [told[name]["trace_id"] for name in ("failed", "slow", "fast")]
    failed, slow, fast = rows
    assert (failed.status, failed.error_type, failed.cost_usd, failed.price_status) == (
        *("error", "RateLimitError", None),
        "no_usage",
    )
    assert (slow.flags, slow.duration_ms, slow.at) == (("pii",), 9_000.0, ago(7, 2))
    assert (fast.input_tokens, fast.output_tokens, fast.price_status) == (1000, 100, "priced")
    assert isinstance(fast.cost_usd, Decimal)


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({"errors_only": True}, ["failed"]),
        ({"flag": "pii"}, ["slow"]),
        ({"flag": "nothing"}, []),
        ({"slower_than_ms": 5_000.0}, ["slow"]),
        ({"words": "BLUE box"}, ["slow"]),
        ({"words": "green"}, []),
        ({"identifier": "chatcmpl-Slow"}, ["slow"]),
        ({"order": "slowest", "slower_than_ms": 60.0}, ["slow", "failed"]),
        ({"order": "dearest", "errors_only": True}, ["failed"]),
    ],
)
def test_a_search_finds_what_it_says(
    live: LiveStore, told: dict[str, Any], conditions: dict[str, Any], names: list[str]
) -> None:
    assert found(live, **conditions) == [told[name]["trace_id"] for name in names]


def test_a_call_is_found_by_any_of_its_ids_however_they_are_typed(
    live: LiveStore, told: dict[str, Any]
) -> None:
    slow = told["slow"]
    assert found(live, identifier=slow["trace_id"].upper()) == [slow["trace_id"]]
    assert found(live, identifier=slow["span_id"].upper()) == [slow["trace_id"]]


def test_calls_of_unknown_cost_come_last_among_the_dearest(live: LiveStore, told: dict[str, Any]) -> None:
    assert found(live, order="dearest")[-1] == told["failed"]["trace_id"]


def test_a_list_ends_after_fifty_and_one_more_says_so(live: LiveStore) -> None:
    busy = [live.call(ago(5, second=i), prompt_name="busy") for i in range(MAX_ROWS + 5)]
    live.insert("llm_calls", *busy)
    scope = Scope(TimeRange(ago(5), ago(4)), Filter(prompt="busy"))
    assert len(live.reader.ask(CallSearch(scope)).rows) == MAX_ROWS + 1


def test_one_call_tells_its_buckets_which_add_up_to_its_tokens_and_its_cost(
    live: LiveStore, told: dict[str, Any]
) -> None:
    slow = told["slow"]
    call = live.reader.ask(CallDetail(slow["trace_id"], slow["span_id"], DAY)).rows[0]
    assert {bucket.name: bucket.tokens for bucket in call.buckets} == {
        "input, not cached": 500,
        "input, read from cache": 300,
        "input, written to cache (5 min)": 200,
        "output": 60,
        "output, reasoning": 40,
    }
    assert sum(bucket.tokens for bucket in call.buckets) == 1100
    assert call.price.price_id == "openai/gpt-4o-mini"
    assert call.price_status == "priced"
    assert (call.context_window, call.context_window_share) == (128_000, 1100 / 128_000)
    assert all(bucket.usd is not None for bucket in call.buckets)
    amount = sum((bucket.usd or Decimal(0) for bucket in call.buckets), Decimal(0))
    assert amount.quantize(Decimal("1e-9")) == call.cost_usd
    assert (call.prompt, call.version, call.flags, call.finish_reasons) == (PROMPT, "v1", ("pii",), ("stop",))
    assert call.attributes == {"tag": "x"}
    assert call.at == ago(7, 2)


def test_a_call_without_usage_has_no_buckets_and_no_cost(live: LiveStore, told: dict[str, Any]) -> None:
    failed = told["failed"]
    call = live.reader.ask(CallDetail(failed["trace_id"], failed["span_id"], DAY)).rows[0]
    assert (call.buckets, call.cost_usd, call.price_status) == ((), None, "no_usage")


def test_a_model_without_a_price_has_buckets_without_amounts(live: LiveStore) -> None:
    row = live.call(
        ago(7, 4), prompt_name="priceless", request_model="nobody-knows", response_model="nobody-knows"
    )
    live.insert("llm_calls", row)
    call = live.reader.ask(CallDetail(row["trace_id"], "", DAY)).rows[0]
    assert (call.cost_usd, call.price_status, call.price.price_id, call.price.valid_from) == (
        *(None, "unpriced"),
        *("", None),
    )
    assert [(bucket.tokens, bucket.usd) for bucket in call.buckets] == [(1000, None), (100, None)]


def test_a_trace_without_a_span_gives_its_first_model_call(live: LiveStore, told: dict[str, Any]) -> None:
    slow = told["slow"]
    assert live.reader.ask(CallDetail(slow["trace_id"], "", DAY)).rows[0].span_id == slow["span_id"]


def test_spans_come_in_order_of_start(live: LiveStore, told: dict[str, Any]) -> None:
    spans = live.reader.ask(TraceSpans(told["slow"]["trace_id"], DAY)).rows
    assert [span.name for span in spans] == ["POST /ask", "chat"]
    assert spans[0].attributes == {"http.route": "/ask"}
    assert spans[1].parent_span_id == spans[0].span_id


def test_text_is_read_only_for_its_own_call_and_cut(live: LiveStore, told: dict[str, Any]) -> None:
    slow, fast = told["slow"], told["fast"]
    text = live.reader.ask(CallText(slow["trace_id"], slow["span_id"], DAY)).rows[0]
    assert (text.input_text, text.output_text) == ("Where is the blue box?", "On the roof.")
    cut = live.reader.ask(CallText(slow["trace_id"], slow["span_id"], DAY, max_characters=5)).rows[0]
    assert cut.input_text == "Where"
    assert live.reader.ask(CallText(fast["trace_id"], fast["span_id"], DAY)).rows == ()


def test_scores_are_found_by_span_and_by_response(live: LiveStore, told: dict[str, Any]) -> None:
    slow, fast = told["slow"], told["fast"]
    scores = live.reader.ask(CallScores(slow["trace_id"], slow["span_id"], "chatcmpl-Slow", DAY)).rows
    assert [(score.name, score.value, score.at) for score in scores] == [
        ("helpful", None, ago(7, 6)),
        ("helpful", 0.5, ago(7, 5)),
    ]
    assert live.reader.ask(CallScores(fast["trace_id"], fast["span_id"], "", DAY)).rows == ()


def test_templates_come_newest_first_with_owner_and_description(live: LiveStore) -> None:
    for version, day in (("v1", 8), ("v2", 7)):
        live.insert(
            "prompt_templates",
            {
                "prompt_name": "templated",
                "prompt_version": version,
                "template_hash": version * 32,
                "template": f"Hello {version}\n{{{{ name }}}}",
                "owner": "team@example.com",
                "description": "greets",
                "first_seen": ago(day),
                "last_seen": ago(6),
            },
        )
    newest, oldest = live.reader.ask(Templates("templated")).rows
    assert (newest.version, oldest.version) == ("v2", "v1")
    assert newest.template == "Hello v2\n{{ name }}"
    assert (newest.owner, newest.description, newest.first_seen) == ("team@example.com", "greets", ago(7))
    assert live.reader.ask(Templates("unheard of")).rows == ()
