from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queries.live_store import LiveStore, running_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    """One store process for all tests of this folder."""
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store
