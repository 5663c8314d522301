"""What worker processes of the tests run: importable, as a spawned worker has to find it by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.notes import config, emit
from promptspan._pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE: list[Pipeline] = []


def work_in_pool(number: int) -> int:
    """Emit in a worker process; the last spans must survive its end without any flush."""
    emit(PIPELINE[0], number * 10, 10, "worker")
    return number


def pool_initialiser(endpoint: str, spool: Path | None) -> None:
    """A pipeline of the worker's own, as in a spawned worker."""
    PIPELINE[:] = [Pipeline(config(endpoint, spool, linger_s=60.0))]
