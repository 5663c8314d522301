"""A copy of a running store, and the store that is made from it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from e2e.bodies import model_call, number, request, text
from e2e.running import Store, start_store, until

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = """ts, span_id, trace_id, prompt_name, input_tokens, output_tokens, user_id, finish_reasons,
    attributes, duration_ms, cost_usd, price_status, billable"""
OLD = 20 * 86_400 * 1_000_000_000


def promptspan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("promptspan")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    running = start_store(tmp_path_factory.mktemp("source"))
    store = Store(running)
    spans = [model_call(one, prompt="kept", input_tokens=one) for one in range(1, 400)]
    for place, span in enumerate(spans):
        span.attributes.extend([text("note", "tab\there\nline \\ quote ' ünï"), number("n", place)])
        span.attributes.append(text("gen_ai.input.messages", f"[{place}]"))
        span.start_time_unix_nano -= OLD * (place % 2)
        span.end_time_unix_nano -= OLD * (place % 2)
    for body in (request(*spans), request(*spans[:50])):
        sent = httpx.post(
            f"{store.endpoint}/v1/traces",
            content=body,
            headers={"Content-Type": "application/x-protobuf"},
            trust_env=False,
        )
        assert sent.status_code == 200
    until(lambda: store.value("SELECT sum(calls) FROM llm_hourly") == len(spans), "the ledger", within_s=90)
    yield store
    assert running.stop() == 0


@pytest.fixture(scope="module")
def copy(source: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backups") / "monday"
    done = promptspan("backup", folder, "--dsn", f"http://default@127.0.0.1:{source.clickhouse_port}/default")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "rows of" in done.stdout
    return folder


def test_what_is_restored_is_what_was_there_to_the_last_digit(
    source: Store, copy: Path, tmp_path: Path
) -> None:
    done = promptspan("restore", copy, "--data-dir", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert "are back" in done.stdout
    running = start_store(tmp_path / "new")
    try:
        restored = Store(running)
        for sql in (
            f"SELECT {COLUMNS} FROM llm_costs ORDER BY span_id",
            "SELECT * FROM llm_texts FINAL ORDER BY span_id",
            "SELECT * FROM spans FINAL ORDER BY span_id",
            "SELECT hour, prompt_name, calls, cost_usd, duration_hist FROM llm_hourly ORDER BY ALL",
        ):
            wanted = source.rows(sql)
            assert wanted
            assert restored.rows(sql) == wanted
        again = promptspan(
            "restore", copy, f"--dsn=http://default@127.0.0.1:{restored.clickhouse_port}/default"
        )
        assert again.returncode == 2
        assert "the store is not empty" in again.stderr
    finally:
        running.stop()


@pytest.mark.long
def test_a_damaged_copy_is_refused(copy: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(copy, damaged)
    manifest = json.loads((damaged / "manifest.json").read_text())
    [calls] = [table for table in manifest["tables"] if table["name"] == "llm_calls"]
    assert calls["rows"] == 399
    calls["checksum"] = "0" * 16
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    done = promptspan("restore", damaged, "--data-dir", tmp_path / "new")
    assert done.returncode == 2
    assert "llm_calls is not what was copied" in done.stderr
    (damaged / "llm_calls.tsv.zst").unlink()
    missing = promptspan("restore", damaged, "--data-dir", tmp_path / "other")
    assert "llm_calls.tsv.zst is missing" in missing.stderr
    nothing = promptspan("restore", tmp_path, "--data-dir", tmp_path / "other")
    assert "is no backup of promptspan" in nothing.stderr
    assert not (tmp_path / "other").exists()


def test_a_copy_is_not_written_over(source: Store, copy: Path) -> None:
    done = promptspan("backup", copy, "--dsn", f"http://default@127.0.0.1:{source.clickhouse_port}/default")
    assert done.returncode == 2
    assert "exists already" in done.stderr
