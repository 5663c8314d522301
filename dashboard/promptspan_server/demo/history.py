"""The demo's past: a week of calls, told to the store as if they had been sent while they happened."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from promptspan import _attributes as names
from promptspan._estimate import tokens_of_messages
from promptspan._prompt import Prompt
from promptspan._version import VERSION
from promptspan._vocabulary import tokens_in
from promptspan_server.demo.application import ENOUGH_CHUNKS
from promptspan_server.demo.chat_completions import completion_chunks
from promptspan_server.demo.messages import message_events
from promptspan_server.demo.recording import prompt_path
from promptspan_server.demo.replayed import error_name
from promptspan_server.demo.settings import ENVIRONMENT, SERVICE
from promptspan_server.demo.traffic import Traffic, Weather, busyness

if TYPE_CHECKING:
    from promptspan_server.demo.recording import RecordedUsage, Recording
    from promptspan_server.demo.traffic import PlannedCall

CALLS_A_DAY = 7_200
_BUSY_MINUTES = 60  # before the live part as many calls come as in it
_RISING_MINUTES = 60  # and before those they become more
_BATCH = 1500  # an insert costs much, a row in it little
_ROLLOUT = ((1.0, 1.0), (2.0, 0.5), (3.0, 0.25))  # younger than so many days: this part of today's share
_GOLDEN = 0.618034
_SAID: dict[tuple[object, ...], bytes] = {}
_Value = str | int | float | bool | Sequence[str]


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call and when it began.

    Attributes:
        at: The start, UTC.
        key: Names the call: the same key gives the same ids, so that a past told twice is stored once.
        plan: The call.
    """

    at: datetime
    key: str
    plan: PlannedCall


def past_calls(
    *, now: datetime, days: float, seed: int, rollout: float, rate_hz: float = 0.0
) -> Iterator[PastCall]:
    """Draw the calls of the past, the newest first.

    An hour's calls follow from the seed and the hour alone, and so do those that come in a minute on top.

    Args:
        now: Where the past ends, UTC.
        days: How far it reaches back.
        seed: Of the dice.
        rollout: The new version's share now; it began three days ago with a quarter of it.
        rate_hz: Calls a second of the present, to which the last two hours rise.

    Yields:
        Calls that began within the span of time.
    """
    traffic = Traffic(seed)
    beginning = now - timedelta(days=days)
    if days:
        yield from _last_hours(traffic, now=now, seed=seed, rollout=rollout, rate_hz=rate_hz)
    hour = now.replace(minute=0, second=0, microsecond=0)
    while hour + timedelta(hours=1) > beginning:
        traffic.reseed(f"{seed} {hour:%Y-%m-%dT%H}")
        age_days = (now - hour) / timedelta(days=1)
        part = next((part for days_old, part in _ROLLOUT if age_days < days_old), 0.0)
        weather = Weather(rollout=rollout * part)
        moments = traffic.arrivals(CALLS_A_DAY / 24 * busyness(hour))
        for number, moment in enumerate(moments):
            at = hour + timedelta(hours=moment)
            plan = traffic.call(weather)
            if beginning <= at < now:
                yield PastCall(at, f"{seed} {hour:%Y-%m-%dT%H} {number}", plan)
        hour -= timedelta(hours=1)


def _last_hours(
    traffic: Traffic, *, now: datetime, seed: int, rollout: float, rate_hz: float
) -> Iterator[PastCall]:
    minute = now.replace(second=0, microsecond=0)
    for age in range(_BUSY_MINUTES + _RISING_MINUTES):
        at = minute - timedelta(minutes=age)
        name = f"{seed} {at:%Y-%m-%dT%H:%M}"
        traffic.reseed(name)
        risen = min(1.0, (_BUSY_MINUTES + _RISING_MINUTES - age) / _RISING_MINUTES)
        expected = max(0.0, rate_hz * 60 - CALLS_A_DAY / 1440 * busyness(at))
        for number, moment in enumerate(traffic.arrivals(expected)):
            plan = traffic.call(Weather(rollout=rollout))
            # Told again later, other calls are left out, and those that are not are the same.
            left_out = number * _GOLDEN % 1 > risen
            if (began := at + timedelta(minutes=moment)) < now and not left_out:
                yield PastCall(began, f"{name} {number}", plan)


def bodies(calls: Iterator[PastCall]) -> Iterator[bytes]:
    """Write calls as OTLP.

    Args:
        calls: The calls.

    Yields:
        Serialized ``ExportTraceServiceRequest`` messages of up to 1,500 spans.
    """
    resource = Resource(
        attributes=_attributes({"service.name": SERVICE, "deployment.environment.name": ENVIRONMENT})
    )
    scope = InstrumentationScope(name="promptspan", version=VERSION)
    batch: list[Span] = []
    for call in calls:
        batch.append(_span(call))
        if len(batch) == _BATCH:
            yield _request(resource, scope, batch)
            batch = []
    if batch:
        yield _request(resource, scope, batch)


def _request(resource: Resource, scope: InstrumentationScope, batch: list[Span]) -> bytes:
    spans = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=batch)])
    return ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()


def _span(call: PastCall) -> Span:
    digest = hashlib.blake2b(call.key.encode(), digest_size=40).digest()
    recording = call.plan.recording
    start_ns = math.floor(call.at.timestamp() * 1_000_000) * 1000
    error = error_name(recording.fault)
    span = Span(
        trace_id=digest[:16],
        span_id=digest[16:24],
        name=f"chat {recording.request_model}",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + round(_took_ms(call.plan) * 1e6),
        attributes=_attributes(_circumstances(call.plan, response_id=digest[24:].hex())),
        status=Status(code=Status.STATUS_CODE_ERROR, message=error) if error else None,
    )
    span.MergeFromString(_what_was_said(call.plan))
    return span


def _circumstances(plan: PlannedCall, *, response_id: str) -> dict[str, _Value]:
    """What is another for each call."""
    recording = plan.recording
    known: dict[str, _Value] = {
        names.PROMPTSPAN_FEATURE: plan.feature,
        names.PROMPTSPAN_TENANT: plan.tenant,
        names.USER_ID: hashlib.sha256(plan.user.encode()).hexdigest()[:32],
        names.SESSION_ID: plan.session,
    }
    if not recording.fault:
        prefix = "msg_" if recording.provider == "anthropic" else "chatcmpl-"
        known[names.GEN_AI_RESPONSE_ID] = prefix + response_id
        if plan.stream:
            known[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = recording.ttft_ms / 1000
    return known


def _what_was_said(plan: PlannedCall) -> bytes:
    """What every call of a recording has, as the bytes of a span."""
    recording = plan.recording
    key = (
        *(recording.prompt, recording.version, recording.id, recording.fault),
        *(plan.stream, plan.include_usage, plan.leaves_early),
    )
    if key not in _SAID:
        _SAID[key] = Span(attributes=_attributes(_described(plan))).SerializeToString()
    return _SAID[key]


def _described(plan: PlannedCall) -> dict[str, _Value]:
    recording = plan.recording
    error = error_name(recording.fault)
    prompt = _prompt(recording.prompt, recording.version)
    known: dict[str, _Value] = {
        names.GEN_AI_OPERATION_NAME: names.OPERATION_CHAT,
        names.GEN_AI_PROVIDER_NAME: recording.provider,
        names.GEN_AI_REQUEST_MODEL: recording.request_model,
        names.GEN_AI_PROMPT_NAME: prompt.name,
        names.GEN_AI_PROMPT_VERSION: prompt.version,
        names.PROMPTSPAN_PROMPT_TEMPLATE_HASH: prompt.template_hash,
        names.PROMPTSPAN_PROMPT_TEMPLATE: prompt.template,
        names.PROMPTSPAN_PROMPT_OWNER: prompt.owner,
        names.GEN_AI_INPUT_MESSAGES: _question(recording),
    }
    if plan.stream:
        known[names.GEN_AI_REQUEST_STREAM] = True
    if error:
        known[names.ERROR_TYPE] = error
        if recording.fault == "dropped" and plan.stream and recording.provider == "openai":
            return known | _estimated(recording, _said(plan))
        return known | {names.PROMPTSPAN_USAGE_SOURCE: names.USAGE_SOURCE_MISSING}
    if plan.leaves_early:
        return known | _left(plan)
    known |= {
        names.GEN_AI_RESPONSE_MODEL: recording.response_model,
        names.GEN_AI_RESPONSE_FINISH_REASONS: [recording.finish_reason],
        names.GEN_AI_OUTPUT_MESSAGES: _answer(recording),
        names.PROMPTSPAN_SERVICE_TIER: "standard" if recording.provider == "anthropic" else "default",
    }
    flags = _flags(recording)
    if flags:
        known[names.PROMPTSPAN_SAFETY_FLAGS] = flags
    return known | _usage(plan)


@cache
def _prompt(name: str, version: str) -> Prompt:
    return Prompt.from_file(prompt_path(name, version))


def _usage(plan: PlannedCall) -> dict[str, _Value]:
    recording, usage = plan.recording, plan.recording.usage
    if plan.stream and not plan.include_usage and recording.provider == "openai":
        return _estimated(recording, recording.answer)
    return _input(usage) | {
        names.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output_tokens,
        names.PROMPTSPAN_USAGE_SOURCE: names.USAGE_SOURCE_PROVIDER,
        **(
            {names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: usage.reasoning_tokens}
            if usage.reasoning_tokens
            else {}
        ),
    }


def _input(usage: RecordedUsage) -> dict[str, _Value]:
    details = {
        names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: usage.cache_read_tokens,
        names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: usage.cache_write_5m_tokens
        + usage.cache_write_1h_tokens,
        names.PROMPTSPAN_USAGE_CACHE_WRITE_1H_INPUT_TOKENS: usage.cache_write_1h_tokens,
    }
    known: dict[str, _Value] = {names.GEN_AI_USAGE_INPUT_TOKENS: usage.input_tokens}
    return known | {key: value for key, value in details.items() if value}


def _estimated(recording: Recording, answer: str) -> dict[str, _Value]:
    """What the SDK counts where the provider tells nothing."""
    model = recording.request_model
    return {
        names.GEN_AI_USAGE_INPUT_TOKENS: tokens_of_messages([recording.system, recording.input], model),
        names.GEN_AI_USAGE_OUTPUT_TOKENS: tokens_in(answer, model),
        names.PROMPTSPAN_USAGE_SOURCE: names.USAGE_SOURCE_ESTIMATED,
    }


def _left(plan: PlannedCall) -> dict[str, _Value]:
    """What is known of a call whose reader went away in the midst of the stream."""
    recording, said = plan.recording, _said(plan)
    usage = _estimated(recording, said)
    if recording.provider == "anthropic":
        usage |= _input(recording.usage)  # it comes with the first event
    return usage | {
        names.PROMPTSPAN_STATUS: names.STATUS_VALUE_INCOMPLETE,
        names.GEN_AI_RESPONSE_MODEL: recording.response_model,
        names.GEN_AI_OUTPUT_MESSAGES: _messages({"role": "assistant", "parts": [_part(said)]}),
    }


def _stream(plan: PlannedCall) -> tuple[list[dict[str, Any]], int]:
    """The stream of a call, and how many of its chunks were read."""
    recording = plan.recording
    if recording.provider == "anthropic":
        chunks = list(message_events(recording, response_id=""))
    else:
        found = completion_chunks(recording, response_id="", created=0, include_usage=plan.include_usage)
        chunks = list(found)
    if recording.fault == "dropped":
        return chunks, len(chunks) // 2 + 1
    return chunks, min(ENOUGH_CHUNKS + 1, len(chunks)) if plan.leaves_early else len(chunks)


def _said(plan: PlannedCall) -> str:
    chunks, read = _stream(plan)
    if plan.recording.provider == "anthropic":
        return "".join(chunk.get("delta", {}).get("text", "") for chunk in chunks[:read])
    deltas = (choice["delta"] for chunk in chunks[:read] for choice in chunk["choices"])
    return "".join(delta.get("content") or delta.get("refusal") or "" for delta in deltas)


def _took_ms(plan: PlannedCall) -> float:
    recording = plan.recording
    if not plan.stream or not (plan.leaves_early or recording.fault == "dropped"):
        return recording.latency_ms
    chunks, read = _stream(plan)
    return recording.ttft_ms + (recording.latency_ms - recording.ttft_ms) * (read - 1) / len(chunks)


def _flags(recording: Recording) -> list[str]:
    by_reason = {
        "content_filter": names.FLAG_CONTENT_FILTER,
        "refusal": names.FLAG_REFUSAL,
        "length": names.FLAG_TRUNCATED,
        "max_tokens": names.FLAG_TRUNCATED,
    }
    found = {by_reason[recording.finish_reason]} if recording.finish_reason in by_reason else set[str]()
    if recording.refusal:
        found.add(names.FLAG_REFUSAL)
    if recording.prompt == "contract-extract" and not _is_json(recording.answer):
        found.add(names.FLAG_INVALID_JSON)
    return sorted(found)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _question(recording: Recording) -> str:
    return _messages(
        {"role": "system", "parts": [_part(recording.system)]},
        {"role": "user", "parts": [_part(recording.input)]},
    )


def _answer(recording: Recording) -> str:
    # OpenAI has a field of its own for refusals; Anthropic refuses in plain words.
    kind = "refusal" if recording.refusal and recording.provider == "openai" else "text"
    part = {"type": kind, "content": recording.answer}
    return _messages({"role": "assistant", "parts": [part], "finish_reason": recording.finish_reason})


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def _messages(*said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False)


def _attributes(values: dict[str, _Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(value)) for key, value in values.items()]


def _any(value: _Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=item) for item in value]))
