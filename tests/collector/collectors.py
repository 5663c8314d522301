"""The real Collectors, started and stopped by tests: ours, as `make collector` builds it, and rotel."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from e2e.running import until

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache"
BINARY = CACHE / "otelcol" / "promptspan-otelcol"
TELEMETRYGEN = CACHE / "bin" / "telemetrygen"
CONFIG = REPOSITORY / "collector-config" / "otelcol.yaml"
TOKEN = "token-of-the-tests"


def built(program: Path) -> Path:
    """A program that `make collector` builds; the test skips where it was not built."""
    if not program.is_file():
        pytest.skip(f"{program.name} is not built (`make collector` builds it, with Go)")
    return program


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, for programs that cannot tell which one they got."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


class Collector:
    """Our Collector on one queue directory: killed and started again, it goes on where it was."""

    def __init__(self, folder: Path, clickhouse_port: int, **environment: str) -> None:
        self.grpc_port, self.otlp_port, health_port = free_ports(3)
        self.endpoint = f"http://127.0.0.1:{self.otlp_port}"
        self.health = f"http://127.0.0.1:{health_port}/"
        self.log = folder / "collector.log"
        self.environment: Mapping[str, str] = {
            "PROMPTSPAN_TOKEN": TOKEN,
            "PROMPTSPAN_QUEUE_DIR": str(folder / "queue"),
            "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{clickhouse_port}",
            "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{self.grpc_port}",
            "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self.otlp_port}",
            "HEALTH_ENDPOINT": f"127.0.0.1:{health_port}",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [built(BINARY), f"--config={CONFIG}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )
        until(self._serves, f"the Collector serves: {self.said()}")

    def stop(self) -> int:
        """Ask it to end, as `docker stop` does."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        self._process = None
        return process.wait(30)

    def kill(self) -> None:
        """End it at once, as `kill -9` does. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time since its start."""
        fields = Path(f"/proc/{self._running().pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process

    def _serves(self) -> bool:
        assert self._running().poll() is None, f"it ended: {self.said()}"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.health, trust_env=False).status_code == 200
        return False


class Rotel:
    """rotel (PyPI), writing to ClickHouse as it comes: no token, no queue on disk."""

    def __init__(self, folder: Path, clickhouse_port: int) -> None:
        grpc_port, self.otlp_port = free_ports(2)
        self.endpoint = f"http://127.0.0.1:{self.otlp_port}"
        self._log = (folder / "rotel.log").open("wb")
        agent = Path(sysconfig.get_path("platlib")) / "rotel" / "rotel-agent"
        self._process = subprocess.Popen(
            [
                agent,
                "start",
                f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
                f"--otlp-http-endpoint=127.0.0.1:{self.otlp_port}",
                "--exporter=clickhouse",
                f"--clickhouse-exporter-endpoint=http://127.0.0.1:{clickhouse_port}",
                "--clickhouse-exporter-database=default",
                "--clickhouse-exporter-async-insert=false",
                "--batch-timeout=200ms",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        until(self._listens, "rotel listens")

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(20)
        self._log.close()
        return code

    def _listens(self) -> bool:
        assert self._process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.otlp_port)) == 0
