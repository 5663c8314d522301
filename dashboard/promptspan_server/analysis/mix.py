"""A difference adjusted for traffic: calls of the two versions compared within feature, model and tenant.

Versions may have got different traffic: more of a dear model, another tenant. The adjusted effect compares
calls that are alike in these, day by day, and adds the comparisons up with weights that do not depend on
what came out, so what held for the plain comparison (valid however often one looks, users as clusters) holds
for it. Effects of strata are averaged with the weights of least variance, as by Cochran and Mantel-Haenszel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.analysis.means import compare_means
from promptspan_server.analysis.rates import compare_rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats
    from promptspan_server.analysis.cells import Cells, Dimension

WITHIN = ("feature", "request model", "tenant")
_USERS = "user group"
_MOST_STRATA = 20_000
_LOG_SCALE = 0.2


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What is left of a difference among calls that are alike.

    Attributes:
        within: The dimensions in which they are alike.
        ratio: b / a, of geometric means or of rates; NaN if it is not known.
        low: Lower end of its interval; 0 if nothing bounds it.
        high: Upper end; infinity if nothing bounds it.
        calls: Calls that could be compared so, of those there are, 0 to 1.
    """

    within: tuple[str, ...]
    ratio: float
    low: float
    high: float
    calls: float

    @property
    def nothing_left(self) -> bool:
        """Whether no difference is as good an answer as any in the interval."""
        return self.low <= 1 <= self.high


def adjust(cells: Cells, *, alpha: float) -> Adjusted | None:
    """Compare two groups within feature, model and tenant.

    Args:
        cells: Both groups, of a rate or a mean.
        alpha: 1 minus the coverage of the interval.

    Returns:
        The comparison; None if the groups have none of these dimensions, or no calls that are alike.
    """
    # What the groups have next to nothing in common in is the difference itself.
    apart = {each.name for each in cells.apart()}
    dimensions = [each for each in cells.dimensions if each.name in WITHIN and each.name not in apart]
    if not dimensions or not cells.calls.size:
        return None
    stratum = _strata([*dimensions, *cells.strata])
    if int(stratum.max()) >= _MOST_STRATA:
        stratum = _strata(dimensions)
    users = next((each for each in cells.dimensions if each.name == _USERS), None)
    unit = np.zeros_like(stratum) if users is None else users.codes
    shape = (int(stratum.max()) + 1, 2, int(unit.max()) + 1)

    def grid(values: Floats) -> Floats:
        flat = np.zeros(shape)
        for group in (0, 1):
            np.add.at(flat[:, group], (stratum, unit), values[group])
        return flat

    calls, logs, squares = grid(cells.calls), grid(cells.logs), grid(cells.squares).sum(axis=2)
    both = (calls.sum(axis=2) > 0).all(axis=1)
    if not both.any():
        return None
    share = float(calls[both].sum() / calls.sum())
    clustered = users is not None and len(users.values) > 1
    rate = cells.kind == "rate"
    mean = compare_means(
        calls,
        logs,
        squares,
        alpha=alpha,
        scale=0.01 if rate else _LOG_SCALE,
        floor=1e-4 if rate else 0.01,
        clustered=clustered,
    )
    within = tuple(each.name for each in dimensions)
    if rate:
        of_rates = compare_rates(
            logs.sum(axis=2), calls.sum(axis=2), alpha=alpha, design_effect=mean.design_effect
        )
        return Adjusted(within, of_rates.ratio, of_rates.low, of_rates.high, share)
    ratio, low, high = (float(np.exp(value)) for value in (mean.delta, mean.low, mean.high))
    return Adjusted(within, ratio, low, high, share)


def _strata(dimensions: Sequence[Dimension]) -> NDArray[np.int64]:
    """Which cells are alike in all dimensions: a number each, without gaps."""
    stratum = np.zeros(len(dimensions[0].codes), dtype=np.int64)
    for dimension in dimensions:
        stratum = np.unique(stratum * len(dimension.values) + dimension.codes, return_inverse=True)[1]
    return stratum.astype(np.int64)
