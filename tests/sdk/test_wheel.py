"""The thin SDK as it is installed: the wheel alone, in an environment with nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"streamlit", "chdb", "clickhouse_connect", "plotly", "pandas", "pyarrow", "uvicorn", "starlette"}
USE = """
import importlib.util, json, sys, threading
import promptspan
loaded = sorted({name.partition(".")[0] for name in sys.modules})
threads = [thread.name for thread in threading.enumerate()]

@promptspan.traced_prompt
def ask(): return {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 3}}

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
promptspan.configure(exporter=exporter, spool=None)
ask()
assert promptspan.flush(20)
print(json.dumps({
    "file": promptspan.__file__,
    "loaded": loaded,
    "threads": threads,
    "findable": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
    "tokens": exporter.get_finished_spans()[0].attributes["gen_ai.usage.input_tokens"],
}))
"""


def uv(*arguments: str | Path) -> None:
    """Run uv with what it has in its cache, else with the network; the test skips where neither is enough."""
    tool = (
        os.environ.get("UV")
        or shutil.which("uv")
        or shutil.which("uv", path=str(Path(sys.executable).parent))
    )
    if tool is None:
        pytest.skip("uv is not installed")
    for offline in (["--offline"], []):
        done = subprocess.run(
            [tool, *arguments, *offline], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120
        )
        if done.returncode == 0:
            return
    pytest.skip(f"uv {arguments[0]} cannot do it: {done.stderr.strip()[-300:]}")


def test_the_wheel_alone_records_and_loads_nothing_of_the_server(tmp_path: Path) -> None:
    uv("build", "--wheel", "--quiet", "--out-dir", tmp_path)
    (wheel,) = tmp_path.glob("promptspan-*.whl")
    python = tmp_path / "bare" / "bin" / "python"
    uv("venv", "--quiet", "--python", sys.executable, tmp_path / "bare")
    uv("pip", "install", "--quiet", "--python", python, wheel)

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OTEL_"))}
    done = subprocess.run(
        [python, "-c", USE, *sorted(HEAVY)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env=clean,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["file"].startswith(str(tmp_path))
    assert not HEAVY & set(seen["loaded"])
    assert "promptspan_server" not in seen["loaded"]
    assert seen["findable"] == []  # what is not installed cannot be needed
    assert seen["threads"] == ["MainThread"]
    assert seen["tokens"] == 3
