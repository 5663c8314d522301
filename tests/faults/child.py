"""A process that emits spans and then ends in a given way: ``python -m faults.child '{"end": "exit", ...}'``.

Says "ready" on stdout when all its spans are safe (on disk or delivered), and nothing else before its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import opentelemetry.trace  # noqa: F401  # pyright: ignore[reportUnusedImport]  # as any application of the SDK has

from faults.notes import config, emit
from promptspan._pipeline import Pipeline


def main() -> None:
    """Do as the argument says."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    spool = Path(plan["spool"]) if plan["spool"] else None
    changes = {"timeout_s": 30.0, "linger_s": plan.get("linger_s", 0.02)}
    pipeline = Pipeline(config(plan["endpoint"], spool, **changes))
    prefix = plan.get("prefix", "span")
    if plan["end"] == "killed while it emits":
        emit_forever(pipeline, prefix)
    emit(pipeline, 0, plan["count"], prefix)
    if plan.get("wait", True):
        while pipeline.stats().queued:
            time.sleep(0.001)
    print("ready", flush=True)
    end(plan["end"], pipeline, plan)


def emit_forever(pipeline: Pipeline, prefix: str) -> None:
    """Emit, and say after each how many are known to be safe, until somebody kills this process."""
    number = 0
    while True:
        emit(pipeline, number, 1, prefix)
        number += 1
        stats = pipeline.stats()
        os.write(1, f"{stats.spooled + stats.delivered}\n".encode())
        time.sleep(0.0005)


def end(way: str, pipeline: Pipeline, plan: dict[str, Any]) -> None:
    """Leave."""
    if way == "exception":
        raise RuntimeError("the application failed")
    if way == "sigint":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
    if way in {"sigterm", "sighup", "sigkill"}:
        os.kill(os.getpid(), getattr(signal, way.upper()))
        time.sleep(30)
    if way == "os._exit":
        os._exit(0)
    if way == "exec":
        again = json.dumps({**plan, "end": "exit", "prefix": "execed", "count": 1})
        os.execv(sys.executable, [sys.executable, "-m", "faults.child", again])
    if way == "emit at exit":
        import atexit

        # Runs before the pipeline's own handler, which was registered at the first span.
        atexit.register(emit, pipeline, 500, 5, "last")
    if way == "emit after our exit":
        pipeline._at_exit()  # pyright: ignore[reportPrivateUsage]
        emit(pipeline, 500, 5, "last")
    if way == "fork and os._exit":
        fork_and_leave(pipeline)
    if way == "sys.exit":
        sys.exit(3)


def fork_and_leave(pipeline: Pipeline) -> None:
    """A child that emits and leaves without any handler, as soon as its spans are safe."""
    child = os.fork()
    if not child:
        emit(pipeline, 0, 7, "child")
        while pipeline.stats().queued:
            time.sleep(0.001)
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
