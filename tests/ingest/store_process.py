"""The real store process, started and stopped by tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

import made_store

if TYPE_CHECKING:
    from pathlib import Path


_started: list[subprocess.Popen[str]] = []


def kill_left() -> None:
    """End what a failed test left running."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def start(data_dir: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    ports = ("--clickhouse-port=0", "--otlp-port=0", "--otlp-grpc-port=0")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "promptspan_server.cli.store_process",
            f"--data-dir={data_dir}",
            *ports,
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
    )
    _started.append(process)
    return process


class Running:
    """A process that has said that it is ready."""

    def __init__(self, data_dir: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        made_store.copy_to(data_dir)
        self.process = start(data_dir, *arguments, env=env)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"not ready: {self.process.communicate(timeout=20)}")
        self.ready: dict[str, Any] = json.loads(line)
        self.otlp = f"http://127.0.0.1:{self.ready['otlp_port']}"
        self.clickhouse = f"http://127.0.0.1:{self.ready['clickhouse_port']}/"

    def select(self, sql: str) -> str:
        answer = httpx.post(self.clickhouse, content=sql, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.text.strip()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and what it wrote to stderr."""
        self.process.send_signal(by)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)
