"""Numbered `.sql` files, applied once, in order, to the embedded engine or to a ClickHouse server.

What was applied is recorded in `schema_migrations` with the SHA-256 of its file. An applied file never
changes: a correction is a new file.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptspan_server.store.split import split_statements

if TYPE_CHECKING:
    from promptspan_server.store.cluster import Cluster
    from promptspan_server.store.executor import Executor

MIGRATIONS = Path(__file__).parent / "migrations"

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32 COMMENT 'number of the file',
    name String COMMENT 'name of the file',
    sha256 String COMMENT 'of its content, hex',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'UTC'
)
ENGINE = MergeTree
ORDER BY version
"""


class MigrationError(Exception):
    """The store and the files disagree. The message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL.

    Attributes:
        version: Its number; files apply in this order.
        name: The rest of its name.
        sql: Its text.
        sha256: Of its text, hex.
    """

    version: int
    name: str
    sql: str
    sha256: str


def load_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Read the files of a folder, by number.

    Raises:
        MigrationError: A name that is not `0001_name.sql`, or two files of one number.
    """
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        named = _FILE_NAME.fullmatch(path.name)
        if named is None:
            raise MigrationError(f"{path.name} is not named like 0001_what_it_does.sql")
        version = int(named[1])
        if version in found:
            raise MigrationError(f"two files have number {version:04}: {found[version].name} and {named[2]}")
        text = path.read_text(encoding="utf-8")
        found[version] = Migration(version, named[2], text, hashlib.sha256(text.encode()).hexdigest())
    return [found[version] for version in sorted(found)]


def applied_versions(executor: Executor) -> dict[int, tuple[str, str]]:
    """What the store has: number to (name, sha256). Empty for a store without a schema."""
    known = executor.rows(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
    )
    if not known[0][0]:
        return {}
    rows = executor.rows("SELECT version, name, sha256 FROM schema_migrations ORDER BY applied_at, version")
    return {int(version): (str(name), str(sha256)) for version, name, sha256 in rows}


def pending_migrations(executor: Executor, *, folder: Path = MIGRATIONS) -> list[Migration]:
    """The files that the store does not have yet.

    Raises:
        MigrationError: An applied file has changed, or the store is newer than this program.
    """
    migrations = load_migrations(folder)
    applied = applied_versions(executor)
    known = {migration.version: migration for migration in migrations}
    for version, (name, sha256) in sorted(applied.items()):
        ours = known.get(version)
        if ours is None:
            raise MigrationError(
                f"the store has migration {version:04}_{name}, which is newer than this program: "
                "upgrade promptspan"
            )
        if ours.sha256 != sha256:
            raise MigrationError(
                f"migration {version:04}_{name} was applied with another content ({sha256[:12]}, now "
                f"{ours.sha256[:12]}): restore the file and put the change into a new one"
            )
    return [migration for migration in migrations if migration.version not in applied]


def migrate(
    executor: Executor, *, folder: Path = MIGRATIONS, cluster: Cluster | None = None, as_definer: bool = False
) -> list[str]:
    """Bring a store's schema up to date. Does nothing if it is.

    A statement that fails leaves its file unrecorded and the earlier statements of that file in place.
    ClickHouse has no transactions for DDL, so objects that such an attempt left behind are kept when the
    file is tried again.

    Args:
        executor: Where to apply.
        folder: Where the files are.
        cluster: Make the tables on all nodes of this cluster; `executor` speaks to one of them.
        as_definer: Let views write with the rights of this user, so that whoever sends spans needs no rights
            on the tables behind. For a server with users; an insert costs a tenth more.

    Returns:
        Names of the files applied now, in order.

    Raises:
        MigrationError: See `pending_migrations`; or the store is of one server and not of a cluster.
        StoreError: A statement failed.
    """
    _check_kind(executor, cluster)
    pending = pending_migrations(executor, folder=folder)
    if pending:
        for statement in statements(_RECORD, cluster, as_definer=as_definer):
            executor.command(statement)
    names: list[str] = []
    for migration in pending:
        for statement in statements(migration.sql, cluster, as_definer=as_definer):
            executor.command(statement)
        executor.insert(
            "schema_migrations",
            ["version", "name", "sha256"],
            [(migration.version, migration.name, migration.sha256)],
        )
        names.append(f"{migration.version:04}_{migration.name}")
    return names


def statements(sql: str, cluster: Cluster | None = None, *, as_definer: bool = False) -> list[str]:
    """The statements of a file, as they are run: what exists already is left as it is. See `migrate`."""
    found = split_statements(sql)
    if cluster is None:
        rendered = [_repeatable(statement) for statement in found]
    else:
        rendered = [part for statement in found for part in cluster.render(statement)]
    return [_with_definer(statement) for statement in rendered] if as_definer else rendered


def script(cluster: Cluster, folder: Path = MIGRATIONS) -> str:
    """Everything that `migrate` runs on an empty cluster, as one file of SQL for a person to read."""
    parts = [f"-- {m.version:04}_{m.name}\n{_joined(m.sql, cluster)}" for m in load_migrations(folder)]
    return f"{_joined(_RECORD, cluster)}\n" + "\n".join(parts)


def _joined(sql: str, cluster: Cluster) -> str:
    return "".join(f"{statement};\n" for statement in statements(sql, cluster, as_definer=True))


def _check_kind(executor: Executor, cluster: Cluster | None) -> None:
    found = executor.rows(
        "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
    )
    if not found:
        return
    replicated = str(found[0][0]).startswith("Replicated")
    if cluster is not None and not replicated:
        raise MigrationError("this store is of one server: a cluster needs a database of its own")
    if cluster is None and replicated:
        raise MigrationError("this store is of a cluster: say --cluster NAME, so that every node is migrated")


_CREATE = re.compile(
    r"(CREATE\s+(?:TABLE|MATERIALIZED\s+VIEW|VIEW|DICTIONARY))\s+(?!IF\s+NOT\s+EXISTS)", re.IGNORECASE
)


_TARGET = re.compile(r"(CREATE\s+MATERIALIZED\s+VIEW\s+.*?\bTO\s+\w+)(\s)", re.IGNORECASE | re.DOTALL)


def _repeatable(statement: str) -> str:
    # A file that failed half way is applied again from its first statement.
    return _CREATE.sub(r"\1 IF NOT EXISTS ", statement, count=1) if _CREATE.match(statement) else statement


def _with_definer(statement: str) -> str:
    return _TARGET.sub(r"\1 DEFINER = CURRENT_USER SQL SECURITY DEFINER\2", statement, count=1)
