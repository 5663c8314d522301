from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from faults.notes import balanced, config
from faults.sink import Sink, running_sink
from promptspan._pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as running:
        yield running


@pytest.fixture
def make_pipeline(sink: Sink, tmp_path: Path) -> Iterator[MakePipeline]:
    """Pipelines to the sink with one spool; each is shut down in the end, and its ledger must agree."""
    made: list[Pipeline] = []

    def make(**changes: Any) -> Pipeline:
        settings: dict[str, Any] = {"endpoint": sink.endpoint, "spool_dir": tmp_path / "spool", **changes}
        pipeline = Pipeline(config(**settings))
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        pipeline.shutdown(0)
        stats = pipeline.stats()
        assert balanced(stats), stats
        assert balanced(stats.adopted), stats
