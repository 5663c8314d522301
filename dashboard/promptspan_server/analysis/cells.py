"""Calls of two groups by every dimension at once: what says in which segment a change is.

Expectations come from main effects: each value of each dimension has a factor, fitted to both groups together
(iterative proportional fitting, Deming & Stephan 1940; Kitagawa 1955 for what follows from it), so that a
shift of traffic from cheap to dear segments is told apart from segments that became dearer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

TIMES = ("hour",)  # dimensions that say when a call came
_ROUNDS = 12
_PRIOR = 5.0  # pseudo-events (rates) or calls (means) that hold a factor of few calls near none
_APART = 0.2  # groups that share less of a dimension than this differ in it altogether


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to divide calls.

    Attributes:
        name: Such as `feature`.
        codes: Which value each cell has, shape (cells,), indices of `values`.
        values: The values.
    """

    name: str
    codes: NDArray[np.int64]
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Cells:
    """Calls of two groups, the baseline first, in cells that are alike in every dimension.

    Attributes:
        kind: `rate` (each call is bad or not), `mean` (per call) or `total` (in all the time of a group).
        dimensions: What the cells differ by; where two mean the same calls, the first one is named.
        calls: Calls that have the quantity, shape (2, cells).
        sums: Of the quantity in its own unit (bad calls, USD, ms, tokens), same shape.
        logs: Sums of natural logarithms, for `mean`; of the quantity itself, for the others.
        squares: Sums of squares of what `logs` adds up.
        exposure: Length of the second group's time over that of the first; None if the groups ran side by
            side, and numbers of calls say nothing.
        strata: Dimensions that expectations allow for, but that no answer names: days, for example.
        sampled: One call in so many is in the cells.
    """

    kind: Literal["rate", "mean", "total"]
    dimensions: tuple[Dimension, ...]
    calls: Floats
    sums: Floats
    logs: Floats
    squares: Floats
    exposure: float | None = None
    strata: tuple[Dimension, ...] = ()
    sampled: int = 1

    def without(self, taken: NDArray[np.bool_]) -> Cells:
        """The cells that are not in a segment.

        Args:
            taken: Which are, shape (cells,).
        """
        keep = ~taken

        def rest(dimension: Dimension) -> Dimension:
            return replace(dimension, codes=dimension.codes[keep])

        return replace(
            self,
            dimensions=tuple(map(rest, self.dimensions)),
            calls=self.calls[:, keep],
            sums=self.sums[:, keep],
            logs=self.logs[:, keep],
            squares=self.squares[:, keep],
            strata=tuple(map(rest, self.strata)),
        )

    def apart(self) -> tuple[Dimension, ...]:
        """The dimensions in which the groups have next to nothing in common: a model that was changed."""
        n = self.calls.sum(axis=1)
        if not n.all():
            return ()
        return tuple(
            dimension
            for dimension in self.dimensions
            if np.minimum(*(self._by(dimension, self.calls[group]) / n[group] for group in (0, 1))).sum()
            < _APART
        )

    def of_baseline(self) -> Cells:
        """The cells with the calls of the first group alone, by what the calls are and not when they came."""
        alone = np.array([[1.0], [0.0]])
        return replace(
            self,
            dimensions=tuple(each for each in self.dimensions if each.name not in TIMES),
            strata=(),
            calls=self.calls * alone,
            sums=self.sums * alone,
        )

    def shared(self) -> Cells:
        """The same without dimensions in which the groups have next to nothing in common."""
        apart = {dimension.name for dimension in self.apart()}
        kept = tuple(each for each in self.dimensions if each.name not in apart)
        return replace(self, dimensions=kept) if apart else self

    def factors(self, of: Floats) -> Floats:
        """What a call of each cell would come to by the main effects of its values alone, shape (cells,).

        Args:
            of: Sums that are positive, shape (2, cells): `sums`.
        """
        total = of.sum()
        usual = total / max(self.calls.sum(), 1.0) or 1.0
        prior = _PRIOR * (1.0 if self.kind == "rate" else usual)
        fitted = np.full(self.calls.shape, usual)
        cells = np.full(self.calls.shape[1], 1.0)
        for _ in range(_ROUNDS):
            expected = self.calls * fitted * cells
            # A change of everything belongs to no value.
            fitted *= ((of.sum(axis=1) + prior) / (expected.sum(axis=1) + prior))[:, None]
            moved = 0.0
            for dimension in (*self.dimensions, *self.strata):
                expected = (self.calls * fitted * cells).sum(axis=0)
                step = (self._by(dimension, of.sum(axis=0)) + prior) / (self._by(dimension, expected) + prior)
                cells *= step[dimension.codes]
                moved = max(moved, float(np.abs(np.log(step)).max()))
            if moved < 1e-3:
                break
        return cells * usual

    def offsets(self) -> Floats:
        """The mean logarithm of each cell by the main effects of its values alone, shape (cells,)."""
        of_group = np.zeros(2)
        cells = np.full(self.calls.shape[1], self.logs.sum() / max(self.calls.sum(), 1.0))
        calls = self.calls.sum(axis=0)
        for _ in range(_ROUNDS):
            residual = self.logs - self.calls * (cells + of_group[:, None])
            of_group += residual.sum(axis=1) / np.maximum(self.calls.sum(axis=1), 1.0)
            moved = 0.0
            for dimension in (*self.dimensions, *self.strata):
                left = (self.logs - self.calls * (cells + of_group[:, None])).sum(axis=0)
                step = self._by(dimension, left) / (self._by(dimension, calls) + _PRIOR)
                cells += step[dimension.codes]
                moved = max(moved, float(np.abs(step).max()))
            if moved < 1e-3:
                break
        return cells

    def _by(self, dimension: Dimension, weights: Floats) -> Floats:
        return np.bincount(dimension.codes, weights, len(dimension.values)).astype(float)
