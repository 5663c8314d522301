from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.ingest.landing import land
from promptspan_server.pricing.corrections import find_corrections
from promptspan_server.store.engine import Engine
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.ingest.landing import Signal

_DATA = (
    "spans",
    "llm_calls",
    "llm_texts",
    "scores",
    "prompt_templates",
    "sdk_losses",
    "quarantine",
    "instrumentations",
    "hour_states",
    "llm_call_corrections",
)
_tokens = itertools.count()


class Store:
    """A migrated store, as a test speaks to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def land(self, *bodies: bytes, signal: Signal = "traces", token: str | None = None) -> None:
        with self.engine.handle() as handle:
            land(handle, signal, bodies, token or f"test {next(_tokens)}")
            # As the store process does every few seconds.
            find_corrections(HandleExecutor(handle))

    def command(self, sql: str) -> None:
        with self.engine.handle() as handle:
            HandleExecutor(handle).command(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.engine.handle() as handle:
            return HandleExecutor(handle).rows(sql)

    def value(self, sql: str) -> Any:
        (row,) = self.rows(sql)
        return row[0]

    def call(self, columns: str, where: str = "true", table: str = "llm_calls") -> dict[str, Any]:
        """The one call there is, its columns by name."""
        (row,) = self.rows(f"SELECT {columns} FROM {table} FINAL WHERE {where}")
        return dict(zip((name.strip() for name in columns.split(",")), row, strict=True))

    def empty(self) -> None:
        for table in _DATA:
            self.command(f"TRUNCATE TABLE {table}")


# Starting and migrating an engine takes a second: one for a module, emptied before each test.
@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Engine.open(tmp_path_factory.mktemp("store") / "data") as engine:
        with engine.handle() as handle:
            migrate(HandleExecutor(handle))
        yield Store(engine)


@pytest.fixture
def store(module_store: Store) -> Store:
    module_store.empty()
    return module_store
