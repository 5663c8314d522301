from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.test_locate import Plan, world
from promptspan_server.analysis.cells import Dimension
from promptspan_server.analysis.mix import adjust
from promptspan_server.analysis.whereabouts import left_over


def test_other_traffic_explains_a_difference_of_means() -> None:
    adjusted = adjust(world(Plan(factor=1.0, shifted=True)), alpha=0.01)
    assert adjusted is not None
    assert adjusted.within == ("feature", "tenant")
    assert adjusted.nothing_left
    assert adjusted.high / adjusted.low < 1.15
    assert left_over(adjusted, is_rate=False).endswith("other traffic may be all of the difference.")


@pytest.mark.parametrize("kind", ["mean", "rate"])
def test_a_difference_of_behaviour_is_left(kind: str) -> None:
    plan = Plan(factor=1.0, everywhere=2.0, shifted=True, kind=kind)
    adjusted = adjust(world(plan), alpha=0.01)
    assert adjusted is not None
    assert adjusted.low < 2 < adjusted.high
    assert not adjusted.nothing_left
    assert "Among calls of the same feature and tenant it is " in left_over(adjusted, is_rate=kind == "rate")


def test_equal_versions_are_rarely_called_different_whatever_the_traffic() -> None:
    claims = [
        adjust(world(Plan(factor=1.0, shifted=True, calls=3000, seed=seed)), alpha=0.05) for seed in range(60)
    ]
    assert sum(claim is not None and not claim.nothing_left for claim in claims) <= 3


def test_calls_of_one_user_group_make_the_interval_wider() -> None:
    cells = world(Plan(factor=1.0))
    rng = np.random.default_rng(1)
    many = int(cells.calls.shape[1])
    users = rng.integers(0, 8, many)
    moved = cells.logs + np.where(cells.calls > 0, rng.normal(0, 0.3, (2, 8))[:, users], 0)
    moved = np.where(cells.calls > 0, moved, 0)
    alone = replace(cells, logs=moved, squares=moved**2)
    grouped = replace(
        alone,
        dimensions=(*cells.dimensions, Dimension("user group", users, [str(each) for each in range(8)])),
    )
    narrow, wide = adjust(alone, alpha=0.01), adjust(grouped, alpha=0.01)
    assert narrow is not None
    assert wide is not None
    assert wide.high / wide.low > 1.5 * narrow.high / narrow.low


def test_groups_without_a_common_feature_cannot_be_adjusted() -> None:
    cells = world(Plan())
    apart = Dimension("feature", np.where(cells.calls[1] > 0, 1, 0), ["old", "new"])
    assert adjust(replace(cells, dimensions=(apart,)), alpha=0.01) is None
    assert adjust(cells.without(cells.calls.sum(axis=0) > 0), alpha=0.01) is None
