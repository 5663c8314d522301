"""What the store spends on spans that come through the real Collector (`make collector` builds it)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from store_ingest import empty, floor_us
from store_load import Traffic, send
from store_under_test import Row, cpu_s_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from store_under_test import StoreUnderTest

_ROOT = Path(__file__).resolve().parents[1]
_COLLECTOR = _ROOT / ".cache" / "otelcol" / "promptspan-otelcol"
_CONFIG = _ROOT / "collector-config" / "otelcol.yaml"
_TOKEN = "bench"
_BATCH = 500
_SENDERS = 8


def rows(on: StoreUnderTest, *, short: bool) -> Iterator[Row]:
    what = f"CPU a span in the store, through the Collector, {_SENDERS} senders x {_BATCH}"
    bar = "at most 4 x the floor"
    if not _COLLECTOR.is_file():
        yield Row(what, bar, "the Collector is not built: make collector", holds=False)
        return
    traffic = Traffic(with_text=False, seed=11)
    with _collector(on.clickhouse_port) as (port, pid):
        _through(on, port, traffic, 40)  # warms up
        empty(on)
        on.wait_merged()
        on.command("SYSTEM STOP MERGES")
        inserts = on.row("SELECT sum(value) FROM system.events WHERE event = 'InsertQuery'")[0]
        store_s, collector_s = on.cpu_s(), cpu_s_of(pid)
        spans = _through(on, port, traffic, 60 if short else 240)
        store_s, collector_s = on.cpu_s() - store_s, cpu_s_of(pid) - collector_s
        inserts = on.row("SELECT sum(value) FROM system.events WHERE event = 'InsertQuery'")[0] - inserts
    group = spans // max(inserts, 1)
    on.command("SYSTEM START MERGES")
    on.wait_merged()
    store_us, collector_us = store_s / spans * 1e6, collector_s / spans * 1e6
    floor = floor_us(on, group, 6 if short else 20)
    ratio = store_us / floor
    yield Row(
        what,
        bar,
        f"{ratio:.2f} x ({store_us:.1f} to {floor:.1f} us, {group:,} spans an insert; "
        f"{collector_us:.1f} us in the Collector beside it)",
        ratio <= 4,
    )
    empty(on)


def _through(on: StoreUnderTest, port: int, traffic: Traffic, batches: int) -> int:
    """Send batches and wait until their spans are in `llm_calls`; their number."""
    bodies = [traffic.batch(_BATCH) for _ in range(batches)]
    (before,) = on.row("SELECT count() FROM llm_calls")
    send(port, bodies, _SENDERS, {"authorization": f"Bearer {_TOKEN}"})
    deadline = time.monotonic() + 120
    while on.row("SELECT count() FROM llm_calls")[0] - before < batches * _BATCH:
        if time.monotonic() > deadline:
            raise RuntimeError("what the Collector acknowledged is not in the store after two minutes")
        time.sleep(1)
    return batches * _BATCH


@contextlib.contextmanager
def _collector(clickhouse_port: int) -> Generator[tuple[int, int]]:
    """A Collector before the store: its OTLP/HTTP port and its process id."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        grpc, http, health = (one.getsockname()[1] for one in sockets)
    with tempfile.TemporaryDirectory(prefix="promptspan-bench-") as folder:
        process = subprocess.Popen(
            [_COLLECTOR, f"--config={_CONFIG}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ
            | {
                "PROMPTSPAN_TOKEN": _TOKEN,
                "PROMPTSPAN_QUEUE_DIR": folder,
                "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{clickhouse_port}",
                "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
                "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{http}",
                "HEALTH_ENDPOINT": f"127.0.0.1:{health}",
            },
        )
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError):
                    opener.open(f"http://127.0.0.1:{health}/", timeout=2).close()
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the Collector does not start")
                time.sleep(0.1)
            yield http, process.pid
        finally:
            process.terminate()
            process.wait(30)
