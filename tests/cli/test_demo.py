from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promptspan_server.cli.demo import forget
from promptspan_server.cli.failure import CommandError
from promptspan_server.store.directory import DataDirectory

if TYPE_CHECKING:
    from pathlib import Path


def test_a_fresh_demo_forgets_only_what_a_store_recorded(tmp_path: Path) -> None:
    DataDirectory.lock(tmp_path).unlock()
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "part.bin").touch()
    (tmp_path / "thesis.txt").write_text("mine")
    forget(tmp_path)
    assert not (tmp_path / "engine").exists()
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_directory_that_no_store_ever_owned_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    forget(tmp_path)
    forget(tmp_path / "absent")
    assert (tmp_path / "engine").exists()


def test_a_directory_in_use_is_not_forgotten(tmp_path: Path) -> None:
    owner = DataDirectory.lock(tmp_path)
    (tmp_path / "engine").mkdir()
    with pytest.raises(CommandError, match="in use"):
        forget(tmp_path)
    owner.unlock()
    assert (tmp_path / "engine").exists()
