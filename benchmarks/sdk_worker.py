"""One process of the SDK's benchmark: one way of tracing, one kind of load; prints JSON.

Runs in the interpreter that it is given, with the standard library and what the way of tracing needs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import sdk_ways

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS = 1_000


def paced(way: sdk_ways.Way, calls: int, pace_s: float) -> dict[str, float]:
    """Calls with work of the application's own between them, each timed.

    What the process burns for the tracing in all, other threads included, is ``process_us``: the work in
    between is taken off.
    """
    return _timed(way, calls, lambda: _work(pace_s))


def asleep(way: sdk_ways.Way, calls: int, pace_s: float) -> dict[str, float]:
    """Calls of a process that sleeps in between: whatever runs on the machine takes the caches meanwhile."""
    return _timed(way, calls, lambda: time.sleep(pace_s))


DOCUMENT = {"rows": [{"id": n, "name": f"row {n}", "values": [n / 7, n / 3]} for n in range(20)]}


def _work(seconds: float) -> None:
    """Compute for so much CPU time, as a server does between two calls."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        json.loads(json.dumps(DOCUMENT))


def _timed(way: sdk_ways.Way, calls: int, pause: Callable[[], None]) -> dict[str, float]:
    call = way.call
    prompts = sdk_ways.prompts(calls)
    for prompt in prompts[:200]:
        call(prompt)
    way.flush()
    wall: list[int] = []
    cpu: list[int] = []
    clock, thread_clock = time.perf_counter_ns, time.thread_time_ns
    gc.collect()
    between = 0
    began = time.process_time_ns()
    for prompt in prompts:
        paused = thread_clock()
        pause()
        c0 = thread_clock()
        t0 = clock()
        call(prompt)
        t1 = clock()
        c1 = thread_clock()
        between += c0 - paused
        wall.append(t1 - t0)
        cpu.append(c1 - c0)
    way.flush()
    process = time.process_time_ns() - began - between
    wall.sort()
    cpu.sort()
    kept = calls * 99 // 100
    return {
        "p50_us": wall[calls // 2] / 1e3,
        "p99_us": wall[kept] / 1e3,
        # Without the hundredth that the machine's other work lengthens.
        "cpu_us": sum(cpu[:kept]) / kept / 1e3,
        "process_us": process / calls / 1e3,
    }


def saturated(way: sdk_ways.Way, calls: int, _: float) -> dict[str, float]:
    """Calls back to back on one thread."""
    call, prompt = way.call, sdk_ways.PROMPT
    for _ in range(200):
        call(prompt)
    way.flush()
    before = resident()
    began = time.perf_counter()
    for _ in range(calls):
        call(prompt)
    took = time.perf_counter() - began
    way.flush()
    return {
        "per_s": calls / took,
        "calls": calls + 200,
        "dropped": way.dropped(),
        "grew_mb": resident() - before,
    }


def streamed(way: sdk_ways.Way, calls: int, _: float) -> dict[str, float]:
    """Chunks of streams that are read to their end, CPU of the caller's thread for each."""

    def sync_us(stream: Callable[[int], Any]) -> float:
        best = float("inf")
        for _ in range(calls):
            began = time.thread_time_ns()
            for _ in stream(CHUNKS):
                pass
            best = min(best, (time.thread_time_ns() - began) / CHUNKS / 1e3)
            way.flush()
        return best

    async def async_us(stream: Callable[[int], Any]) -> float:
        best = float("inf")
        for _ in range(calls):
            began = time.thread_time_ns()
            async for _ in stream(CHUNKS):
                pass
            best = min(best, (time.thread_time_ns() - began) / CHUNKS / 1e3)
            way.flush()
        return best

    return {
        "generator_us": sync_us(way.generator),
        "stream_us": sync_us(way.stream),
        "async_generator_us": asyncio.run(async_us(way.async_generator)),
        "async_stream_us": asyncio.run(async_us(way.async_stream)),
    }


def memory(way: sdk_ways.Way, calls: int, pace_s: float) -> dict[str, float]:
    """What the process holds at most while calls come at a fixed rate."""
    call, prompt = way.call, sdk_ways.PROMPT
    for _ in range(calls):
        call(prompt)
        time.sleep(pace_s)
    way.flush()
    return {"resident_mb": resident()}


def resident() -> float:
    """Resident memory of this process that is its own, in MB."""
    try:
        with open("/proc/self/smaps_rollup") as rollup:  # noqa: PTH123  # nothing more is loaded for it
            fields = dict(line.split(":", 1) for line in rollup if ":" in line)
        return (int(fields["Private_Dirty"].split()[0]) + int(fields["Private_Clean"].split()[0])) / 1e3
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    named, load, count, pace, endpoint = sys.argv[1:]
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    ways = sdk_ways.WAYS
    if named not in ways:
        import sdk_peers

        ways = sdk_peers.PEERS
    made = ways[named](endpoint)
    result = globals()[load](made, int(count), float(pace))
    print(json.dumps(result), flush=True)
    os._exit(0)  # what peers do at exit is not measured here
