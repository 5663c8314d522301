"""The Collector's own opinion of its configuration, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import yaml

from collector.collectors import BINARY, CONFIG, REPOSITORY, TOKEN, built

if TYPE_CHECKING:
    from pathlib import Path


def validate(**environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PROMPTSPAN_")}
    return subprocess.run(
        [built(BINARY), "validate", f"--config={CONFIG}"],
        capture_output=True,
        text=True,
        env=own | environment,
        timeout=30,
        check=False,
    )


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    done = validate(PROMPTSPAN_TOKEN=TOKEN, PROMPTSPAN_QUEUE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_without_a_token_it_does_not_start(tmp_path: Path) -> None:
    done = validate(PROMPTSPAN_QUEUE_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "token" in done.stderr


def test_every_part_of_the_collector_is_of_one_release() -> None:
    manifest = yaml.safe_load((REPOSITORY / "collector-config" / "builder.yaml").read_text())
    version = manifest["dist"]["version"]
    kinds = ("extensions", "receivers", "processors", "exporters")
    parts = [part["gomod"] for kind in kinds for part in manifest[kind]]
    assert len(parts) == 6
    assert {part.split()[1] for part in parts} == {f"v{version}"}
    assert f"OTEL_VERSION := {version}\n" in (REPOSITORY / "Makefile").read_text()
