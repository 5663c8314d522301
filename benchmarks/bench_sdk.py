"""What the SDK costs its host, as ratios to one span of plain OpenTelemetry in the same run.

Usage: bench_sdk.py [--short] [--strict] [--peers] [--peer-python PATH ...]

The floor is one span of ``opentelemetry-sdk`` with ``BatchSpanProcessor`` and OTLP over HTTP to a sink on
loopback. Each way of tracing runs in a process of its own, in turns, and what the untraced function takes is
taken off. Between two calls the process computes for a millisecond, as a server does. Shares of CPU time are
told, since they move less than wall time where other work runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

HERE = Path(__file__).resolve().parent
PEERS = {
    "openlit": ("openlit", "openai"),
    "traceloop": ("opentelemetry-instrumentation-openai", "openai", "opentelemetry-exporter-otlp-proto-http"),
    "opentelemetry-util-genai": ("opentelemetry-util-genai", "opentelemetry-exporter-otlp-proto-http"),
    "openinference": (
        "openinference-instrumentation-openai",
        "openai",
        "opentelemetry-exporter-otlp-proto-http",
    ),
    "langfuse": ("langfuse",),
    "opik": ("opik",),
    "logfire": ("logfire", "opentelemetry-exporter-otlp-proto-http"),
    "mlflow": ("mlflow-skinny", "mlflow-tracing", "opentelemetry-exporter-otlp-proto-http"),
}
AROUND_CLIENT = {"openlit", "traceloop", "openinference"}
PACE_S = 0.001  # CPU time of the application's own between two calls


@dataclass
class Row:
    """One line of the table: what is measured, its bar, the figure, and whether it holds."""

    what: str
    bar: str
    figure: str
    passed: bool


class Bench:
    """Runs workers against one sink.

    Args:
        sink: The sink's process.
        folder: For spools.
    """

    def __init__(self, sink: subprocess.Popen[str], folder: Path) -> None:
        assert sink.stdin is not None
        assert sink.stdout is not None
        self._asks, self._tells = sink.stdin, sink.stdout
        self.endpoint = f"http://127.0.0.1:{int(self._tells.readline())}"
        self._folder = folder

    def arrived(self) -> int:
        """How many spans the sink took since it was last asked."""
        print(file=self._asks, flush=True)
        return int(self._tells.readline())

    def run(
        self,
        way: str,
        load: str,
        calls: int,
        *,
        pace_s: float = PACE_S,
        python: str = sys.executable,
        content: bool = False,
        plain: bool = False,
    ) -> dict[str, float]:
        """What one worker measured, and how many spans arrived.

        Raises:
            RuntimeError: The worker failed; with the last line that it said.
        """
        self.arrived()
        spool = tempfile.mkdtemp(dir=self._folder)
        extra = {"BENCH_SPOOL": spool, "BENCH_CONTENT": "1" if content else ""}
        done = subprocess.run(
            [python, "sdk_worker.py", way, load, str(calls), str(pace_s), self.endpoint],
            cwd=HERE,
            env={**os.environ, **extra, **({"BENCH_PLAIN_RESPONSE": "1"} if plain else {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        shutil.rmtree(spool, ignore_errors=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no output"])[-1])
        return {**json.loads(lines[-1]), "arrived": self.arrived()}

    def cpu_ms(self, code: str) -> float:
        """CPU time of a Python process that runs ``code``, in milliseconds.

        With bytecode of its own, since where nobody may write it each import compiles all modules anew.
        """
        environment = {**os.environ, "NO_PROXY": "*", "PYTHONPYCACHEPREFIX": str(self._folder / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"failed: {code}")
        return (used.ru_utime + used.ru_stime) * 1e3


@contextmanager
def bench() -> Generator[Bench]:
    with tempfile.TemporaryDirectory(prefix="promptspan-bench-") as folder:
        sink = subprocess.Popen(
            [sys.executable, str(HERE / "sdk_sink.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Bench(sink, Path(folder))
        finally:
            sink.kill()
            sink.wait()


def paced(on: Bench, rounds: int, calls: int) -> list[Row]:
    seen: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, way, content in (
            ("none", "none", False),
            ("floor", "floor", False),
            ("off", "promptspan", False),
            ("content", "promptspan", True),
        ):
            seen.setdefault(name, []).append(on.run(way, "paced", calls, content=content))

    def cost(name: str, what: str) -> float:
        """What ``name`` adds to the untraced function, the median of the rounds."""
        return statistics.median(a[what] - b[what] for a, b in zip(seen[name], seen["none"], strict=True))

    rows: list[Row] = []

    def add(title: str, name: str, what: str, limit: float) -> None:
        ours, floor = cost(name, what), cost("floor", what)
        ratio = ours / floor
        figure = f"{ratio:.2f} x  ({ours:.1f} of {floor:.1f} us)"
        rows.append(Row(title, f"at most {limit:.2f} x", figure, ratio <= limit))

    add("caller, CPU a call, content off", "off", "cpu_us", 0.10)
    add("caller, CPU a call, content captured", "content", "cpu_us", 0.10)
    add("caller, p50 a call, content off", "off", "p50_us", 0.10)
    add("caller, p50 a call, content captured", "content", "p50_us", 0.10)
    add("caller, p99 a call, background busy", "content", "p99_us", 1.0)
    add("process CPU a call, content off, spool on", "off", "process_us", 0.25)
    add("process CPU a call, captured, redacted, flagged, spooled", "content", "process_us", 0.60)
    return rows


def saturated(on: Bench, calls: int) -> list[Row]:
    floor = on.run("floor", "saturated", min(calls, 10_000))
    ours = on.run("promptspan", "saturated", calls)
    ratio = ours["per_s"] / floor["per_s"]
    kept = ours["arrived"] + ours["dropped"] == ours["calls"]
    return [
        Row(
            "saturated, calls a second on one thread",
            "at least 10 x",
            f"{ratio:.1f} x  ({ours['per_s']:,.0f} to {floor['per_s']:,.0f})",
            ratio >= 10,
        ),
        Row(
            "saturated, every span arrives or is counted",
            "all",
            f"{ours['arrived']:,.0f} + {ours['dropped']:,.0f} of {ours['calls']:,.0f}; "
            f"grew {ours['grew_mb']:.0f} MB (bound 64)",
            kept,
        ),
    ]


def streamed(on: Bench, streams: int) -> list[Row]:
    none = on.run("none", "streamed", streams)
    ours = on.run("promptspan", "streamed", streams)
    rows: list[Row] = []
    for key, title in (
        ("generator_us", "a generator"),
        ("stream_us", "a provider's stream"),
        ("async_generator_us", "an async generator"),
        ("async_stream_us", "a provider's async stream"),
    ):
        cost = ours[key] - none[key]
        rows.append(Row(f"streamed chunk of {title}", "at most 4 us", f"{cost:.2f} us", cost <= 4))
    return rows


def loading(on: Bench, runs: int) -> list[Row]:
    ours = f"import promptspan; promptspan.configure(service_name='b', endpoint={on.endpoint!r}, spool=None)"
    codes = {
        "bare": "pass",
        "import": "import promptspan",
        "configured": ours,
        "called": f"{ours}; promptspan.traced_prompt(lambda: {{}})(); promptspan.flush()",
        "exporter": "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter; "
        f"OTLPSpanExporter({on.endpoint + '/v1/traces'!r})",
    }
    best = dict.fromkeys(codes, float("inf"))
    for _ in range(runs + 1):  # the first one writes bytecode
        for name, code in codes.items():
            best[name] = min(best[name], on.cpu_ms(code))
    took = {name: value - best["bare"] for name, value in best.items()}
    rows = [Row("import promptspan", "at most 100 ms", f"{took['import']:.0f} ms CPU", took["import"] <= 100)]
    for name, title in (("configured", "after configure"), ("called", "after the first call has been sent")):
        ratio = took[name] / took["exporter"]
        figure = f"{ratio:.2f} x  ({took[name]:.0f} of {took['exporter']:.0f} ms CPU)"
        rows.append(Row(f"loaded, {title}", "at most 1.3 x the exporter", figure, ratio <= 1.3))
    return rows


def memory(on: Bench, calls: int) -> list[Row]:
    none = on.run("none", "memory", calls, pace_s=0.001, plain=True)["resident_mb"]
    ours = on.run("promptspan", "memory", calls, pace_s=0.001, plain=True, content=True)["resident_mb"]
    return [Row("memory added", "at most 15 MB", f"{ours - none:.1f} MB", ours - none <= 15)]


def table(rows: list[Row]) -> str:
    cells = [("", "bar", "measured", "")]
    cells += [(row.what, row.bar, row.figure, "pass" if row.passed else "MISS") for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


# Peers


def peer_pythons(*, install: bool, given: list[str]) -> dict[str, list[str]]:
    """The interpreters to look for each peer in: this one, those given, and environments of their own."""
    found = {peer: [sys.executable, *given] for peer in PEERS}
    if not install:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "promptspan" / "bench"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    for peer, packages in PEERS.items():
        python = cache / peer / "bin" / "python"
        if not python.exists():
            print(f"   installing {peer} into {cache / peer}", file=sys.stderr)
            try:
                subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, cache / peer], check=True)
                install_ = [uv, "pip", "install", "--quiet", "--python", python, *packages]
                subprocess.run(install_, check=True)
            except (OSError, subprocess.CalledProcessError) as problem:
                print(f"   {peer} could not be installed: {problem}", file=sys.stderr)
                shutil.rmtree(cache / peer, ignore_errors=True)
                continue
        found[peer].insert(0, str(python))
    return found


def peers(on: Bench, pythons: dict[str, list[str]], rounds: int, calls: int) -> str:
    lines: list[tuple[str, ...]] = [("", "caller CPU", "caller p50", "process CPU")]
    for peer, candidates in pythons.items():
        problem = ""
        for python in candidates:
            try:
                ratios = [peer_ratios(on, peer, python, calls) for _ in range(rounds)]
            except (RuntimeError, OSError) as error:
                problem = problem or str(error)
                continue
            lines.append(
                (peer, *(f"{statistics.median(column):.1f} x" for column in zip(*ratios, strict=True)))
            )
            break
        else:
            lines.append((peer, f"skipped: {problem}"[:90]))
    return "\n".join(
        "  ".join(text.ljust(26 if not n else 12) for n, text in enumerate(line)) for line in lines
    )


def peer_ratios(on: Bench, peer: str, python: str, calls: int) -> tuple[float, float, float]:
    peered: Any = on.run(peer, "paced", calls, python=python)
    client = "client" if peer in AROUND_CLIENT else "none"
    base = on.run(client, "paced", calls, python=python)
    floor = on.run("floor", "paced", calls)
    none = on.run("none", "paced", calls)
    cpu, p50, process = (
        (peered[k] - base[k]) / (floor[k] - none[k]) for k in ("cpu_us", "p50_us", "process_us")
    )
    return cpu, p50, process


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few seconds, for CI; figures are rough")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a bar is missed")
    parser.add_argument(
        "--peers", action="store_true", help="install the peers, each in an environment in the cache"
    )
    parser.add_argument(
        "--peer-python", action="append", default=[], metavar="PATH", help="look for peers there"
    )
    options = parser.parse_args()
    short: bool = options.short
    with bench() as on:
        rows = paced(on, 1 if short else 3, 300 if short else 1_000)
        rows += saturated(on, 10_000 if short else 40_000)
        rows += streamed(on, 3 if short else 10)
        rows += loading(on, 2 if short else 8)
        rows += memory(on, 300 if short else 2_000)
        print(table(rows))
        if options.peers or options.peer_python:
            print("\nPeers, to the same floor")
            pythons = peer_pythons(install=options.peers, given=options.peer_python)
            print(peers(on, pythons, 1 if short else 2, 300 if short else 500))
    lost = [row for row in rows if row.bar == "all" and not row.passed]
    return 1 if lost or (options.strict and not all(row.passed for row in rows)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
