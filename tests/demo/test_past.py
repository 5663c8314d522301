from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from promptspan_server.demo.history import PastCall, bodies, past_calls

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=timezone.utc)


@cache
def week(now: datetime = NOW) -> list[PastCall]:
    return list(past_calls(now=now, days=7, seed=5, rollout=0.2, rate_hz=2.0))


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


def test_the_past_lies_within_its_days_and_is_some_ten_thousand_calls() -> None:
    calls = week()
    assert 30_000 < len(calls) < 90_000
    assert min(call.at for call in calls) >= NOW - timedelta(days=7)
    assert max(call.at for call in calls) < NOW


def test_the_past_told_again_later_has_the_same_calls_where_both_reach() -> None:
    first = {call.key: call for call in week()}
    later = [call for call in week(NOW + timedelta(minutes=25)) if call.key in first]
    assert len(later) > 0.9 * len(first)
    same = sum(first[call.key] == call for call in later)
    assert same > 0.98 * len(later), "only calls at a step of the rollout may change their version"


def test_the_hour_before_the_live_part_is_as_busy_as_it_and_continues_what_was_before() -> None:
    minutes = Counter((NOW - call.at) // timedelta(minutes=1) for call in week())
    last, before = ([minutes[minute] for minute in span] for span in (range(60), range(125, 185)))
    assert 110 < sum(last) / 60 < 130
    assert 0.03 < sum(before) / sum(last) < 0.3


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
    calls = week()[::20]
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
            cut = call.plan.leaves_early or call.plan.recording.fault == "dropped"
            assert source == "missing" or cut or not call.plan.include_usage
