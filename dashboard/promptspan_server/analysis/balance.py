"""Whether traffic was divided as intended: if it was not, the arms differ in more than the version.

The likelihood ratio of other shares against the intended one, averaged over a few: a martingale if the
traffic is divided as intended, so 1 / e is a p-value however often one looks (Wald 1945; Lindon & Malek 2020,
section 5, with points in the place of a Beta mixture). Most of the weight is on 48 to 52, the smallest
mismatch worth finding soon: Wald's own test for it is hardly sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from promptspan_server.analysis.arms import Floats

ALPHA = 0.02
# Shares other than the intended one, as differences of log odds (0.08 is 48 to 52), and their weights.
_SHIFTS = np.array([-0.8, -0.2, -0.08, -0.04, 0.04, 0.08, 0.2, 0.8])
_WEIGHTS = np.array([0.03, 0.06, 0.38, 0.03, 0.03, 0.38, 0.06, 0.03])
_NEAR_HALF = (
    0.15  # hours in which the candidate's share is so near to a half count as hours of a fifty-fifty split
)
_HALF = (0.45, 0.55)


@dataclass(frozen=True, slots=True)
class Balance:
    """How the traffic was divided.

    Attributes:
        intended: The candidate's intended share, 0 to 1; None if it is not known, and then nothing is
            tested.
        observed: The candidate's share in the hours that were looked at.
        p: Always-valid p-value of the intended share; None if nothing was tested.
        assumed: Nobody said what was intended: the share is near a half, and a half was taken for it.
    """

    intended: float | None
    observed: float
    p: float | None
    assumed: bool = False

    @property
    def mismatch(self) -> bool:
        """Whether the division contradicts the intention."""
        return self.p is not None and self.p < ALPHA


def check_balance(calls: Floats, *, intended: float | None, clustered: bool) -> Balance:
    """Test the division of calls.

    Args:
        calls: Calls by stratum, arm and unit, shape (strata, 2, units), baseline first.
        intended: The candidate's share as configured, 0 to 1. None: a share near a half is taken for an
            intended half.
        clustered: Whether units are users: some call often, and the division of users makes that of calls
            uneven.
    """
    n = calls.sum(axis=2)
    hours = (n > 0).all(axis=1)
    if intended is None:
        # Single hours have few calls: what the hour and its neighbours say together.
        smooth = _smoothed(n[:, 1]) / np.maximum(_smoothed(n.sum(axis=1)), 1)
        hours &= np.abs(smooth - 0.5) < _NEAR_HALF
    counts = n[hours].sum(axis=0)
    total = float(counts.sum())
    overall = float(n[:, 1].sum() / max(n.sum(), 1))
    if not total:
        return Balance(intended, overall, None)
    observed = float(counts[1] / total)
    assumed = intended is None
    if intended is None:
        if not _HALF[0] <= observed <= _HALF[1]:
            return Balance(None, overall, None)
        intended = 0.5
    effect = 1.0
    if clustered:
        by_unit = calls[hours].sum(axis=0)
        of_units = by_unit[1] - intended * by_unit.sum(axis=0)
        centred = of_units - by_unit.sum(axis=0) * (observed - intended)
        effect = max(1.0, float((centred**2).sum()) / (total * observed * (1 - observed)))
    a, b = counts[0] / effect, counts[1] / effect
    # With log odds shifted by d, a call is the candidate's by chance p exp(d) / (1 - p + p exp(d)).
    ratios = np.log(_WEIGHTS) + b * _SHIFTS - (a + b) * np.log1p(intended * np.expm1(_SHIFTS))
    log_e = float(np.logaddexp.reduce(ratios))
    return Balance(intended, observed, float(min(1.0, np.exp(-log_e))), assumed)


def _smoothed(series: Floats) -> Floats:
    """Sums over half a day on either side."""
    return np.convolve(np.pad(series, 12), np.ones(25), mode="valid")
