"""Means of two arms: the normal-mixture sequential test on differences within the hour.

The difference of the arms is taken within each stratum (an hour), so what changes for both at once
cancels. Its variance is the larger of two estimates: of independent calls, and of independent users (calls
of one user resemble each other, and a few users make most of the calls). 1 / e is a p-value, and the
interval an interval, however often one looks.

Source: Johari, Koomen, Pekelis & Walsh 2017 (arXiv:1512.04922); leverage correction as in CR3 (Bell &
McCaffrey 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

if TYPE_CHECKING:
    from promptspan_server.analysis.arms import Floats


@dataclass(frozen=True, slots=True)
class MeanResult:
    """How the means of two arms compare.

    Attributes:
        a: Mean of the baseline over hours in which both arms had traffic, weighted as the comparison
            weighs them.
        b: As `a`, of the candidate.
        low: Lower end of the interval of b - a.
        high: Upper end.
        log_e: Natural logarithm of the evidence against equal means.
        design_effect: Variance that was used over that of independent calls, at least 1.
    """

    a: float
    b: float
    low: float
    high: float
    log_e: float
    design_effect: float

    @property
    def delta(self) -> float:
        """B - a."""
        return self.b - self.a


UNKNOWN = MeanResult(np.nan, np.nan, -np.inf, np.inf, 0.0, 1.0)


def compare_means(
    calls: Floats,
    sums: Floats,
    squares: Floats,
    *,
    alpha: float,
    scale: float,
    floor: float,
    clustered: bool,
    design_effect: float = 1.0,
) -> MeanResult:
    """Compare the mean of a quantity of two arms.

    Args:
        calls: Calls by stratum, arm and unit, shape (strata, 2, units), baseline first. A unit is a group
            of users.
        sums: Sums of the quantity, same shape.
        squares: Sums of its squares by stratum and arm, shape (strata, 2).
        alpha: 1 minus the coverage of the interval.
        scale: Size of the differences that the test is tuned to, fixed beforehand, in units of the
            quantity.
        floor: Standard deviation of one call at least, for quantities that are constant.
        clustered: Whether units are known, so that calls of one may resemble each other.
        design_effect: How much wider the spread is known to be than that of independent calls, at least 1.
    """
    n, total = calls.sum(axis=2), sums.sum(axis=2)
    both = (n > 0).all(axis=1)
    if not both.any():
        return UNKNOWN
    n, total, squares = n[both], total[both], squares[both]
    mean = total / n
    weight = n.prod(axis=1) / n.sum(axis=1)
    weight = weight / weight.sum()
    arms = weight @ mean
    # Pooled over the hours, as most hours alone have few calls.
    freedom = np.maximum((n - 1).sum(axis=0), 1)
    within = np.maximum((squares - total**2 / n).sum(axis=0) / freedom, floor**2)
    independent = float(weight**2 @ (within / n).sum(axis=1))
    variance, degrees = independent * design_effect, float(freedom.sum())
    if clustered:
        # What each unit adds to the difference, its hours' means taken off.
        residual = (sums[both] - calls[both] * mean[:, :, None]) * (weight[:, None] / n)[:, :, None]
        of_units = residual[:, 1].sum(axis=0) - residual[:, 0].sum(axis=0)
        share = calls.sum(axis=(0, 1)) / calls.sum()
        present = share > 0
        units = int(present.sum())
        if units > 1:
            by_units = float(((of_units[present] / (1 - share[present])) ** 2).sum()) * (units - 1) / units
            if by_units > variance:
                variance = by_units
                degrees = max(1 / float((share**2).sum()) - 1, 1.0)
    return _result(
        arms,
        variance=variance,
        degrees=degrees,
        alpha=alpha,
        scale=scale,
        design_effect=max(variance / independent, 1.0),
    )


def _result(
    arms: Floats, *, variance: float, degrees: float, alpha: float, scale: float, design_effect: float
) -> MeanResult:
    a, b = float(arms[0]), float(arms[1])
    v, t2 = variance, scale**2
    root = np.sqrt(v)
    z = _normal_of((b - a) / root, degrees)
    log_e = 0.5 * np.log(v / (v + t2)) + t2 * z**2 / (2 * (v + t2))
    radius_z = np.sqrt((v + t2) / t2 * np.log((v + t2) / (v * alpha**2)))
    radius = _student_of(float(radius_z), degrees) * root
    return MeanResult(a, b, float(b - a - radius), float(b - a + radius), float(log_e), design_effect)


def _normal_of(t: float, degrees: float) -> float:
    """The normal quantile as rare as this quantile of Student's t: few units make a variance uncertain."""
    if degrees > 1000 or not t:
        return t
    return float(np.sign(t) * -ndtri(stdtr(degrees, -abs(t))))


def _student_of(z: float, degrees: float) -> float:
    return z if degrees > 1000 else -float(cast("float", stdtrit(degrees, np.asarray(ndtr(-z)))))
