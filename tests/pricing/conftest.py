from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from promptspan_server.pricing.sync import sync_prices
from promptspan_server.store.engine import Engine
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.store.executor import Executor

_serial = count(1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine a module: a process has one at a time."""
    with Engine.open(tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def _fresh(engine: Engine) -> Iterator[Executor]:
    """A migrated store: a database of its own."""
    with engine.handle() as handle:
        name = f"store_{next(_serial)}"
        handle.query(f"CREATE DATABASE {name}")
        handle.query(f"USE {name}")
        executor = HandleExecutor(handle)
        migrate(executor)
        yield executor
        handle.query("USE default")
        handle.query(f"DROP DATABASE {name} SYNC")


@pytest.fixture(scope="module")
def database(engine: Engine) -> Iterator[Executor]:
    """The store that `store` empties for each test: migrating takes longer than any test."""
    yield from _fresh(engine)


@pytest.fixture
def store(database: Executor) -> Executor:
    """An empty, migrated store without a price book."""
    for (table,) in database.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0"
        " AND name != 'schema_migrations'"
    ):
        database.command(f"TRUNCATE TABLE {table}")
    return database


@pytest.fixture
def priced_store(store: Executor) -> Executor:
    """An empty store with the package's price book in force."""
    sync_prices(store)
    return store


@pytest.fixture(scope="module")
def shared_store(engine: Engine) -> Iterator[Executor]:
    """A store with the package's price book, for a whole module whose tests only add calls."""
    for executor in _fresh(engine):
        sync_prices(executor)
        yield executor
