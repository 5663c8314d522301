"""Rows 1-7, 20 and 24 of the matrix: a receiver that is away, or says "later", costs no span."""

from __future__ import annotations

import time
from collections import deque
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

import promptspan
from faults.notes import config, emit, finished, wait_until_spooled
from faults.sink import Received, Sink, in_turn, ok, status
from promptspan._buffer import MemoryStore
from promptspan._encode import encode_span, framed
from promptspan._pipeline import Pipeline
from promptspan._sender import OtlpSender
from promptspan._spool import Spool
from promptspan._stats import Ledger
from promptspan._transport_config import TransportConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def emit_paced(pipeline: Pipeline, per_second: int, seconds: float) -> int:
    """Emit at a steady rate; returns how many."""
    start = time.monotonic()
    count = 0
    while (elapsed := time.monotonic() - start) < seconds:
        due = int(elapsed * per_second) - count
        emit(pipeline, count, due)
        count += due
        time.sleep(0.01)
    return count


@pytest.mark.parametrize(
    ("per_second", "seconds"),
    [
        (20, 1.0),
        (2_000, 1.0),
        pytest.param(20, 10.0, marks=pytest.mark.long),
        pytest.param(2_000, 10.0, marks=pytest.mark.long),
        pytest.param(20, 60.0, marks=pytest.mark.long),
        pytest.param(2_000, 60.0, marks=pytest.mark.long),
    ],
)
def test_a_refused_backend_costs_no_span(
    sink: Sink, make_pipeline: Callable[..., Pipeline], per_second: int, seconds: float
) -> None:
    pipeline = make_pipeline(retry_max_s=1.0)
    sink.stop()
    emitted = emit_paced(pipeline, per_second, seconds)
    assert wait_until_spooled(pipeline)
    assert pipeline.stats().spooled == emitted
    sink.start()
    assert sink.wait_for_spans(emitted, 60)
    assert pipeline.flush(10)
    assert max(sink.names().values()) == 1
    assert pipeline.stats().delivered == emitted
    assert not pipeline.stats().dropped


class Clock:
    """Pauses that are not slept: time passes, and the application goes on with its work meanwhile."""

    def __init__(self, meanwhile: Callable[[float], None]) -> None:
        self.pauses: list[float] = []
        self.now_s = 0.0
        self._meanwhile = meanwhile

    def pause(self, seconds: float, *, may_hurry: bool) -> bool:
        """What the sender calls between two attempts."""
        del may_hurry
        self.pauses.append(seconds)
        self.now_s += seconds
        self._meanwhile(self.now_s)
        return True


class Counting(Sink):
    """Remembers which numbers came and how often, and not the spans: they may be a million."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.seen = bytearray(most)
        self.attempts = deque(maxlen=1)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]

    def accept(self, received: Received) -> None:
        with self.changed:
            for name in received.names:
                self.seen[int(name.split("-")[1])] += 1


@pytest.mark.parametrize(
    ("per_second", "spool_max_bytes"),
    [(20, 256_000_000), (20, 4_000_000), pytest.param(2_000, 256_000_000, marks=pytest.mark.long)],
)
def test_an_outage_of_an_hour_costs_nothing_or_exactly_what_the_spool_cannot_hold(
    tmp_path: Path, per_second: int, spool_max_bytes: int
) -> None:
    """The real spool, sender and refusals; only the pauses are not slept."""
    total = per_second * 3_600
    sink = Counting(total)
    ledger = Ledger(lambda: 0)
    template = framed(encode_span(finished("span-0000000000", {"gen_ai.request.model": "gpt-x"})))
    memory: MemoryStore[bytes] = MemoryStore(1 << 20, ledger.own, lambda _: b"")
    spool = Spool(lambda: tmp_path / "spool", spool_max_bytes, ledger, b"", memory)

    def meanwhile(now_s: float) -> None:
        due = min(total, int(now_s * per_second))
        for first in range(ledger.own.entered, due, 64):
            names = range(first, min(first + 64, due))
            items = [template.replace(b"0000000000", b"%010d" % number) for number in names]
            ledger.own.enter(len(items), "hands")
            spool.append(items, [len(template)] * len(items))
        if now_s > 3_600:
            sink.start()

    clock = Clock(meanwhile)
    meanwhile(1.0)
    sender = OtlpSender(TransportConfig(endpoint=sink.endpoint), ledger, clock.pause, spool.set_aside)
    try:
        while batch := spool.batch(1_000, sender.max_bytes):
            sender.deliver(batch)
    finally:
        sender.close()
        spool.close()
        sink.stop()
    stats = ledger.stats()
    lost = stats.dropped.get("spool_full", 0)
    assert (stats.emitted, stats.delivered + lost, stats.dropped_total) == (total, total, lost)
    assert (lost > 0) == (total * len(template) > spool_max_bytes)
    assert sink.seen.count(1) == stats.delivered
    # What is lost is the oldest, but for what was in the sender's hands.
    in_hands = sink.seen.index(0) if lost else 0
    assert set(sink.seen[in_hands : in_hands + lost]) <= {0}
    assert max(clock.pauses) <= 30
    assert len(set(clock.pauses)) == len(clock.pauses)  # with jitter


@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [("0", 0.0, 0.25), ("5", 5.0, 5.5), ("30", 30.0, 33.0), ("60", 60.0, 60.0), ("3600", 60.0, 60.0)],
)
def test_retry_after_is_obeyed_up_to_a_minute(sink: Sink, asked: str, least_s: float, most_s: float) -> None:
    sink.mode = in_turn(status(429, Retry_After=asked), status(503, Retry_After=asked), ok)
    ledger = Ledger(lambda: 0)
    memory: MemoryStore[bytes] = MemoryStore(1 << 20, ledger.own, lambda _: b"")
    ledger.own.enter(1, "hands")
    item = framed(encode_span(finished("span-0")))
    memory.append([item], [len(item)])
    clock = Clock(lambda now_s: None)
    sender = OtlpSender(TransportConfig(endpoint=sink.endpoint), ledger, clock.pause, memory.set_aside)
    batch = memory.batch(1, 1 << 20)
    assert batch is not None
    sender.deliver(batch)
    sender.close()
    assert ledger.stats().delivered == 1
    assert least_s <= clock.pauses[0] <= most_s
    assert len(clock.pauses) == 2


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 599])
def test_a_status_that_means_later_is_tried_again(
    sink: Sink, make_pipeline: Callable[..., Pipeline], code: int
) -> None:
    sink.mode = in_turn(status(code), status(code), ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 300)
    assert pipeline.flush(10)
    assert len(sink.names()) == 300
    assert pipeline.stats().delivered == 300
    assert pipeline.stats().last_error is None


def test_what_is_tried_again_are_the_same_bytes(sink: Sink, make_pipeline: Callable[..., Pipeline]) -> None:
    sink.mode = in_turn(status(503), status(503), ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 50)
    assert sink.wait_for_spans(50)
    bodies = {received.message.SerializeToString() for received in sink.attempts[:3]}
    assert len(bodies) == 1


def waits(sink: Sink) -> list[float]:
    """Seconds between the requests that the sink has seen."""
    return [after.at - before.at for before, after in pairwise(sink.attempts)]


def test_retry_after_in_seconds_is_obeyed(sink: Sink, make_pipeline: Callable[..., Pipeline]) -> None:
    sink.mode = in_turn(status(429, Retry_After="1"), ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert sink.wait_for_spans(10)
    assert waits(sink)[0] >= 1.0


def test_retry_after_as_a_date_is_read_by_the_receivers_own_clock(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    an_hour_off = time.time() + 3600
    sink.mode = in_turn(
        status(
            503,
            Retry_After=formatdate(an_hour_off + 1, usegmt=True),
            Date=formatdate(an_hour_off, usegmt=True),
        ),
        ok,
    )
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert sink.wait_for_spans(10)
    # BaseHTTPRequestHandler sends a Date of its own first; of two the last one counts.
    assert waits(sink)[0] >= 1.0


@pytest.mark.parametrize("value", ["0", "garbage", "-5", "1e9", "99999999999999999999 s", "\xff", ""])
def test_a_useless_retry_after_is_ignored(
    sink: Sink, make_pipeline: Callable[..., Pipeline], value: str
) -> None:
    sink.mode = in_turn(status(429, Retry_After=value), ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert sink.wait_for_spans(10, 5)
    assert pipeline.flush(5)


def test_a_flush_does_not_override_the_receivers_wish_to_wait(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.mode = in_turn(status(429, Retry_After="30"), ok)
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert sink.wait_for_attempts(1)
    assert not pipeline.flush(0.3)
    assert len(sink.attempts) == 1
    assert pipeline.stats().spooled == 10


def test_wrong_credentials_are_said_at_once_and_cost_nothing(
    sink: Sink, make_pipeline: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    sink.mode = status(401)
    pipeline = make_pipeline()
    emit(pipeline, 0, 40)
    assert sink.wait_for_attempts(4)
    said = [record for record in caplog.records if "HTTP 401" in record.getMessage()]
    assert len(said) == 1
    assert said[0].levelname == "WARNING"
    assert "token" in said[0].getMessage()
    assert pipeline.stats().last_error == "HTTP 401"
    assert pipeline.stats().spooled == 40
    sink.mode = ok
    assert sink.wait_for_spans(40)
    assert pipeline.flush(5)
    assert pipeline.stats().last_error is None


def test_a_burst_of_fifty_thousand_arrives_whole(sink: Sink, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    emit(pipeline, 0, 50_000)
    assert pipeline.flush(60)
    stats = pipeline.stats()
    assert (stats.emitted, stats.delivered, dict(stats.dropped)) == (50_000, 50_000, {})
    assert len(sink.names()) == 50_000
    assert all(received.message.ByteSize() < 4_000_000 for received in sink.accepted)


@pytest.mark.long
def test_a_burst_of_fifty_thousand_decorated_calls_arrives_whole(sink: Sink) -> None:
    """Back to back and without a spool: every call waits in memory, within its default bound."""
    promptspan.configure(service_name="faults", endpoint=sink.endpoint, spool=None)
    reply = {"id": "1", "model": "gpt-4o-mini", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}

    @promptspan.traced_prompt(name="burst", version="1")
    def call(text: str) -> dict[str, object]:
        return {**reply, "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}

    for number in range(50_000):
        call(f"question {number}")
    assert promptspan.flush(120)
    stats = promptspan.stats()
    assert (stats.emitted, stats.delivered, dict(stats.dropped)) == (50_000, 50_000, {})
    assert promptspan.shutdown(5)


def test_what_a_process_could_not_send_is_sent_by_the_next(sink: Sink, tmp_path: Path) -> None:
    sink.stop()
    spool = tmp_path / "spool"
    first = Pipeline(config(sink.endpoint, spool))
    emit(first, 0, 500, "before")
    assert not first.shutdown(2)
    assert first.stats().spooled == 500
    sink.start()
    second = Pipeline(config(sink.endpoint, spool))
    emit(second, 0, 5, "after")
    assert sink.wait_for_spans(505)
    assert second.flush(5)
    deadline = time.monotonic() + 5
    while second.stats().adopted.delivered < 500 and time.monotonic() < deadline:
        time.sleep(0.01)
    stats = second.stats()
    assert (stats.emitted, stats.delivered) == (5, 5)
    assert (stats.adopted.emitted, stats.adopted.delivered) == (500, 500)
    assert second.shutdown(2)
    assert max(sink.names().values()) == 1
    assert not list(spool.rglob("*.seg"))
    assert not list(spool.rglob("*.lock"))


def test_spans_of_an_earlier_process_keep_its_resource_and_its_ledger(sink: Sink, tmp_path: Path) -> None:
    sink.stop()
    first = Pipeline(
        config(sink.endpoint, tmp_path, resource={"service.name": "faults", "service.version": "1"})
    )
    emit(first, 0, 30, "before")
    first.shutdown(1)
    sink.start()
    second = Pipeline(
        config(sink.endpoint, tmp_path, resource={"service.name": "faults", "service.version": "2"})
    )
    emit(second, 0, 1, "after")
    assert sink.wait_for_spans(31)
    second.shutdown(2)
    seen: dict[str, dict[str, str | int]] = {}
    for received in sink.accepted:
        for resource in received.message.resource_spans:
            facts = {a.key: a.value.string_value or a.value.int_value for a in resource.resource.attributes}
            seen[resource.scope_spans[0].spans[0].name[:5]] = facts
    assert seen["befor"]["service.version"] == "1"
    assert seen["after"]["service.version"] == "2"
    assert seen["befor"]["promptspan.sdk.emitted"] == 30
    assert seen["befor"]["service.instance.id"] != seen["after"]["service.instance.id"]


def test_without_a_spool_an_outage_is_ridden_out_in_memory(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.stop()
    pipeline = make_pipeline(spool_dir=None)
    emit(pipeline, 0, 2_000)
    assert pipeline.stats().queued == 2_000
    sink.start()
    assert sink.wait_for_spans(2_000)
    assert pipeline.flush(5)
    assert pipeline.stats().delivered == 2_000


def test_without_a_spool_memory_is_bounded_and_losses_are_counted_exactly(
    sink: Sink, make_pipeline: Callable[..., Pipeline]
) -> None:
    sink.mode = status(503)
    pipeline = make_pipeline(spool_dir=None, queue_max_bytes=100_000)
    for block in range(20):
        emit(pipeline, block * 100, 100)
        time.sleep(0.02)
    deadline = time.monotonic() + 5
    while not pipeline.stats().dropped and time.monotonic() < deadline:
        time.sleep(0.01)
    sink.mode = ok
    assert pipeline.flush(10)
    stats = pipeline.stats()
    assert stats.emitted == 2_000
    assert stats.dropped_total > 0
    assert set(stats.dropped) <= {"memory_full", "queue_full"}
    assert stats.delivered == len(sink.names()) == 2_000 - stats.dropped_total


def test_the_ledger_travels_with_the_data(sink: Sink, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    emit(pipeline, 0, 10)
    assert pipeline.flush(5)
    emit(pipeline, 10, 5)
    assert pipeline.flush(5)
    last = sink.accepted[-1].message.resource_spans[0].resource.attributes
    facts = {a.key: a.value.string_value or a.value.int_value for a in last}
    assert facts["promptspan.sdk.emitted"] == 15
    assert int(facts["promptspan.sdk.delivered"]) >= 10
    assert facts["service.name"] == "faults"
    assert facts["service.instance.id"] == facts["promptspan.sdk.instance"]


def test_headers_of_the_user_are_sent(sink: Sink, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(headers={"Authorization": "Bearer abc"})
    emit(pipeline, 0, 1)
    assert pipeline.flush(5)
    assert sink.accepted[0].headers["authorization"] == "Bearer abc"
    assert sink.accepted[0].headers["content-encoding"] == "gzip"
    assert sink.accepted[0].headers["user-agent"] == "promptspan/0.0.test"
