"""A store's directory, made once a run and copied: migrations and prices take two seconds of a core."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = "PROMPTSPAN_TEST_MADE_STORE"  # where it is: the workers of a run share one
_PORTS = ("--clickhouse-port=0", "--otlp-port=0", "--otlp-grpc-port=0")


def copy_to(data_dir: Path) -> None:
    """Put a store without a call where there is none yet; one that is there is left as it is."""
    if data_dir.is_dir() and any(data_dir.iterdir()):
        return
    folder = Path(os.environ[FOLDER])
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _make(folder / "data")
            (folder / "done").touch()
    shutil.copytree(folder / "data", data_dir, dirs_exist_ok=True, symlinks=True)


def _make(data_dir: Path) -> None:
    command = [sys.executable, "-m", "promptspan_server.cli.store_process", f"--data-dir={data_dir}", *_PORTS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = any('"ready"' in line for line in process.stdout)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert ready, f"the store did not start: {said}"
    assert process.returncode == 0, said
