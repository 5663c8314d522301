"""A batch sent again, shuffled and cut anew changes no total."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.bodies import SECOND, Span, Value, span_number, traces

if TYPE_CHECKING:
    from schema.conftest import Store

_TOTALS = (
    "SELECT count(), sum(input_tokens), sum(output_tokens), sum(reported_cost_usd), sum(duration_ms), "
    "countIf(billable), uniqExact(span_id) FROM llm_calls FINAL"
)

_tokens = st.one_of(st.none(), st.integers(-5, 10**10), st.sampled_from(["7", "x", "NaN"]))
_starts = st.sampled_from([0, -40 * 86_400, -3_600, -60, -1, 7_200, 90 * 86_400])


@st.composite
def _spans(draw: st.DrawFn) -> Span:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": draw(st.sampled_from(["chat", "embeddings", "invoke_agent"])),
        "promptspan.feature": draw(st.sampled_from(["", "a", "b"])),
        "gen_ai.prompt.name": draw(st.sampled_from(["", "p", "q"])),
        "gen_ai.usage.input_tokens": draw(_tokens),
        "gen_ai.usage.output_tokens": draw(_tokens),
        "promptspan.cost.reported_usd": draw(st.sampled_from([None, 0.25, 1e-9])),
    }
    return Span(attributes, span_id=span_number(), start_ns=time.time_ns() + draw(_starts) * SECOND)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spans=st.lists(_spans(), min_size=1, max_size=12), seed=st.integers(0, 10**6))
def test_a_batch_sent_three_times_shuffled_and_cut_anew_changes_no_total(
    store: Store, spans: list[Span], seed: int
) -> None:
    store.empty()
    store.land(traces(*spans))
    once = store.rows(_TOTALS)
    assert once[0][0] == len(spans)
    shuffled = random.Random(seed)
    for _ in range(2):
        shuffled.shuffle(spans)
        cut = shuffled.randint(0, len(spans))
        store.land(*[traces(*part) for part in (spans[:cut], spans[cut:]) if part])
    assert store.rows(_TOTALS) == once


def test_the_same_token_twice_is_one_insert_in_every_table(store: Store) -> None:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": -1,
        "gen_ai.input.messages": "x",
        "promptspan.prompt.template": "t",
    }
    body = traces(Span(attributes), Span(attributes))
    for _ in range(3):
        store.land(body, token="the body's hash")
    for table in ("spans", "llm_calls", "llm_texts", "quarantine"):
        assert store.value(f"SELECT count() FROM {table}") == 2, table
