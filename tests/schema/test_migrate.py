from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promptspan_server.store.engine import Engine, StoreError
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import (
    MigrationError,
    applied_versions,
    load_migrations,
    migrate,
    pending_migrations,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[HandleExecutor]:
    with Engine.open(tmp_path / "data") as engine, engine.handle() as handle:
        yield HandleExecutor(handle)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    (path / "0001_one.sql").write_text(
        "CREATE TABLE one (x UInt8) ENGINE = MergeTree ORDER BY x;\nINSERT INTO one VALUES (1);"
    )
    (path / "0002_two.sql").write_text("-- a view; with a comment\nCREATE VIEW two AS SELECT x FROM one;")
    return path


def test_files_apply_in_order_and_once(executor: HandleExecutor, folder: Path) -> None:
    assert migrate(executor, folder=folder) == ["0001_one", "0002_two"]
    assert migrate(executor, folder=folder) == []
    assert executor.rows("SELECT count() FROM two") == [(1,)]
    assert [name for name, _ in applied_versions(executor).values()] == ["one", "two"]


def test_a_new_file_applies_on_top(executor: HandleExecutor, folder: Path) -> None:
    migrate(executor, folder=folder)
    (folder / "0003_three.sql").write_text("INSERT INTO one VALUES (3)")
    assert [migration.name for migration in pending_migrations(executor, folder=folder)] == ["three"]
    assert migrate(executor, folder=folder) == ["0003_three"]
    assert executor.rows("SELECT sum(x) FROM one") == [(4,)]


def test_a_changed_file_is_refused_before_anything_is_applied(executor: HandleExecutor, folder: Path) -> None:
    migrate(executor, folder=folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE one (x UInt16) ENGINE = MergeTree ORDER BY x;")
    (folder / "0003_three.sql").write_text("INSERT INTO one VALUES (3)")
    with pytest.raises(MigrationError, match="0001_one was applied with another content"):
        migrate(executor, folder=folder)
    assert executor.rows("SELECT count() FROM one") == [(1,)]


def test_a_store_of_a_newer_program_is_refused(executor: HandleExecutor, folder: Path) -> None:
    migrate(executor, folder=folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match="newer than this program"):
        migrate(executor, folder=folder)


def test_a_file_that_failed_half_way_is_tried_again(executor: HandleExecutor, folder: Path) -> None:
    broken = folder / "0003_three.sql"
    broken.write_text("CREATE TABLE three (x UInt8) ENGINE = MergeTree ORDER BY x;\nSELECT * FROM nowhere;")
    with pytest.raises(StoreError, match="nowhere"):
        migrate(executor, folder=folder)
    broken.write_text(
        "CREATE TABLE three (x UInt8) ENGINE = MergeTree ORDER BY x;\nINSERT INTO three VALUES (1);"
    )
    assert migrate(executor, folder=folder) == ["0003_three"]
    assert executor.rows("SELECT count() FROM three") == [(1,)]


@pytest.mark.parametrize("name", ["1_short.sql", "0003-dash.sql", "0003_Upper.sql"])
def test_a_file_with_another_name_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match="is not named like"):
        load_migrations(folder)


def test_two_files_of_one_number_are_refused(folder: Path) -> None:
    (folder / "0002_other.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="two files have number 0002"):
        load_migrations(folder)
