"""How fast the store takes spans: from OTLP bytes to acknowledged and visible in `llm_calls`.

The floor is what the engine needs to write the same rows: INSERT SELECT from Memory tables into tables like
those that a span ends up in, as many rows an insert as the ingest had, in the same process. Compared is
processor time of the store process, since wall time moves with what else runs on the machine. Merges wait
meanwhile, in both; what they cost afterwards counts in what two cores take.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store_load import Traffic, send
from store_under_test import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_under_test import StoreUnderTest

_BATCH = 500
_SENDERS = 16
_CORES = 2
_TARGETS = ("spans", "llm_calls", "llm_texts", "instrumentations", "hour_states")


@dataclass
class _Taken:
    cpu_us: float  # a span
    wall_s: float
    spans: int
    group: int  # spans an insert
    peak_mb: float


def rows(on: StoreUnderTest, *, short: bool) -> Iterator[Row]:
    idle_mb = on.memory_mb()
    batches = 96 if short else 480
    _take(on, Traffic(with_text=False, seed=1), _SENDERS * 2, _SENDERS)  # warms up
    for with_text in (False, True):
        name = "with text" if with_text else "without text"
        traffic = Traffic(with_text=with_text)
        empty(on)
        taken = _take(on, traffic, batches, _SENDERS)
        at_least_us = floor_us(on, taken.group, 6 if short else 20)
        merges_us = _merges_us(on, taken.spans)
        ratio = taken.cpu_us / at_least_us
        yield Row(
            f"CPU a span, {_SENDERS} senders x {_BATCH}, {name}",
            "at most 2.5 x the floor",
            f"{ratio:.2f} x ({taken.cpu_us:.1f} to {at_least_us:.1f} us, {taken.group:,} spans an insert)",
            ratio <= 2.5,
        )
        rate = _CORES * 1e6 / (taken.cpu_us + merges_us)
        yield Row(
            f"what {_CORES} cores take, {name}",
            "at least 20,000 spans/s",
            f"{rate:,.0f} by CPU, with {merges_us:.1f} us a span for merges "
            f"({taken.spans / taken.wall_s:,.0f} in this run, senders beside it)",
            rate >= 20_000,
        )
        yield Row(
            f"resident memory at full speed, {name}",
            "under 1,000 MB",
            f"{taken.peak_mb:.0f} MB",
            taken.peak_mb < 1_000,
        )
        if with_text:
            yield from _sizes(on)
    one = _take(on, Traffic(with_text=False, seed=3), 10 if short else 30, 1)
    rate = one.spans / one.wall_s
    yield Row(
        f"one sender, batches of {_BATCH}",
        "at least 4,000 spans/s",
        f"{rate:,.0f} (by CPU {1e6 / one.cpu_us:,.0f})",
        rate >= 4_000,
    )
    empty(on)
    on.wait_merged()
    yield Row(
        "resident memory, idle",
        "under 400 MB",
        f"{idle_mb:.0f} MB before, {on.memory_mb():.0f} MB after all this",
        max(idle_mb, on.memory_mb()) < 400,
    )


def _take(on: StoreUnderTest, traffic: Traffic, batches: int, senders: int) -> _Taken:
    bodies = [traffic.batch(_BATCH) for _ in range(batches)]
    on.command("SYSTEM START MERGES")
    on.wait_merged()
    (before,) = on.row("SELECT count() FROM llm_calls")
    (inserts_before,) = on.row("SELECT sum(value) FROM system.events WHERE event = 'InsertQuery'")
    peak = [on.memory_mb()]
    done = threading.Event()
    on.command("SYSTEM STOP MERGES")

    def watch() -> None:
        while not done.wait(0.1):
            peak.append(on.memory_mb())

    watching = threading.Thread(target=watch)
    watching.start()
    cpu_s = on.cpu_s()
    try:
        wall_s = send(on.otlp_port, bodies, senders)
        (visible,) = on.row("SELECT count() FROM llm_calls")
        cpu_s = on.cpu_s() - cpu_s
    finally:
        done.set()
        watching.join()
    spans = batches * _BATCH
    if visible - before != spans:
        raise RuntimeError(f"{spans} spans were acknowledged, {visible - before} are visible")
    (inserts,) = on.row("SELECT sum(value) FROM system.events WHERE event = 'InsertQuery'")
    return _Taken(cpu_s / spans * 1e6, wall_s, spans, spans // max(inserts - inserts_before, 1), max(peak))


def _merges_us(on: StoreUnderTest, spans: int) -> float:
    """Let the merges go that waited, and say what they cost, in microseconds of processor time a span."""
    started = on.cpu_s()
    on.command("SYSTEM START MERGES")
    on.wait_merged()
    return (on.cpu_s() - started) / spans * 1e6


def floor_us(on: StoreUnderTest, group: int, inserts: int) -> float:
    """Processor time a span of writing what is in the store, `group` spans an insert, in microseconds."""
    (calls,) = on.row("SELECT count() FROM llm_calls")
    cpu_s = 0.0
    for table in _TARGETS:
        (count,) = on.row(f"SELECT count() FROM {table}")
        size = max(1, round(group * min(1.0, count / calls)))
        on.command(f"CREATE TABLE bench_rows ENGINE = Memory AS SELECT * FROM {table} LIMIT {size}")
        on.command(f"CREATE TABLE bench_floor AS {table}")
        on.command("SYSTEM STOP MERGES")
        started = on.cpu_s()
        for number in range(inserts):
            on.command(
                "INSERT INTO bench_floor SELECT * FROM bench_rows "
                f"SETTINGS insert_deduplication_token = 'floor {number}', max_insert_threads = 1"
            )
        cpu_s += on.cpu_s() - started
        on.command("DROP TABLE bench_floor SYNC")
        on.command("SYSTEM START MERGES")
        on.command("DROP TABLE bench_rows SYNC")
    return cpu_s / (inserts * group) * 1e6


def _sizes(on: StoreUnderTest) -> Iterator[Row]:
    for table in ("llm_calls", "llm_texts"):
        on.command(f"OPTIMIZE TABLE {table} FINAL")
    (call_bytes,) = on.row(
        "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts "
        "WHERE active AND database = currentDatabase() AND table = 'llm_calls'"
    )
    yield Row("a call merged, without text", "at most 80 bytes", f"{call_bytes:.0f} bytes", call_bytes <= 80)
    packed, raw = on.row(
        "SELECT sum(column_data_compressed_bytes), sum(column_data_uncompressed_bytes) "
        "FROM system.parts_columns "
        "WHERE active AND database = currentDatabase() AND table = 'llm_texts' AND column LIKE '%put_text'"
    )
    (index,) = on.row(
        "SELECT sum(secondary_indices_compressed_bytes) FROM system.parts "
        "WHERE active AND database = currentDatabase() AND table = 'llm_texts'"
    )
    yield Row(
        "text merged",
        "at most 0.33 of its raw size",
        f"{packed / raw:.2f} (and {index / raw:.2f} for the index that finds its words)",
        packed / raw <= 0.33,
    )


def empty(on: StoreUnderTest) -> None:
    for table in _TARGETS:
        on.command(f"TRUNCATE TABLE {table} SYNC")
