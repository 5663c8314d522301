"""Starts the real processes, waits until they say that they are ready, and stops them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import clickhouse_connect

import made_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from typing_extensions import Self

READY_S = 60.0


def until(condition: Callable[[], bool], what: str, *, within_s: float = 30.0) -> None:
    """Wait for a condition, looking again and again until the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.05)


class Running:
    """A process that prints one JSON line when it is ready; what it prints else is kept for the report."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.ready: dict[str, Any] = {}
        self.said: deque[str] = deque(maxlen=200)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, announces), daemon=True)
            for stream, announces in ((self.process.stdout, True), (self.process.stderr, False))
        ]
        for reader in self._readers:
            reader.start()

    def wait_ready(self, within_s: float = READY_S) -> Self:
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise AssertionError(f"not ready within {within_s:g} s:\n{self.report()}") from None
            if line is None:
                code = self.process.wait(10)
                raise AssertionError(f"ended with {code} before it was ready:\n{self.report()}")
            if line.startswith("{") and json.loads(line).get("event") == "ready":
                self.ready = json.loads(line)
                return self

    def stop(self, by: signal.Signals = signal.SIGTERM, within_s: float = 20.0) -> int:
        """Ask it to stop, and say how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop within {within_s:g} s:\n{self.report()}") from None
        self._close()
        return code

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self.process.kill()
        self.process.wait(10)
        self._close()

    def report(self) -> str:
        return "\n".join(self.said)

    def _close(self) -> None:
        for reader in self._readers:
            reader.join(10)

    def _read(self, stream: Any, announces: bool) -> None:
        for line in stream:
            self.said.append(line.rstrip("\n"))
            if announces:
                self._lines.put(line)
        stream.close()
        if announces:
            self._lines.put(None)


def start_store(data_dir: Path, **ports: int) -> Running:
    """The store process alone, as `up` starts it."""
    options = {"clickhouse_port": 0, "otlp_port": 0, "otlp_grpc_port": 0} | ports
    arguments = [f"--{name.replace('_', '-')}={port}" for name, port in options.items()]
    made_store.copy_to(data_dir)
    command = [
        sys.executable,
        "-m",
        "promptspan_server.cli.store_process",
        f"--data-dir={data_dir}",
        *arguments,
    ]
    return Running(command).wait_ready()


def start_up(data_dir: Path) -> Running:
    """`promptspan up` without its dashboard."""
    made_store.copy_to(data_dir)
    script = str(os.path.join(os.path.dirname(sys.executable), "promptspan"))  # noqa: PTH118, PTH120
    ports = ["--clickhouse-port=0", "--otlp-port=0", "--otlp-grpc-port=0"]
    return Running([script, "up", "--no-dashboard", "--json", f"--data-dir={data_dir}", *ports]).wait_ready()


class Store:
    """Where a running store listens, and a client of it."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.clickhouse_port = int(running.ready["clickhouse_port"])
        self.otlp_port = int(running.ready["otlp_port"])
        self.endpoint = f"http://127.0.0.1:{self.otlp_port}"

    def client(self, **options: Any) -> Any:
        """A client of clickhouse-connect, whose own types are known by half."""
        get_client: Any = clickhouse_connect.get_client  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return get_client(host="127.0.0.1", port=self.clickhouse_port, **options)

    def rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        with self.client() as client:
            return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]

    def value(self, sql: str, **parameters: object) -> Any:
        return self.rows(sql, **parameters)[0][0]
