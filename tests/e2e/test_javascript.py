from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.running import until

if TYPE_CHECKING:
    from e2e.running import Store

HERE = Path(__file__).parent / "js"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "e2e-js"


@pytest.fixture(scope="session")
def sender() -> Path:
    """The script beside its packages, which are installed once, outside what is committed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    lock = (HERE / "package-lock.json").read_bytes()
    installed = CACHE / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock:
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, CACHE / name)
        options = [
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries=1",
            "--fetch-timeout=20000",
        ]
        done = subprocess.run(
            [npm, "ci", *options], cwd=CACHE, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not install the packages: {done.stderr.strip()[-300:]}")
        installed.write_bytes(lock)
    shutil.copy(HERE / "send.mjs", CACHE / "send.mjs")
    return CACHE / "send.mjs"


@pytest.mark.node
def test_spans_of_the_javascript_sdk_become_calls(store: Store, sender: Path) -> None:
    done = subprocess.run(
        ["node", str(sender), store.endpoint], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    where = "FROM llm_calls FINAL WHERE trace_id = {trace:String} AND billable"
    until(
        lambda: store.value(f"SELECT count() {where}", trace=sent["trace"]) == 2,
        "both model calls in llm_calls",
    )
    columns = """span_id, service, environment, feature, prompt_name, prompt_version, provider,
        response_model, response_id, input_tokens, cache_read_tokens, output_tokens, status, error_type,
        finish_reasons"""
    calls = {row[0]: row[1:] for row in store.rows(f"SELECT {columns} {where}", trace=sent["trace"])}
    known = (
        "javascript-app",
        "e2e",
        "greeting",
        "javascript-greeting",
        "4",
        "openai",
        "gpt-4o-mini-2024-07-18",
    )
    assert calls[sent["good"]] == (*known, "chatcmpl-js-1", 1201, 1024, 31, "ok", "", ["stop"])
    assert calls[sent["bad"]][:8] == (*known, "chatcmpl-js-2")
    assert calls[sent["bad"]][8::2] == (None, None, "RateLimitError")
    assert calls[sent["bad"]][11] == "error"
