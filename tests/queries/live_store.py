from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import made_store
from promptspan_server.queries.connection import Store, connect, parse_dsn

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

_READY_S = 120
# Of the day on which the tests began: one that runs over midnight finds its rows where it put them.
_MIDNIGHT = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass
class LiveStore:
    """A store process of its own on free ports, and a way to put rows into it.

    Tests share it; each keeps to a day or a prompt of its own.
    """

    clickhouse_port: int
    otlp_port: int
    reader: Store
    writer: Any
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def dsn(self) -> str:
        return f"http://reader@127.0.0.1:{self.clickhouse_port}/default"

    def insert(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Insert rows; columns that a row leaves out take their defaults."""
        if rows:
            body = "\n".join(json.dumps(row, default=_plain) for row in rows)
            self.writer.raw_insert(
                table, column_names=sorted(rows[0]), insert_block=body.encode(), fmt="JSONEachRow"
            )

    def call(self, at: datetime, **facts: Any) -> dict[str, Any]:
        """Build one model call that succeeded; `facts` are columns of `llm_calls`."""
        number = next(self._numbers)
        return {
            "ts": at,
            "duration_ms": 100.0,
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "service": "tests",
            "operation": "chat",
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "response_model": "gpt-4o-mini",
            "input_tokens": 1000,
            "output_tokens": 100,
            "usage_source": "provider",
            "billable": True,
            "status": "ok",
            "attempt": 1,
            "instrumentation": "promptspan",
            **facts,
        }

    def value(self, sql: str) -> Any:
        """Ask for one value in plain SQL: what a page or a query is compared with."""
        return self.writer.query(sql).result_rows[0][0]


@contextmanager
def running_store(data_dir: Path) -> Generator[LiveStore]:
    """Run the real store process on free ports until the block ends."""
    made_store.copy_to(data_dir)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "promptspan_server.cli.store_process"),
            *("--data-dir", str(data_dir), "--host", "127.0.0.1"),
            *("--clickhouse-port", "0", "--otlp-port", "0", "--otlp-grpc-port", "0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    complaints: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    errors = process.stderr
    listener = threading.Thread(target=lambda: complaints.extend(errors), daemon=True)
    listener.start()
    # A store that never gets ready is ended, which ends the reading below.
    deadline = threading.Timer(_READY_S, process.kill)
    deadline.start()
    try:
        ready = next((json.loads(line) for line in process.stdout if '"ready"' in line), None)
        deadline.cancel()
        assert ready is not None, f"the store did not start: {''.join(complaints)}"
        port = int(ready["clickhouse_port"])
        reader = Store(parse_dsn(f"http://reader@127.0.0.1:{port}/default"))
        writer = connect(parse_dsn(f"http://default@127.0.0.1:{port}/default"))
        yield LiveStore(port, int(ready["otlp_port"]), reader, writer)
        reader.close()
        writer.close()
    finally:
        deadline.cancel()
        process.terminate()
        process.wait(30)
        listener.join(10)
        process.stdout.close()
        process.stderr.close()


def ago(days: int, hour: int = 0, minute: int = 0, second: float = 0) -> datetime:
    """A moment of an earlier day, in UTC; spans are kept for two weeks, so tests stay within them."""
    return _MIDNIGHT - timedelta(days=days) + timedelta(hours=hour, minutes=minute, seconds=second)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
