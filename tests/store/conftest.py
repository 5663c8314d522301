from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promptspan_server.store.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.open(tmp_path / "data") as opened:
        yield opened
