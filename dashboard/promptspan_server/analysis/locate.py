"""Where is it? The segment in which a change between two groups of calls is: never what caused it.

Every value of every dimension, and every pair of values of two, is one candidate. A candidate is as good as
the story "everything inside changed by one factor, everything outside hardly at all" explains all cells
together: what it leaves unexplained is an uneven change inside, an uneven change outside, and a change of
the rest. What counts is the log marginal likelihood of that story (a Bayes factor over no change at all)
less the logarithm of the number of candidates of its size, which is what a further predicate costs. Then
the segment is taken away, and the question asked again of the rest.

The same idea as a spatial scan statistic (Kulldorff 1997) over multi-dimensional subsets (Neill 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from promptspan_server.analysis.candidates import MIN_CALLS, Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.cells import Cells, Dimension

MOST = 3
_MEDIAN_OF_CHI2 = 0.4549
# The median of n squares scatters by 2.33 / sqrt(n) of itself (one over twice the density there, 0.471): up
# to 1.645 times that is chance, and no sign that segments differ more than it would have them.
_CHANCE = 1.645 * 2.33


@dataclass(frozen=True, slots=True)
class Segment:
    """Calls that are alike in one or two dimensions.

    Attributes:
        predicates: Dimension and value, one or two.
        also: Other dimensions and values that mean the same calls.
        calls_a: Calls of the first group inside.
        calls_b: Calls of the second group inside.
        a: The quantity per call of the first group inside (in all, for totals).
        b: Of the second group.
        rest_a: As `a`, outside.
        rest_b: As `b`, outside.
        excess: What the second group has inside beyond what the first group's behaviour would have come to
            on the same traffic, in the quantity's unit.
        share: Of the whole change, 1 if all of it is inside; may be more, if the rest fell.
        z: How many standard errors the change inside is from the change outside.
    """

    predicates: tuple[tuple[str, str], ...]
    also: tuple[tuple[str, str], ...]
    calls_a: int
    calls_b: int
    a: float
    b: float
    rest_a: float
    rest_b: float
    excess: float
    share: float
    z: float


@dataclass(frozen=True, slots=True)
class Located:
    """Where a change between two groups is.

    Attributes:
        kind: As of the cells.
        a: The quantity per call of the first group (in all, for totals).
        b: Of the second group.
        volume: The part of b - a that is more or fewer calls; 0 but for totals.
        mix: The part that is other traffic: more calls of segments that were dear anyway.
        within: The part that is segments behaving otherwise than before.
        segments: Where that is, the most telling first, each of the rest without those before.
        apart: Dimensions in which the groups have next to nothing in common, and the commonest values.
        overdispersion: How much more segments differ in their change than chance would have it, at least 1.
    """

    kind: Literal["rate", "mean", "total"]
    a: float
    b: float
    volume: float
    mix: float
    within: float
    segments: tuple[Segment, ...]
    apart: tuple[tuple[str, str, str], ...] = ()
    overdispersion: float = 1.0


def locate(cells: Cells, *, direction: int = 0, most: int = MOST) -> Located:
    """Find where a change is.

    Args:
        cells: Both groups.
        direction: 1 to name only segments in which the quantity rose, -1 fell, 0 either.
        most: How many segments to name at most.
    """
    apart = tuple(
        (each.name, _commonest(cells, each, 0), _commonest(cells, each, 1)) for each in cells.apart()
    )
    cells = cells.shared()
    whole = _Whole.of(cells)
    found: list[Segment] = []
    rest, dispersion = cells, 1.0
    for _ in range(2 * most):
        if len(found) == most or not rest.dimensions or (rest.calls.sum(axis=1) < MIN_CALLS).any():
            break
        search = Candidates.of(rest)
        best = search.best()
        if best is None:
            break
        taken = search.members(best)
        dispersion = _dispersion(rest.without(taken))
        if dispersion > 1:
            best = search.best(dispersion)
            if best is None:
                break
            taken = search.members(best)
        # What went the other way is taken away, too: it would make the rest look as if it had moved.
        if not direction or np.sign(search.z[best]) == direction:
            found.append(whole.segment(rest, search, best, taken, dispersion))
        rest = rest.without(taken)
    return Located(
        kind=cells.kind,
        a=whole.a,
        b=whole.b,
        volume=whole.volume,
        mix=whole.mix,
        within=whole.b - whole.a - whole.volume - whole.mix,
        segments=tuple(found),
        apart=apart,
        overdispersion=dispersion,
    )


@dataclass(frozen=True, slots=True)
class _Whole:
    """All cells together: what the change comes to, and what each segment has of it."""

    a: float
    b: float
    volume: float
    mix: float
    change: float

    @classmethod
    def of(cls, cells: Cells) -> _Whole:
        calls, sums = cells.calls.sum(axis=1), cells.sums.sum(axis=1)
        if not calls.all():
            return cls(np.nan, np.nan, 0.0, 0.0, 0.0)
        # By the first group's calls alone: what changed in the second is no usual value of anything.
        baseline = cells.of_baseline()
        expected = (cells.calls * baseline.factors(baseline.sums)).sum(axis=1)
        if cells.kind == "total":
            length = cells.exposure or 1.0
            a, b = float(sums[0] * length * cells.sampled), float(sums[1] * cells.sampled)
            volume = float(a * (calls[1] / (calls[0] * length) - 1))
            mix = (
                float((a + volume) * (expected[1] / calls[1] * calls[0] / expected[0] - 1))
                if expected[0]
                else 0.0
            )
            return cls(a, b, volume, mix, b - a)
        a, b = (float(value) for value in sums / calls)
        mix = float(a * (expected[1] / calls[1] * calls[0] / expected[0] - 1)) if expected[0] else 0.0
        return cls(a, b, 0.0, mix, float((b - a - mix) * calls[1] * cells.sampled))

    def segment(
        self, cells: Cells, search: Candidates, at: int, taken: NDArray[np.bool_], dispersion: float
    ) -> Segment:
        def values(mask: NDArray[np.bool_]) -> tuple[float, float]:
            calls, sums = cells.calls[:, mask].sum(axis=1), cells.sums[:, mask].sum(axis=1)
            if cells.kind == "total":
                a, b = sums * cells.sampled
                return float(a * (cells.exposure or 1.0)), float(b)
            a, b = sums / np.maximum(calls, 1)
            return float(a), float(b)

        calls = cells.calls[:, taken].sum(axis=1) * cells.sampled
        inside, outside = values(taken), values(~taken)
        excess = search.excess(at) * cells.sampled
        return Segment(
            predicates=search.named(at),
            also=search.also(at),
            calls_a=int(calls[0]),
            calls_b=int(calls[1]),
            a=inside[0],
            b=inside[1],
            rest_a=outside[0],
            rest_b=outside[1],
            excess=excess,
            share=excess / self.change if self.change else np.nan,
            z=float(search.z[at] / np.sqrt(dispersion)),
        )


def _commonest(cells: Cells, dimension: Dimension, group: int) -> str:
    return dimension.values[int(np.bincount(dimension.codes, cells.calls[group]).argmax())]


def _dispersion(rest: Cells) -> float:
    """How much more the values of all dimensions differ in their change than chance would have it."""
    if not rest.dimensions or not (rest.calls.sum(axis=1) >= MIN_CALLS).all():
        return 1.0
    search = Candidates.of(rest, pairs=False)
    z = search.z[search.allowed]
    if len(z) < 3:
        return 1.0
    return max(1.0, float(np.median(z**2)) / _MEDIAN_OF_CHI2 / (1 + _CHANCE / np.sqrt(len(z))))
