"""One call is billed once, whoever else wrote of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schema.bodies import MILLISECOND, SECOND, Span, Value, span_number, traces

if TYPE_CHECKING:
    from schema.conftest import Store

_BILLED = (
    "SELECT instrumentation, input_tokens, output_tokens FROM llm_calls_once "
    "WHERE billable ORDER BY instrumentation"
)


def _call(scope: str, *, inp: int = 120, out: int = 45, response_id: str = "", **span: object) -> Span:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.usage.input_tokens": inp,
        "gen_ai.usage.output_tokens": out,
    }
    if response_id:
        attributes["gen_ai.response.id"] = response_id
    return Span(attributes, scope=scope, **span)  # pyright: ignore[reportArgumentType]


def test_two_root_traces_of_one_answer_are_one_call_and_the_richer_row_stays(store: Store) -> None:
    poor = _call("anthropic", response_id="msg_1")
    rich = _call("opentelemetry", response_id="msg_1")
    rich.attributes = {**rich.attributes, "gen_ai.usage.cache_read.input_tokens": 100}
    store.land(traces(poor))
    store.land(traces(rich))
    assert store.rows(_BILLED) == [("opentelemetry", 120, 45)]
    assert store.value("SELECT count() FROM llm_calls_once") == 2


def test_a_row_with_usage_is_richer_than_one_without(store: Store) -> None:
    with_usage = _call("aaa", response_id="msg_1")
    without = Span(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.response.model": "gpt-4o",
            "gen_ai.response.id": "msg_1",
            "promptspan.feature": "inbox",
            "gen_ai.prompt.name": "p",
        },
        scope="zzz",
    )
    store.land(traces(with_usage, without))
    assert store.rows(_BILLED) == [("aaa", 120, 45)]


def test_the_same_answer_in_another_service_is_another_call(store: Store) -> None:
    store.land(traces(_call("one", response_id="msg_1")))
    store.land(traces(_call("two", response_id="msg_1"), resource={"service.name": "other"}))
    assert len(store.rows(_BILLED)) == 2


def test_a_span_around_another_with_its_usage_is_the_same_call(store: Store) -> None:
    outer = _call("langchain", duration_ns=SECOND)
    inner = _call(
        "openai",
        trace_id=outer.trace_id,
        start_ns=outer.start_ns + MILLISECOND,
        duration_ns=900 * MILLISECOND,
    )
    inner.parent_span_id = outer.span_id
    store.land(traces(inner))
    store.land(traces(outer))
    assert len(store.rows(_BILLED)) == 1


def test_two_instrumentations_of_two_equal_calls_at_once_leave_two(store: Store) -> None:
    trace_id = span_number() * 2
    start = _call("x").start_ns
    spans = [
        _call(scope, trace_id=trace_id, start_ns=start + offset, duration_ns=SECOND - 2 * offset)
        for offset in (0, MILLISECOND)
        for scope in ("langchain", "openai")
    ]
    store.land(traces(*spans))
    assert len(store.rows(_BILLED)) == 2


def test_calls_after_one_another_are_different_calls_whatever_their_usage(store: Store) -> None:
    first = _call("langchain", duration_ns=SECOND)
    second = _call("openai", trace_id=first.trace_id, start_ns=first.start_ns + 2 * SECOND)
    store.land(traces(first, second))
    assert len(store.rows(_BILLED)) == 2


def test_a_span_whose_usage_is_the_sum_of_those_within_is_their_sum(store: Store) -> None:
    total = _call("agents", inp=300, out=30, duration_ns=10 * SECOND)
    parts = [
        _call("openai", inp=inp, out=10, trace_id=total.trace_id, start_ns=total.start_ns + n * SECOND)
        for n, inp in enumerate((50, 100, 150), start=1)
    ]
    store.land(traces(total, *parts))
    assert store.rows(_BILLED) == [("openai", 50, 10), ("openai", 100, 10), ("openai", 150, 10)]


def test_one_instrumentation_alone_is_never_doubted(store: Store) -> None:
    spans = [_call("openai", response_id="same") for _ in range(3)]
    store.land(traces(*spans))
    assert len(store.rows(_BILLED)) == 3


@pytest.mark.parametrize("table", ["llm_calls_once", "llm_calls FINAL"])
def test_a_span_sent_twice_is_one_row(store: Store, table: str) -> None:
    body = traces(_call("openai"), _call("openai"))
    store.land(body, token="a")
    store.land(body, token="b")
    assert store.value(f"SELECT count() FROM {table}") == 2


def test_roots_of_one_call_that_share_no_id_are_one_call(store: Store) -> None:
    # Neither is current while the other begins: OpenLLMetry beside Langfuse's client, without a parent.
    known = _call("openai", response_id="chatcmpl-1", duration_ns=SECOND)
    nameless = [
        _call("langfuse", start_ns=known.start_ns - MILLISECOND, duration_ns=SECOND),
        _call("langfuse", start_ns=known.start_ns + 2 * SECOND, duration_ns=SECOND),
    ]
    store.land(traces(known, *nameless))
    assert store.rows(_BILLED) == [("langfuse", 120, 45), ("openai", 120, 45)]


def test_two_spans_of_a_call_that_failed_are_one_call_although_nothing_names_it(store: Store) -> None:
    attributes: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    outer = Span({**attributes, "error.type": "429"}, scope="a", status_code=2)
    inner = Span(
        attributes,
        scope="b",
        status_code=2,
        start_ns=outer.start_ns + MILLISECOND,
        duration_ns=outer.duration_ns - 2 * MILLISECOND,
    )
    store.land(traces(outer, inner))
    assert store.rows("SELECT error_type FROM llm_calls_once WHERE billable") == [("429",)]


def test_a_stream_that_was_opened_and_left_is_a_call_until_its_log_comes(store: Store) -> None:
    common: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    opened = Span({**common, "logfire.span_type": "span"}, scope="logfire.openai")
    store.land(traces(opened))
    billed = "SELECT span_id, status, input_tokens FROM llm_calls_once WHERE billable"
    assert store.rows(billed) == [(opened.span_id, "incomplete", None)]
    log = Span(
        {**common, "logfire.span_type": "log", "duration": 2.0, "gen_ai.usage.input_tokens": 7},
        scope="logfire.openai",
        start_ns=opened.start_ns + 3 * SECOND,
        duration_ns=0,
    )
    store.land(traces(log))
    assert [row[0] for row in store.rows(billed)] == [log.span_id]
