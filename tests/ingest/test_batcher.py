from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from ingest.otlp import traces
from promptspan_server.ingest.batcher import Batcher, OverloadedError, RefusedError
from promptspan_server.store.engine import Engine, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from promptspan_server.ingest.batcher import Signal
    from promptspan_server.store.engine import Handle


class Table:
    """Lands bodies that are lines of numbers into a table of our own, and remembers the groups."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        with engine.handle() as handle:
            handle.query(
                "CREATE TABLE landed (n UInt64) ENGINE = MergeTree ORDER BY n "
                "SETTINGS non_replicated_deduplication_window = 1000"
            )

    def __call__(self, handle: Handle, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
        self.gate.wait(30)
        self.groups.append(len(bodies))
        handle.insert(
            f"INSERT INTO landed (n) SETTINGS insert_deduplication_token = '{token}'", "TabSeparated", bodies
        )

    def numbers(self) -> list[int]:
        with self.engine.handle() as handle:
            return [int(line) for line in handle.query("SELECT n FROM landed ORDER BY n").data.split()]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with Engine.open(tmp_path) as engine:
        yield Table(engine)


@pytest.fixture
def batcher(table: Table) -> Iterator[Batcher]:
    made = Batcher(table.engine, "traces", table)
    yield made
    table.gate.set()
    made.close()


def test_a_body_is_in_the_engine_when_its_sender_hears_of_it(batcher: Batcher, table: Table) -> None:
    for number in range(5):
        batcher.submit(b"%d\n" % number, 1).result(30)
        assert table.numbers() == list(range(number + 1))


def test_bodies_that_wait_together_land_together(batcher: Batcher, table: Table) -> None:
    table.gate.clear()
    done = [batcher.submit(b"%d\n" % number, 1) for number in range(50)]
    table.gate.set()
    for future in done:
        future.result(30)
    assert table.numbers() == list(range(50))
    assert len(table.groups) < 10


def test_a_group_ends_at_its_number_of_items(table: Table) -> None:
    batcher = Batcher(table.engine, "traces", table, workers=1, wait_s=0.5, max_items=10)
    done = [batcher.submit(b"%d\n" % number, 5) for number in range(8)]
    for future in done:
        future.result(30)
    batcher.close()
    assert max(table.groups) <= 3


@pytest.mark.parametrize("bad", [[0], [7], [0, 19], [3, 4, 5], list(range(20))])
def test_a_malformed_body_is_refused_alone(table: Table, bad: list[int]) -> None:
    batcher = Batcher(table.engine, "traces", table, workers=1, wait_s=0.05)
    table.gate.clear()
    done = [batcher.submit(b"%d bad\n" % n if n in bad else b"%d\n" % n, 1) for n in range(20)]
    table.gate.set()
    for number, future in enumerate(done):
        if number in bad:
            with pytest.raises(RefusedError, match="cannot be read"):
                future.result(30)
        else:
            future.result(30)
    batcher.close()
    assert table.numbers() == [n for n in range(20) if n not in bad]


def test_the_same_body_counts_once_whatever_its_company(batcher: Batcher, table: Table) -> None:
    rng = random.Random(1)
    bodies = [b"%d\n" % number for number in range(30)]
    for _ in range(3):
        rng.shuffle(bodies)
        for future in [batcher.submit(body, 1) for body in bodies]:
            future.result(30)
    assert table.numbers() == list(range(30))


def test_two_senders_of_one_body_share_its_insert(batcher: Batcher, table: Table) -> None:
    table.gate.clear()
    first = batcher.submit(b"1\n", 1)
    second = batcher.submit(b"1\n", 1)
    table.gate.set()
    assert first is second
    first.result(30)
    assert not second.cancel()
    assert table.numbers() == [1]


def test_a_full_queue_refuses_and_recovers(table: Table) -> None:
    batcher = Batcher(table.engine, "traces", table, max_queued_bytes=1000)
    table.gate.clear()
    waiting = [batcher.submit(b"%099d\n" % number, 1) for number in range(10)]
    with pytest.raises(OverloadedError, match="behind"):
        batcher.submit(b"%099d\n" % 10, 1).result(30)
    table.gate.set()
    for future in waiting:
        future.result(30)
    batcher.submit(b"%099d\n" % 10, 1).result(30)
    batcher.close()
    assert table.numbers() == list(range(11))


def test_closing_lands_what_was_accepted_and_refuses_the_rest(table: Table) -> None:
    batcher = Batcher(table.engine, "traces", table)
    table.gate.clear()
    accepted = [batcher.submit(b"%d\n" % number, 1) for number in range(20)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    table.gate.set()
    closing.join(30)
    assert all(future.done() and future.exception() is None for future in accepted)
    with pytest.raises(OverloadedError, match="shutting down"):
        batcher.submit(b"99\n", 1).result(30)
    assert table.numbers() == list(range(20))


@pytest.mark.parametrize(
    "error", [StoreError(241, "MEMORY_LIMIT_EXCEEDED", "no room"), RuntimeError("a fault of ours")]
)
def test_trouble_of_the_store_is_not_blamed_on_the_body(table: Table, error: Exception) -> None:
    broken = [True]

    def land(handle: Handle, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
        if broken[0]:
            raise error
        table(handle, signal, bodies, token)

    batcher = Batcher(table.engine, "traces", land)
    with pytest.raises(OverloadedError):
        batcher.submit(b"1\n", 1).result(30)
    broken[0] = False
    batcher.submit(b"1\n", 1).result(30)
    batcher.close()
    assert table.numbers() == [1]


def test_a_stopped_engine_is_trouble_of_the_store(tmp_path: Path) -> None:
    engine = Engine.open(tmp_path)
    table = Table(engine)
    batcher = Batcher(engine, "traces", table)
    engine.close()
    with pytest.raises(OverloadedError, match="shutting down"):
        batcher.submit(traces(1), 1).result(30)
    batcher.close()
