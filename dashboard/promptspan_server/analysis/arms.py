"""The two arms of a comparison: sums by hour and group of users, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

UNITS = 64
BUCKETS = 400  # log-bucket histograms: 8 an octave, up to 2 ** 50
QUANTITIES = ("latency", "ttft", "input_tokens", "output_tokens", "cost")
OUTCOMES = ("errors", "cancelled", "incomplete")
_ENOUGH_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares of a quantity.

    Attributes:
        calls: Calls that have it, shape (hours, 2, units), baseline first.
        sums: Sums, same shape.
        squares: Sums of squares, shape (hours, 2).
    """

    calls: Floats
    sums: Floats
    squares: Floats


@dataclass(frozen=True, slots=True)
class Arms:
    """What two versions did, hour by hour.

    Attributes:
        hours: Starts of the hours, seconds since the epoch, ascending, shape (hours,).
        calls: Model calls, shape (hours, 2, units), baseline first.
        identified: Share of the calls whose user or session is known, 0 to 1.
        rates: Calls that something happened to, by what: `error`, `cancelled`, `incomplete` or a safety
            flag; shape of `calls`.
        moments: Of natural logarithms, for each of `QUANTITIES`.
        histograms: `latency` (ms) and `cost` (1e-9 USD) in log-buckets, shape (hours, 2, BUCKETS).
        scores: Moments of evaluation scores by name.
        adjusted: Moments of quantities less what their users usually have (`cuped`), of those for which
            it is known.
    """

    hours: NDArray[np.int64]
    calls: Floats
    identified: float
    rates: dict[str, Floats]
    moments: dict[str, Moments]
    histograms: dict[str, Floats]
    scores: dict[str, Moments] = field(default_factory=dict[str, Moments])
    adjusted: dict[str, Moments] = field(default_factory=dict[str, Moments])

    @property
    def clustered(self) -> bool:
        """Whether users are known for most calls, so that calls of one may count as resembling each other."""
        return self.identified > 0.5

    @property
    def concurrent(self) -> NDArray[np.bool_]:
        """The hours in which both arms had calls."""
        return (self.calls.sum(axis=2) > 0).all(axis=1)

    def one_after_the_other(self) -> Arms:
        """The arms as one stratum, for versions that never ran at the same time.

        Blocks of time take the place of users: what makes one day differ from the next is all that says
        how much a difference between two times means. With fewer than eight blocks an arm there is nothing
        to go by, and calls count as independent.
        """
        blocks, clustered = np.arange(len(self.hours)), False
        for length_s in (86_400, 3600):
            numbers = self.hours // length_s
            seen = [set(numbers[self.calls[:, arm].sum(axis=1) > 0]) for arm in (0, 1)]
            if min(map(len, seen)) >= _ENOUGH_BLOCKS:
                blocks, clustered = np.unique(numbers, return_inverse=True)[1], True
                break

        def turned(cells: Floats) -> Floats:
            by_block = np.zeros((1, 2, int(blocks.max()) + 1))
            for arm in (0, 1):
                by_block[0, arm] = np.bincount(blocks, cells[:, arm].sum(axis=1), by_block.shape[2])
            return by_block

        def moments(parts: Moments) -> Moments:
            return Moments(turned(parts.calls), turned(parts.sums), parts.squares.sum(axis=0, keepdims=True))

        return Arms(
            hours=self.hours[:1],
            calls=turned(self.calls),
            identified=float(clustered),
            rates={name: turned(cells) for name, cells in self.rates.items()},
            moments={name: moments(parts) for name, parts in self.moments.items()},
            histograms={name: cells.sum(axis=0, keepdims=True) for name, cells in self.histograms.items()},
            scores={name: moments(parts) for name, parts in self.scores.items()},
        )
