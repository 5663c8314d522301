"""A store that a released version filled, opened by this one.

For each tag `v*` of the repository, that version's own code makes a store and fills it; this version migrates
and reads it. Nothing is released yet, so today the last commit stands in for one: what the mechanism does is
tried, and the first tag is tested the moment it exists.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.running import Store, start_store

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).resolve().parents[2]

# Run with the released version's code.
FILL = """
import json, os, sys, time
sys.path[:0] = [sys.argv[1] + "/dashboard", sys.argv[1] + "/sdk", sys.argv[1] + "/tests"]
import promptspan_server
assert promptspan_server.__file__.startswith(sys.argv[1]), promptspan_server.__file__
from e2e.bodies import model_call, request
from promptspan_server.ingest.landing import land
from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.store.engine import Engine
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import migrate
with Engine.open(sys.argv[2]) as engine, engine.handle() as handle:
    executor = HandleExecutor(handle)
    migrate(executor)
    sync_prices(executor)
    calls = [model_call(number, prompt="old", input_tokens=number) for number in range(1, 201)]
    land(handle, "traces", [request(*calls)], "one")
    recompute(executor, interval_s=0)
    print(json.dumps([list(executor.rows(sql)[0]) for sql in json.loads(sys.argv[3])]), flush=True)
"""
# The contract: names that people and finance rely on.
WHERE = "WHERE prompt_name = 'old'"
QUESTIONS = [
    f"SELECT toString(count()), toString(sum(input_tokens + output_tokens)) FROM llm_calls FINAL {WHERE}",
    f"SELECT toString(count()), toString(sum(cost_usd)), any(price_status) FROM llm_costs {WHERE}",
    f"SELECT toString(sum(calls)), toString(sum(cost_usd)) FROM llm_hourly {WHERE}",
    "SELECT toString(count()) FROM spans FINAL",
]


def git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", REPOSITORY, *arguments], capture_output=True, check=False)
    return done.stdout.decode() if done.returncode == 0 else ""


def releases() -> list[str]:
    """Released versions, the last commit where there is none."""
    return git("tag", "--list", "v*").split() or ["HEAD"]


@pytest.mark.parametrize("release", releases())
def test_a_store_of_a_released_version_opens_with_everything_in_it(release: str, tmp_path: Path) -> None:
    if release == "HEAD" and git(
        "status", "--porcelain", "--", "dashboard/promptspan_server/store/migrations"
    ):
        pytest.skip("migrations differ from the last commit, which stands in for a release")
    code = tmp_path / "code"
    code.mkdir()
    packed = subprocess.run(["git", "-C", REPOSITORY, "archive", release], capture_output=True, check=False)
    if packed.returncode:
        pytest.skip("not a git repository with its history")
    subprocess.run(["tar", "-x", "-C", code], input=packed.stdout, check=True)
    before = answers([sys.executable, "-c", FILL, str(code), str(tmp_path / "data"), json.dumps(QUESTIONS)])
    assert before[0][0] == "200"
    assert before[1][2] == "priced"
    assert before[2][0] == "200"
    running = start_store(tmp_path / "data")
    try:
        store = Store(running)
        after = [list(store.rows(question)[0]) for question in QUESTIONS]
    finally:
        assert running.stop() == 0
    assert after == before


def answers(command: Sequence[str]) -> Any:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=own, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
