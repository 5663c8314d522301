"""Every segment that a change could be in: each value of each dimension, and each pair, judged at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats
    from promptspan_server.analysis.cells import Cells

MIN_CALLS = 200  # of a group, in a segment that may be named
MIN_Z = 5.0
# Of one value, which are fewer than pairs by a hundred. Costs scatter so much that too many would be named.
MIN_Z_OF_RATES = 4.25
_INSIDE = 1.0  # log changes of a segment are as large as this
_OUTSIDE = 0.1  # and of the rest as this
_ALIKE = 0.002  # segments whose calls differ by less than this share are the same


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every candidate at once; arrays of shape (candidates,) or, by group, (2, candidates).

    Attributes:
        parts: The one or two (dimension, value) of each, as indices, shape (candidates, 2, 2); those of one
            predicate have it twice.
        log_change: Logarithm of the change inside, beyond what the mix makes of it.
        rest: Logarithm of the change outside.
        fit: Twice what one factor inside explains in log likelihood; `rest_fit` as much outside.
        allowed: Which may be named.
        z: Of the change inside against the one outside.
    """

    cells: Cells
    parts: NDArray[np.int64]
    calls: Floats
    sums: Floats
    expected: Floats
    log_change: Floats
    variance: Floats
    rest: Floats
    rest_variance: Floats
    fit: Floats
    rest_fit: Floats
    allowed: NDArray[np.bool_]
    z: Floats

    @classmethod
    def of(cls, cells: Cells, *, pairs: bool = True) -> Candidates:
        """Judge every value and, if `pairs`, every pair of values of two dimensions."""
        if cells.kind == "mean":
            offsets = cells.offsets()
            spread = cells.squares - 2 * offsets * cells.logs + cells.calls * offsets**2
            sd2 = max(float(spread.sum() / max(cells.calls.sum() - 2, 1)), 1e-8)
            measured, against = cells.logs - cells.calls * offsets, cells.calls
        else:
            sd2 = 0.0
            measured, against = cells.sums, cells.squares
        expected = cells.calls * cells.factors(cells.sums)
        if cells.kind == "rate":
            against = expected
        rows = np.concatenate([cells.calls, cells.sums, expected, measured, against])
        parts, sums = _candidates(cells, rows, pairs=pairs)
        whole = rows.sum(axis=1)
        calls, inside = sums[:2], sums[6:]
        outside = whole[6:, None] - inside
        if cells.kind != "mean":
            outside = np.maximum(outside, 0.0)

        def judged(part: Floats) -> tuple[Floats, Floats, Floats]:
            if cells.kind == "rate":
                return _of_rates(part[:2], part[2:])
            if cells.kind == "mean":
                return _of_means(part[:2], part[2:], sd2)
            return _of_totals(part[:2], part[2:], cells.exposure or 1.0)

        (change, variance, fit), (rest, rest_variance, rest_fit) = judged(inside), judged(outside)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (change - rest) / np.sqrt(variance + rest_variance)
        if cells.kind == "rate":
            # With few events the likelihood ratio is the better measure.
            whole_fit = _of_rates(whole[6:8, None], whole[8:, None])[2]
            z = np.sign(z) * np.sqrt(np.maximum(fit + rest_fit - whole_fit, 0.0))
        fewest = 0 if cells.kind == "total" else MIN_CALLS / 10
        allowed = (calls.max(axis=0) >= MIN_CALLS) & (calls.min(axis=0) >= fewest) & np.isfinite(z)
        # A segment of all calls is no place.
        allowed &= calls.sum(axis=0) < (1 - _ALIKE) * cells.calls.sum()
        return cls(
            cells=cells,
            parts=parts,
            calls=calls,
            sums=sums[2:4],
            expected=sums[4:6],
            log_change=change,
            variance=variance,
            rest=rest,
            rest_variance=rest_variance,
            fit=fit,
            rest_fit=rest_fit,
            allowed=allowed,
            z=np.nan_to_num(z),
        )

    @property
    def single(self) -> NDArray[np.bool_]:
        """Which candidates have one predicate."""
        return self.parts[:, 0, 0] == self.parts[:, 1, 0]

    def best(self, dispersion: float = 1.0) -> int | None:
        """The most telling candidate that stands out, if one does."""
        inside = _explained(self.log_change, self.variance * dispersion, self.fit / dispersion, _INSIDE)
        outside = _explained(self.rest, self.rest_variance * dispersion, self.rest_fit / dispersion, _OUTSIDE)
        single = self.single
        fewer = float(np.log(max(int((self.allowed & single).sum()), 1)))
        more = float(np.log(max(int((self.allowed & ~single).sum()), 1)))
        scores = inside + outside - np.where(single, fewer, more)
        least = np.where(single & (self.cells.kind == "rate"), MIN_Z_OF_RATES, MIN_Z)
        stands_out = self.allowed & (np.abs(self.z) > least * np.sqrt(dispersion))
        if not stands_out.any():
            return None
        return int(np.argmax(np.where(stands_out, scores, -np.inf)))

    def members(self, at: int) -> NDArray[np.bool_]:
        """Which cells are inside, shape (cells,)."""
        inside = np.ones(self.cells.calls.shape[1], dtype=bool)
        for part in (0, 1):
            dimension = self.cells.dimensions[int(self.parts[at, part, 0])]
            inside &= dimension.codes == int(self.parts[at, part, 1])
        return inside

    def named(self, at: int) -> tuple[tuple[str, str], ...]:
        """The predicates of a candidate."""
        return tuple(dict.fromkeys(self._name(each, value) for each, value in self.parts[at]))

    def also(self, at: int) -> tuple[tuple[str, str], ...]:
        """Other single predicates that mean the same calls."""
        inside = self.members(at)
        own = self.calls[:, at].sum()
        near = np.abs(self.calls - self.calls[:, [at]]).sum(axis=0) <= _ALIKE * own
        names: list[tuple[str, str]] = []
        for other in np.flatnonzero(near & self.single):
            either = inside ^ self.members(int(other))
            if other != at and self.cells.calls[:, either].sum() <= _ALIKE * own:
                names.append(self._name(*self.parts[other, 0]))
        return tuple(name for name in names if name not in self.named(at))

    def excess(self, at: int) -> float:
        """What the second group has beyond the first one's behaviour on the same traffic."""
        first, second = self.sums[:, at]
        if self.cells.kind == "total":
            return float(second - first * (self.cells.exposure or 1.0))
        expected = self.expected[:, at]
        return float(second - first * expected[1] / expected[0])

    def _name(self, dimension: int, value: int) -> tuple[str, str]:
        chosen = self.cells.dimensions[dimension]
        return chosen.name, chosen.values[value]


def _candidates(cells: Cells, rows: Floats, *, pairs: bool) -> tuple[NDArray[np.int64], Floats]:
    """Sums of each row over every value and every pair of values: which, and how much."""
    parts: list[NDArray[np.int64]] = []
    sums: list[Floats] = []
    for first, one in enumerate(cells.dimensions):
        for second, two in enumerate(cells.dimensions[: first + 1 if pairs else 0] or (one,)):
            if two is one:
                codes, many = one.codes, len(one.values)
                of_one = of_two = np.arange(many)
            else:
                codes, many = one.codes * len(two.values) + two.codes, len(one.values) * len(two.values)
                of_one, of_two = np.divmod(np.arange(many), len(two.values))
            seen = np.flatnonzero(np.bincount(codes, minlength=many))
            sums.append(np.stack([np.bincount(codes, row, many)[seen] for row in rows]).astype(float))
            of_parts = np.empty((len(seen), 2, 2), dtype=np.int64)
            of_parts[:, 0, 0], of_parts[:, 0, 1] = first if two is one else second, of_two[seen]
            of_parts[:, 1, 0], of_parts[:, 1, 1] = first, of_one[seen]
            parts.append(of_parts)
    return np.concatenate(parts), np.concatenate(sums, axis=1)


def _of_rates(bad: Floats, expected: Floats) -> tuple[Floats, Floats, Floats]:
    """Given the events of both groups, those of the second are binomial."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = expected[1] / expected.sum(axis=0)
        events = bad.sum(axis=0)
        change = np.log((bad[1] + 0.5) / (bad[0] + 0.5)) - np.log(share / (1 - share))
        variance = 1 / (bad[0] + 0.5) + 1 / (bad[1] + 0.5)
        fit = 2 * sum(
            np.where(seen > 0, seen * np.log(seen / (events * usual)), 0.0)
            for seen, usual in ((bad[1], share), (bad[0], 1 - share))
        )
    return change, variance, np.nan_to_num(fit)


def _of_means(residuals: Floats, calls: Floats, sd2: float) -> tuple[Floats, Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        change = residuals[1] / calls[1] - residuals[0] / calls[0]
        variance = sd2 * (1 / calls[0] + 1 / calls[1])
        fit = change**2 / variance
    return change, variance, np.nan_to_num(fit)


def _of_totals(sums: Floats, squares: Floats, exposure: float) -> tuple[Floats, Floats, Floats]:
    """A sum of many independent calls: its variance is the sum of their squares (compound Poisson)."""
    # One usual call more on either side, so that what is new has a finite change.
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = np.nan_to_num(squares.sum(axis=0) / sums.sum(axis=0))
        less = np.stack([sums[0] * exposure, sums[1]]) + usual / 2
        change = np.log(less[1] / less[0])
        variance = (squares[0] * exposure**2 + usual**2 / 2) / less[0] ** 2 + (
            squares[1] + usual**2 / 2
        ) / less[1] ** 2
        fit = change**2 / variance
    return change, variance, np.nan_to_num(fit)


def _explained(change: Floats, variance: Floats, fit: Floats, prior_sd: float) -> Floats:
    """Log marginal likelihood of one common change, normal around none, over no change."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left = change**2 / (variance + prior_sd**2)
        value = 0.5 * (fit - left - np.log1p(prior_sd**2 / variance))
    return np.where(np.isfinite(value), value, 0.0)
