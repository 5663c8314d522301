from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from promptspan_server.analysis.cells import Cells, Dimension
from promptspan_server.analysis.locate import locate
from promptspan_server.analysis.whereabouts import sentences, short


@dataclass
class Plan:
    """Two groups whose calls in one segment differ by a factor."""

    segment: tuple[tuple[str, int], ...] = (("feature", 1),)
    factor: float = 2.0
    everywhere: float = 1.0
    shifted: bool = False
    kind: str = "mean"
    calls: int = 24_000
    seed: int = 3


def world(plan: Plan) -> Cells:
    rng = np.random.default_rng(plan.seed)
    n = plan.calls
    group = rng.integers(0, 2, n)
    codes = {
        "feature": rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1]),
        "tenant": rng.integers(0, 12, n),
        "model": rng.integers(0, 3, n),
        "streaming": rng.integers(0, 2, n),
    }
    codes["provider"] = np.minimum(codes["model"], 1)
    if plan.shifted:
        # Half of the second group's calls of feature 0 are of the dear feature 3 instead.
        codes["feature"] = np.where(
            (group == 1) & (codes["feature"] == 0) & (rng.random(n) < 0.5), 3, codes["feature"]
        )
    inside = np.ones(n, dtype=bool)
    for name, value in plan.segment:
        inside &= codes[name] == value
    usual = np.take([1.0, 1.5, 2.0, 6.0], codes["feature"]) * np.where(group == 1, plan.everywhere, 1.0)
    usual = usual * np.where(inside & (group == 1), plan.factor, 1.0)
    if plan.kind == "rate":
        sums = (rng.random(n) < 0.02 * usual).astype(float)
        logs = squares = sums
    else:
        sums = 0.001 * usual * np.exp(rng.normal(0, 0.6, n))
        logs = sums if plan.kind == "total" else np.log(sums)
        squares = logs**2

    def by_group(values: np.ndarray) -> np.ndarray:
        return np.stack([np.where(group == each, values, 0.0) for each in (0, 1)])

    return Cells(
        kind=plan.kind,  # type: ignore[arg-type]
        dimensions=tuple(
            Dimension(name, each, [f"{name[0]}{value}" for value in range(int(each.max()) + 1)])
            for name, each in codes.items()
        ),
        calls=by_group(np.ones(n)),
        sums=by_group(sums),
        logs=by_group(logs),
        squares=by_group(squares),
        exposure=1.0 if plan.kind == "total" else None,
    )


@pytest.mark.parametrize("kind", ["mean", "rate", "total"])
def test_one_value_is_found_and_nothing_beside_it(kind: str) -> None:
    found = locate(world(Plan(kind=kind)))
    assert [each.predicates for each in found.segments] == [(("feature", "f1"),)]
    segment = found.segments[0]
    assert 0.85 < segment.share < 1.15
    assert segment.b / segment.a == pytest.approx(2, rel=0.3)
    assert segment.rest_b / segment.rest_a == pytest.approx(1, rel=0.3)


def test_a_pair_is_found_where_neither_value_alone_would_do() -> None:
    found = locate(world(Plan(segment=(("feature", 1), ("tenant", 4)), factor=3)))
    assert set(found.segments[0].predicates) == {("feature", "f1"), ("tenant", "t4")}


def test_two_names_for_the_same_calls_are_one_answer() -> None:
    found = locate(world(Plan(segment=(("model", 0),))))
    assert found.segments[0].predicates == (("model", "m0"),)
    assert found.segments[0].also == (("provider", "p0"),)


def test_a_second_place_is_found_in_what_is_left() -> None:
    cells = world(Plan(segment=(("feature", 1),), factor=3))
    second = cells.dimensions[1].codes == 5
    dearer = cells.logs + np.where(second & (cells.calls > 0) & (np.arange(2) == 1)[:, None], np.log(2), 0)
    cells = replace(cells, logs=dearer, sums=np.where(cells.calls > 0, np.exp(dearer), 0))
    cells = replace(cells, squares=dearer**2)
    assert [each.predicates for each in locate(cells).segments] == [
        (("feature", "f1"),),
        (("tenant", "t5"),),
    ]


def test_nothing_stands_out_if_everything_changed_alike() -> None:
    found = locate(world(Plan(factor=1.0, everywhere=1.4)))
    assert found.segments == ()
    assert found.within == pytest.approx(found.b - found.a, rel=0.1)
    assert sentences(found, unit="usd", a="6", b="7")[0] == (
        "No segment stands out: as far as can be told, it is everywhere alike."
    )


def test_nothing_stands_out_where_nothing_changed() -> None:
    silent = [
        locate(world(Plan(factor=1.0, kind=kind, seed=seed)))
        for seed in range(6)
        for kind in ("mean", "rate")
    ]
    assert [each.segments for each in silent] == [()] * len(silent)


def test_other_traffic_is_told_apart_from_other_behaviour() -> None:
    found = locate(world(Plan(factor=1.0, shifted=True)))
    assert found.segments == ()
    assert found.mix == pytest.approx(found.b - found.a, rel=0.05)
    assert found.within == pytest.approx(0, abs=0.05 * found.mix)


def test_the_parts_add_up_to_the_change() -> None:
    for kind in ("mean", "rate", "total"):
        found = locate(world(Plan(kind=kind, shifted=True)))
        assert found.volume + found.mix + found.within == pytest.approx(found.b - found.a)


def test_a_dimension_that_differs_altogether_is_said_and_not_searched() -> None:
    cells = world(Plan())
    codes = np.where(cells.calls[1] > 0, 1, 0)
    changed = (Dimension("request model", codes, ["old", "new"]), *cells.dimensions)
    found = locate(replace(cells, dimensions=changed))
    assert found.apart == (("request model", "old", "new"),)
    assert found.segments[0].predicates == (("feature", "f1"),)


def test_a_direction_leaves_out_what_went_the_other_way() -> None:
    cells = world(Plan())
    assert locate(cells, direction=-1).segments == ()
    assert locate(cells, direction=1).segments[0].predicates == (("feature", "f1"),)


@pytest.mark.parametrize("calls", [0, 1, 50])
def test_few_calls_say_nothing(calls: int) -> None:
    assert locate(world(Plan(calls=400)).without(np.arange(400) >= calls)).segments == ()


def test_it_is_said_in_plain_sentences() -> None:
    found = locate(world(Plan()))
    first = sentences(found, unit="usd", a="6", b="7")[0]
    assert first.startswith(("All of the change is in feature f1: $", "9", "10"))
    assert " in all; elsewhere $" in first
    assert short(found).endswith("of it in feature f1")


def few_failures(seed: int) -> Cells:
    """Fifteen failures in a hundred calls of one of three features, one in a hundred of all others."""
    rng = np.random.default_rng(seed)
    n = 7200
    group, feature, hour = rng.integers(0, 2, n), rng.integers(0, 3, n), rng.integers(0, 13, n)
    bad = (rng.random(n) < np.where((feature == 0) & (group == 1), 0.15, 0.01)).astype(float)

    def by_group(values: np.ndarray) -> np.ndarray:
        return np.stack([np.where(group == each, values, 0.0) for each in (0, 1)])

    return Cells(
        kind="rate",
        dimensions=(
            Dimension("feature", feature, ["f0", "f1", "f2"]),
            Dimension("hour", hour, [f"{each:02}:00" for each in range(13)]),
        ),
        calls=by_group(np.ones(n)),
        sums=by_group(bad),
        logs=by_group(bad),
        squares=by_group(bad),
    )


def test_a_few_failures_elsewhere_that_scatter_by_chance_hide_no_segment() -> None:
    """What is outside has three failures an hour: how those scatter says little of overdispersion."""
    first = [locate(few_failures(seed), direction=1).segments[:1] for seed in range(40)]
    assert sum(bool(each) and each[0].predicates == (("feature", "f0"),) for each in first) >= 38
