from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.running import Store, start_up

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """`promptspan up --no-dashboard`, shared by the tests of this folder: each filters for what it sent."""
    running = start_up(tmp_path_factory.mktemp("up"))
    yield Store(running)
    assert running.stop() == 0
