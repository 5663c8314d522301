from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from promptspan_server.demo.history import PastCall, bodies, past_calls

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=timezone.utc)


def week(now: datetime = NOW) -> list[PastCall]:
    return list(past_calls(now=now, days=7, seed=5, rollout=0.2))


def spans(calls: list[PastCall]) -> list[Span]:
    found: list[Span] = []
    for body in bodies(iter(calls)):
        request = ExportTraceServiceRequest.FromString(body)
        found += [
            span
            for wrapped in request.resource_spans
            for scope in wrapped.scope_spans
            for span in scope.spans
        ]
    return found


def test_the_past_lies_within_its_days_and_is_a_few_thousand_calls() -> None:
    calls = week()
    assert 2000 < len(calls) < 9000
    assert min(call.at for call in calls) >= NOW - timedelta(days=7)
    assert max(call.at for call in calls) < NOW


def test_the_past_told_again_later_has_the_same_spans_where_both_reach() -> None:
    first = {span.span_id: span.SerializeToString() for span in spans(week())}
    later = [span for span in spans(week(NOW + timedelta(minutes=25))) if span.span_id in first]
    assert len(later) > 0.9 * len(first)
    same = sum(first[span.span_id] == span.SerializeToString() for span in later)
    assert same > 0.98 * len(later), "only calls at a step of the rollout may change their version"


def test_days_are_busier_than_nights() -> None:
    hours = Counter(call.at.hour for call in week())
    assert hours[13] > 3 * hours[3]


def test_the_new_version_begins_three_days_ago_and_grows() -> None:
    new = [call.at for call in week() if call.plan.recording.version == "7"]
    assert min(new) > NOW - timedelta(days=3, hours=1)
    today = sum(at > NOW - timedelta(days=1) for at in new)
    first_day = sum(at < NOW - timedelta(days=2) for at in new)
    assert today > 2 * first_day > 0


def test_a_past_span_says_what_was_billed() -> None:
    calls = week()
    for call, span in zip(calls, spans(calls), strict=True):
        known = {attribute.key: attribute.value for attribute in span.attributes}
        usage = call.plan.recording.usage
        assert known["gen_ai.request.model"].string_value == call.plan.recording.request_model
        assert json.loads(known["gen_ai.input.messages"].string_value)[1]["role"] == "user"
        source = known["promptspan.usage.source"].string_value
        if source == "provider":
            assert known["gen_ai.usage.input_tokens"].int_value == usage.input_tokens
            assert known["gen_ai.usage.output_tokens"].int_value == usage.output_tokens
        else:
            assert source == ("estimated" if "gen_ai.usage.input_tokens" in known else "missing")
            assert (
                source == "missing" or not call.plan.include_usage or call.plan.recording.fault == "dropped"
            )
