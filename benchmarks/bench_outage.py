"""What callers feel of a receiver in trouble: the time of a decorated call, beside that with a healthy one.

Rounds of one second take turns, so that a busy machine disturbs all of them alike. Two figures each: the
caller's CPU time a call, and the p50 and p99 of its wall time.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import promptspan

PER_SECOND = 400
ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 12


@promptspan.traced_prompt(name="ask", version="1")
def ask() -> dict[str, object]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }


def one_round() -> tuple[list[int], int]:
    """A second of paced calls: nanoseconds of each, and CPU nanoseconds of all."""
    walls: list[int] = []
    cpu = 0
    due = time.perf_counter()
    for _ in range(PER_SECOND):
        due += 1 / PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        cpu -= time.thread_time_ns()
        start = time.perf_counter_ns()
        ask()
        walls.append(time.perf_counter_ns() - start)
        cpu += time.thread_time_ns()
    return walls, cpu


def main() -> None:
    with ExitStack() as stack:
        sink = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sdk_sink.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(sink.kill)
        assert sink.stdout is not None
        healthy = f"http://127.0.0.1:{sink.stdout.readline().strip()}"
        # The kernel takes the connection, and nobody ever reads from it.
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            nobody = probe.getsockname()[1]
        receivers = {
            "healthy": healthy,
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "refused": f"http://127.0.0.1:{nobody}",
        }
        walls: dict[str, list[int]] = {name: [] for name in receivers}
        cpu: dict[str, int] = dict.fromkeys(receivers, 0)
        for number in range(ROUNDS + 1):
            for name, endpoint in receivers.items():
                with tempfile.TemporaryDirectory() as spool:
                    promptspan.configure(service_name="bench", endpoint=endpoint, spool=spool)
                    found, spent = one_round()
                    promptspan.shutdown(0.1)
                if number:  # the first one warms up
                    walls[name] += found
                    cpu[name] += spent
        print(f"{'receiver':<10}{'CPU us':>8}{'ratio':>7}{'p50 us':>9}{'ratio':>7}{'p99 us':>9}{'ratio':>7}")
        base: list[float] = []
        for name in receivers:
            cuts = statistics.quantiles(walls[name], n=100)
            figures = [cpu[name] / len(walls[name]) / 1e3, cuts[49] / 1e3, cuts[98] / 1e3]
            base = base or figures
            shown = "".join(
                f"{figure:>{8 if at == 0 else 9}.1f}{figure / base[at]:>7.2f}"
                for at, figure in enumerate(figures)
            )
            print(f"{name:<10}{shown}")


if __name__ == "__main__":
    main()
