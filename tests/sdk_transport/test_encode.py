from __future__ import annotations

import enum
import math
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from faults.notes import finished
from promptspan import _value
from promptspan._encode import (
    MAX_SPAN_BYTES,
    PROBLEMS_KEY,
    encode_request,
    encode_resource,
    encode_span,
    framed,
)
from promptspan._span import FinishedSpan, SpanEvent
from promptspan._value import MAX_VALUE_BYTES, utf8, varint

if TYPE_CHECKING:
    from collections.abc import Mapping

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(max_size=200)  # no surrogates, unless asked for
NASTY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)
SCALARS = st.one_of(TEXT, st.booleans(), INT64, st.floats(allow_nan=False, allow_infinity=False))
LISTS = st.one_of(st.lists(TEXT), st.lists(st.booleans()), st.lists(INT64))
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=40), st.one_of(SCALARS, LISTS), max_size=30)
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        NASTY_TEXT,
        st.binary(),
        st.sampled_from([1j, Decimal(1), date(2026, 1, 1), object(), FinishedSpan, range(3), {1, 2}]),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(NASTY_TEXT, inner), st.tuples(inner, inner)),
    max_leaves=8,
)


def plain(value: AnyValue) -> Any:
    """A parsed value as a Python one."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def parsed(span: FinishedSpan) -> tuple[Span, dict[str, Any]]:
    """What a receiver reads."""
    message = Span.FromString(encode_span(span))
    return message, {pair.key: plain(pair.value) for pair in message.attributes}


@given(ATTRIBUTES)
def test_what_is_written_is_what_a_receiver_reads(attributes: Mapping[str, Any]) -> None:
    _, found = parsed(finished("x", dict(attributes)))
    assert found == attributes


@given(
    st.builds(
        FinishedSpan,
        name=TEXT,
        kind=st.integers(1, 5),
        trace_id=st.integers(1, (1 << 128) - 1),
        span_id=st.integers(1, (1 << 64) - 1),
        parent_span_id=st.integers(0, (1 << 64) - 1),
        trace_flags=st.integers(0, 255),
        trace_state=st.sampled_from(["", "a=b,c=d"]),
        start_unix_nano=st.integers(0, (1 << 64) - 1),
        end_unix_nano=st.integers(0, (1 << 64) - 1),
        attributes=ATTRIBUTES,
        events=st.lists(
            st.builds(
                SpanEvent, name=TEXT, time_unix_nano=st.integers(0, (1 << 64) - 1), attributes=ATTRIBUTES
            ),
            max_size=3,
        ),
        status_code=st.integers(0, 2),
        status_message=TEXT,
    )
)
@settings(max_examples=60)
def test_every_field_of_a_span_arrives(span: FinishedSpan) -> None:
    message, _ = parsed(span)
    assert int.from_bytes(message.trace_id, "big") == span.trace_id
    assert int.from_bytes(message.span_id, "big") == span.span_id
    assert int.from_bytes(message.parent_span_id, "big") == span.parent_span_id
    assert message.name == span.name
    assert message.kind == span.kind
    assert message.trace_state == span.trace_state
    assert message.flags == span.trace_flags
    assert message.start_time_unix_nano == span.start_unix_nano
    assert message.end_time_unix_nano == span.end_unix_nano
    assert (message.status.code, message.status.message) == (span.status_code, span.status_message)
    assert [event.name for event in message.events] == [event.name for event in span.events]
    assert [event.time_unix_nano for event in message.events] == [
        event.time_unix_nano for event in span.events
    ]
    assert message.dropped_attributes_count == message.dropped_events_count == 0


@given(st.dictionaries(NASTY_TEXT, ANYTHING, max_size=6))
@settings(max_examples=100)
def test_no_value_whatever_keeps_the_others_from_arriving(attributes: dict[str, Any]) -> None:
    essential = {"gen_ai.request.model": "gpt-x", "gen_ai.usage.input_tokens": 7}
    message, found = parsed(finished("x", {**essential, **attributes, **essential}))
    assert found["gen_ai.request.model"] == "gpt-x"
    assert found["gen_ai.usage.input_tokens"] == 7
    assert message.dropped_attributes_count <= len(attributes)


@given(st.lists(st.tuples(TEXT, ATTRIBUTES), max_size=5), ATTRIBUTES)
@settings(max_examples=40)
def test_a_request_is_made_by_joining_spans(
    spans: list[tuple[str, dict[str, Any]]], about: dict[str, Any]
) -> None:
    items = [framed(encode_span(finished(name, dict(attributes)))) for name, attributes in spans]
    message = ExportTraceServiceRequest.FromString(encode_request(encode_resource(about), items, "1.2"))
    (resource,) = message.resource_spans
    (scope,) = resource.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("promptspan", "1.2")
    assert [span.name for span in scope.spans] == [name for name, _ in spans]
    assert {pair.key for pair in resource.resource.attributes} == set(about)


def test_resources_may_be_joined() -> None:
    message = Resource.FromString(encode_resource({"a": 1}) + encode_resource({"b": "2"}))
    assert [pair.key for pair in message.attributes] == ["a", "b"]


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_varints_are_protobufs_own(number: int) -> None:
    value = AnyValue.FromString(b"\x18" + varint(number))
    assert value.int_value % (1 << 64) == number % (1 << 64)


@given(NASTY_TEXT, st.integers(0, 100))
def test_text_is_cut_at_a_character_and_always_valid(text: str, limit: int) -> None:
    raw = utf8(text, limit)
    assert len(raw) <= limit
    raw.decode("utf-8")


def test_surrogate_halves_that_belong_together_are_joined_and_others_replaced() -> None:
    _, found = parsed(finished("n\ud800", {"pair": "\ud83d\ude00", "alone": "a\udfffb", "k\ud800": "v"}))
    assert found["pair"] == "\U0001f600"
    assert found["alone"] == "a\ufffdb"
    assert found["k\ufffd"] == "v"


def test_subclasses_are_written_by_their_real_value() -> None:
    class Colour(str, enum.Enum):
        RED = "red"

    class Level(enum.IntEnum):
        HIGH = 3

    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no")

        def encode(self, *_: Any, **__: Any) -> bytes:
            raise RuntimeError("no")

    class Half(float):
        def __float__(self) -> float:
            raise RuntimeError("no")

    _, found = parsed(finished("x", {"a": Colour.RED, "b": Level.HIGH, "c": Loud("quiet"), "d": Half(0.5)}))
    assert found == {"a": "red", "b": 3, "c": "quiet", "d": 0.5}


def test_foreign_objects_are_never_asked_for_their_text() -> None:
    asked: list[str] = []

    class Foreign:
        def __str__(self) -> str:
            asked.append("str")
            return "x"

        def __repr__(self) -> str:
            asked.append("repr")
            return "x"

        def __len__(self) -> int:
            asked.append("len")
            return 1

        def __bool__(self) -> bool:
            asked.append("bool")
            return True

        def __eq__(self, other: object) -> bool:
            asked.append("eq")
            return False

        __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    _, found = parsed(finished("x", {"a": Foreign(), "b": [Foreign()], "c": {"d": Foreign()}, "e": 1}))  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    assert not asked
    assert found["e"] == 1
    assert found[PROBLEMS_KEY] == ["a: type Foreign", "b: type Foreign", "c: type Foreign"]


def test_a_mapping_that_raises_while_it_is_read_costs_its_own_field() -> None:
    class Trap(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no")

    _, found = parsed(finished("x", {"trap": Trap(a=1), "e": 1}))  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    assert found == {"e": 1, PROBLEMS_KEY: ["trap: RuntimeError"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 << 63, str(1 << 63)),
        (-(1 << 63) - 1, str(-(1 << 63) - 1)),
        (1 << 64, str(1 << 64)),
        ((1 << 63) - 1, (1 << 63) - 1),
    ],
)
def test_integers_over_64_bits_become_text(value: int, expected: object) -> None:
    assert parsed(finished("x", {"n": value}))[1]["n"] == expected


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 1 << 100_000, [math.nan], b""],
    ids=lambda value: type(value).__name__,
)
def test_numbers_that_would_poison_sums_are_left_out_and_said(value: Any) -> None:
    _, found = parsed(finished("x", {"n": value, "e": 1}))
    assert found["e"] == 1
    assert ("n" in found) == (value == b"")
    assert (PROBLEMS_KEY in found) == (value != b"")


def test_a_cyclic_value_and_one_that_explodes_cost_their_own_field() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    exploding: Any = "x"
    for _ in range(5):
        exploding = [exploding] * 50
    message, found = parsed(finished("x", {"c": cyclic, "b": exploding, "e": 1}))
    assert set(found) == {"e", PROBLEMS_KEY}
    assert message.dropped_attributes_count == 2


def test_huge_values_are_cut_and_huge_spans_lose_what_comes_last() -> None:
    attributes: dict[str, Any] = {"first": 1}
    attributes |= {f"text-{number:02d}": "\u00e4" * 10_000_000 for number in range(20)}
    raw = encode_span(finished("x", attributes))
    assert len(raw) <= MAX_SPAN_BYTES
    message = Span.FromString(raw)
    found = {pair.key: plain(pair.value) for pair in message.attributes}
    assert found["first"] == 1
    assert len(found["text-00"].encode()) == MAX_VALUE_BYTES
    kept = [key for key in found if key.startswith("text-")]
    assert kept == [f"text-{number:02d}" for number in range(len(kept))]
    assert message.dropped_attributes_count == 20 - len(kept) > 0


def test_token_counts_survive_any_number_of_other_attributes() -> None:
    attributes: dict[str, Any] = {"gen_ai.usage.input_tokens": 7}
    attributes |= {f"key-{number}": "v" * 100 for number in range(100_000)}
    message, found = parsed(finished("x", attributes))
    assert found["gen_ai.usage.input_tokens"] == 7
    assert message.dropped_attributes_count + len(found) - 1 == len(attributes)


def test_bad_times_and_ids_are_replaced_and_said() -> None:
    span = finished("x")
    span.start_unix_nano = -5
    span.end_unix_nano = 1 << 70
    span.trace_id = 0
    span.span_id = 1 << 64
    span.parent_span_id = -1
    span.kind = 99
    span.status_code = "error"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    span.name = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    message, found = parsed(span)
    assert any(message.trace_id)
    assert any(message.span_id)
    assert message.start_time_unix_nano == message.end_time_unix_nano == 0
    assert found["gen_ai.usage.input_tokens"] == 7
    assert len(found[PROBLEMS_KEY]) == 7


def test_a_broken_event_costs_itself() -> None:
    span = finished("x")
    span.events = [
        SpanEvent("fine", 1, {"a": 1}),
        None,  # type: ignore[list-item]  # pyright: ignore[reportAttributeAccessIssue]
        SpanEvent("huge", 2, {str(n): "x" * MAX_VALUE_BYTES for n in range(20)}),
        SpanEvent("also fine", 3),
    ]
    message, _ = parsed(span)
    assert [event.name for event in message.events] == ["fine", "huge", "also fine"]
    assert message.dropped_events_count == 1
    assert len(encode_span(span)) <= MAX_SPAN_BYTES


def test_the_caches_of_keys_and_strings_stay_bounded() -> None:
    for number in range(10_000):
        encode_span(finished("x", {f"key-{number}": f"value-{number}"}))
    assert len(_value._keys) <= 4_096  # pyright: ignore[reportPrivateUsage]
    assert len(_value._pairs) <= 2_048  # pyright: ignore[reportPrivateUsage]


def test_equal_values_of_different_types_are_not_mixed_up() -> None:
    for value in (1, True, 1.0, "1", 0, False, 0.0, -0.0):
        _, found = parsed(finished("x", {"v": value}))
        assert type(found["v"]) is type(value)
        assert found["v"] == value
