from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collector.collectors import BINARY, Collector, built
from e2e.running import Store, start_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Backend(Store):
    """A store process that can go away and come back where it was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__(start_store(folder))

    def client(self, **options: Any) -> Any:
        # Looking again and again would fill the store with sessions.
        return super().client(autogenerate_session_id=False, **options)

    def kill(self) -> None:
        self.running.kill()

    def start(self) -> None:
        super().__init__(start_store(self._folder, clickhouse_port=self.clickhouse_port))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """One store for all tests of this folder: each looks at what it sent."""
    backend = Backend(tmp_path_factory.mktemp("store"))
    yield backend
    assert backend.running.stop() == 0


@pytest.fixture
def collector(store: Backend, tmp_path: Path) -> Iterator[Collector]:
    """Our Collector before the store."""
    built(BINARY)
    running = Collector(tmp_path, store.clickhouse_port)
    running.start()
    yield running
    running.kill()
