"""A store process of its own for the benchmarks: its SQL, its processor time, its memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import clickhouse_connect

if TYPE_CHECKING:
    from collections.abc import Generator

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Row:
    """One line of the table: what is measured, its bar, the figure, and whether it holds."""

    what: str
    bar: str
    figure: str
    holds: bool


class StoreUnderTest:
    """A running store process. Linux only: processor time and memory come from /proc."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.otlp_port = int(ready["otlp_port"])
        self.clickhouse_port = int(ready["clickhouse_port"])
        self._process = process
        self._client: Any = cast("Any", clickhouse_connect).get_client(
            host="127.0.0.1", port=self.clickhouse_port, autogenerate_session_id=False
        )

    def command(self, sql: str) -> None:
        self._client.command(sql)

    def row(self, sql: str) -> tuple[Any, ...]:
        """The only row of a result."""
        (found,) = self._client.query(sql).result_rows
        return tuple(found)

    def cpu_s(self) -> float:
        """Processor time that the process has used, in seconds."""
        return cpu_s_of(self._process.pid)

    def memory_mb(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def wait_merged(self, within_s: float = 60.0) -> None:
        """Until no merge runs, so that what one measurement left is not counted in the next."""
        deadline = time.monotonic() + within_s
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            quiet = quiet + 1 if self.row("SELECT count() FROM system.merges")[0] == 0 else 0
            time.sleep(0.2)


def cpu_s_of(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS_PER_S


@contextlib.contextmanager
def store() -> Generator[StoreUnderTest]:
    with tempfile.TemporaryDirectory(prefix="promptspan-bench-") as folder:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "promptspan_server.cli.store_process",
                f"--data-dir={folder}/data",
                "--allow-outside",
            ]
            + [f"--{name}-port=0" for name in ("clickhouse", "otlp", "otlp-grpc")],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the store ended with {process.wait()} before it was ready")
            yield StoreUnderTest(process, json.loads(line))
        finally:
            process.terminate()
            process.wait(30)
