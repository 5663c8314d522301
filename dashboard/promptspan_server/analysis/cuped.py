"""CUPED: what users usually have, known from before the newer version came, is taken off before comparing.

A few users make most calls, and some of them always ask for long answers. That one arm happens to have more
of them is chance, and what a difference has to stand out from; but it was to be seen before the newer version
came. Of the logarithm of each call, `theta` times what its user usually has is taken off. The arms are
divided without looking at it, so this moves no difference between them; it narrows the interval.

`theta` and the covariate come from before the first call of the newer version alone, so p-values and
intervals hold as they do without them, at every look.

Source: Deng, Xu, Kohavi & Walker 2013 (Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data, WSDM).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.analysis.arms import QUANTITIES, UNITS, Moments
from promptspan_server.analysis.means import compare_means
from promptspan_server.queries.before import UsersBefore
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.queries.version_history import FirstCalls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Arms, Floats
    from promptspan_server.queries.arms import ArmsOf
    from promptspan_server.queries.connection import Store

_MIN_CALLS = 500  # of the second half of the time before, to know how well the first tells it
_MIN_THETA = 0.2  # below it users differ too little to bother
# From which variance on, over that of independent calls, it is worth asking: chance alone makes it 1.4 of 64
# groups of users. A spread says nothing of which arm is higher.
_MIN_DESIGN_EFFECT = 1.5
_MOST_CALLS = 2_000_000  # to be compared: of more, the reading takes seconds
_SAMPLE = 100_000  # calls, about, that tell `theta`


@dataclass(frozen=True, slots=True)
class Covariate:
    """What users usually have of one quantity, in the cells of a comparison; 0 for users who are new.

    Attributes:
        theta: How much of it is taken off.
        x: Sums over the calls that have the quantity, shape (hours, 2, units).
        xx: Sums of squares, shape (hours, 2).
        xy: Sums of products with the quantity, same shape.
    """

    theta: float
    x: Floats
    xx: Floats
    xy: Floats

    def taken_off(self, moments: Moments) -> Moments:
        """The moments of what is left; their mean over both arms is what it was."""
        n = moments.calls.sum(axis=2)
        usual = float(self.x.sum() / max(moments.calls.sum(), 1.0))
        x = self.x - usual * moments.calls
        xx = self.xx - 2 * usual * self.x.sum(axis=2) + usual**2 * n
        xy = self.xy - usual * moments.sums.sum(axis=2)
        return Moments(
            moments.calls,
            moments.sums - self.theta * x,
            moments.squares - 2 * self.theta * xy + self.theta**2 * xx,
        )


def theta_of(n: float, x: float, xx: float, y: float, xy: float) -> float:
    """How much of what users had in one week they have in the next: a regression through their calls.

    Args:
        n: Calls of the second week.
        x: Sum over them of what their users had in the first.
        xx: Sum of its squares.
        y: Sum of what they had in the second.
        xy: Sum of the products.

    Returns:
        The slope, 0 to 1; 0 if there are too few calls, or users differ too little.
    """
    if n < _MIN_CALLS:
        return 0.0
    spread = xx - x**2 / n
    slope = min((xy - x * y / n) / spread, 1.0) if spread > 0 else 0.0
    return slope if slope >= _MIN_THETA else 0.0


def adjusted(arms: Arms, covariates: dict[str, Covariate]) -> Arms:
    """The arms with what is left of each quantity beside it."""
    return replace(
        arms, adjusted={name: each.taken_off(arms.moments[name]) for name, each in covariates.items()}
    )


def _users_differ(arms: Arms) -> bool:
    return any(
        compare_means(
            each.calls, each.sums, each.squares, alpha=0.05, scale=0.2, floor=0.01, clustered=True
        ).design_effect
        >= _MIN_DESIGN_EFFECT
        for each in arms.moments.values()
        if each.calls.any()
    )


def read_before(store: Store, question: ArmsOf, arms: Arms) -> Arms:
    """Adjust what was read, where its users are known, differ, and were there before.

    A question that fails, as one that takes too long does, leaves the comparison as it is without it.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    try:
        return _read_before(store, question, arms)
    except QueryFailed:
        return arms


def _read_before(store: Store, question: ArmsOf, arms: Arms) -> Arms:
    calls = float(arms.calls.sum())
    if not (arms.clustered and arms.concurrent.any() and calls <= _MOST_CALLS and _users_differ(arms)):
        return arms
    first = {row.version: row.first_call for row in store.ask(FirstCalls(question.prompt)).rows}
    if not {question.a, question.b} <= first.keys():
        return arms
    start = max(first[question.a], first[question.b])
    before = UsersBefore(question, start, one_in=int(calls // _SAMPLE) + 1)
    (known,) = store.table(before.relations(), before.parameters()).to_pylist()
    thetas = {
        name: theta_of(*(known[f"{name}_{part}"] for part in ("n", "x", "xx", "y", "xy")))
        for name in QUANTITIES
    }
    if not any(thetas.values()):
        return arms
    cells = store.table(before.covariates(), before.parameters())
    hour_s, arm, unit = (cells.column(name).to_numpy() for name in ("hour_s", "arm", "unit"))
    inside = np.isin(hour_s, arms.hours)
    hour: NDArray[np.int64] = np.asarray(np.searchsorted(arms.hours, hour_s[inside]), dtype=np.int64)
    place: Any = (hour * 2 + arm[inside]) * UNITS + unit[inside]

    def summed(name: str) -> Floats:
        values = cells.column(name).to_numpy()[inside]
        flat = np.bincount(place.astype(np.int64), values, arms.calls.size)
        return flat.reshape(arms.calls.shape).astype(float)

    return adjusted(
        arms,
        {
            name: Covariate(
                theta, summed(f"{name}_x"), summed(f"{name}_xx").sum(axis=2), summed(f"{name}_xy").sum(axis=2)
            )
            for name, theta in thetas.items()
            if theta
        },
    )
