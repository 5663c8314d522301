"""Rates of two arms under traffic that changes: a conditional e-process, stratified by time.

Within one stratum (an hour) both arms see the same base rate. Given how many bad events the hour had and
how its traffic was divided, each bad event is the treatment's with probability `n_b / (n_a + n_b)` if the
versions are equal, whatever the base rate was; so ramps and drifting base rates cannot make a difference
out of nothing. The likelihood ratio against that, mixed over effects, is a martingale: 1 / e is a p-value
that holds however often one looks.

Sources: Lindon & Malek 2020 (arXiv:2011.03567), Turner & Grünwald 2023 (arXiv:2106.02693). For events that
are not rare the binomial law used here is wider than the true, hypergeometric one: the test is then
cautious, never wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.analysis.arms import Floats

# The effects that the mixture looks for: log rate ratios, normal around none with a standard deviation of
# 0.7, as points that are dense near none, since with much traffic small effects are what is left to find.
_ABOVE = 0.008 * 1.35 ** np.arange(20)
_EFFECTS = np.concatenate([-_ABOVE[::-1], _ABOVE])
_DENSITY = np.log(np.gradient(_EFFECTS)) - 0.5 * (_EFFECTS / 0.7) ** 2
_LOG_WEIGHTS = _DENSITY - np.log(np.exp(_DENSITY).sum())
_FINE = 1e-4  # ends of intervals are that exact
_FARTHEST = 12.0  # log ratios beyond this are reported as unbounded


@dataclass(frozen=True, slots=True)
class RateResult:
    """How the rates of two arms compare.

    Attributes:
        a: Rate of the baseline over hours in which both arms had traffic, weighted as the comparison
            weighs them.
        b: As `a`, of the candidate.
        low: Lower end of the interval of b / a; 0 if nothing bounds it.
        high: Upper end; infinity if nothing bounds it.
        log_e: Natural logarithm of the evidence against equal rates.
        events: Bad events in those hours, both arms.
    """

    a: float
    b: float
    low: float
    high: float
    log_e: float
    events: float

    @property
    def ratio(self) -> float:
        """B / a; NaN if neither arm had an event."""
        if self.a:
            return self.b / self.a
        return np.inf if self.b else np.nan


def compare_rates(bad: Floats, calls: Floats, *, alpha: float, design_effect: float = 1.0) -> RateResult:
    """Compare the share of bad calls of two arms.

    Args:
        bad: Bad calls by stratum and arm, shape (strata, 2), baseline first; fractions are allowed.
        calls: Calls by stratum and arm, same shape.
        alpha: 1 minus the coverage of the interval.
        design_effect: How much wider calls of one user make the spread than independent calls would, at
            least 1; the evidence is divided by it.
    """
    both = (calls > 0).all(axis=1)
    bad, calls = bad[both], calls[both]
    total = calls.sum()
    if not total:
        return RateResult(np.nan, np.nan, 0.0, np.inf, 0.0, 0.0)
    weight = calls.prod(axis=1) / calls.sum(axis=1)
    rates = (weight[:, None] * bad / calls).sum(axis=0) / weight.sum()
    a, b = float(rates[0]), float(rates[1])
    # Given the totals it is as good to count what went well; the rarer of the two loses least.
    flip = bad.sum() > total / 2
    counted = calls - bad if flip else bad
    evidence = _evidence(counted, calls, design_effect)
    # Half an event more on either side keeps the centre finite.
    events_a, events_b = weight.sum() * ((1 - rates) if flip else rates) + 0.5
    centre, limit = float(np.log(events_b / events_a)), float(np.log(1 / alpha))
    low, high = (_edge(evidence, centre, direction, limit) for direction in (-1.0, 1.0))
    if flip and 0 < a < 1:
        low, high = (1 - (1 - a) * np.exp(edge) for edge in (high, low))
        low, high = max(low, 0.0) / a, max(high, 0.0) / a
    else:
        low, high = float(np.exp(low)), float(np.exp(high))
    return RateResult(a, b, float(low), float(high), evidence(0.0), float(bad.sum()))


def evidence_of_equality(calls: Floats, *, design_effect: float = 1.0) -> Callable[[Floats], float]:
    """Prepare the test of equal rates for many kinds of event among the same calls.

    Args:
        calls: Calls by stratum and arm, shape (strata, 2), none of them 0.
        design_effect: See `compare_rates`.

    Returns:
        A function from events by stratum and arm, same shape, to the logarithm of the evidence.
    """
    normaliser = _normaliser(calls[:, 1] / calls.sum(axis=1))

    def log_e(bad: Floats) -> float:
        counted = calls - bad if bad.sum() > calls.sum() / 2 else bad
        return _mixed(counted[:, 1].sum(), counted.sum(axis=1) @ normaliser, design_effect)

    return log_e


def _evidence(counted: Floats, calls: Floats, design_effect: float) -> Callable[[float], float]:
    """Return the logarithm of the evidence against a given log ratio of the rates."""
    events = counted.sum(axis=1)
    has = events > 0
    in_b, events = counted[has, 1].sum(), events[has]
    log_a, log_b = np.log(calls[has, 0]), np.log(calls[has, 1])

    def log_e(log_ratio: float) -> float:
        share = 1 / (1 + np.exp(log_a - log_b - log_ratio))
        return _mixed(in_b, events @ _normaliser(share), design_effect)

    return log_e


def _normaliser(share: Floats) -> Floats:
    """log(1 - share + share * exp(d)) for all strata and effects d, shape (strata, effects)."""
    return np.log1p(share[:, None] * np.expm1(_EFFECTS)[None, :])


def _mixed(in_b: float, normalised: Floats, design_effect: float) -> float:
    each = _LOG_WEIGHTS + (_EFFECTS * in_b - normalised) / design_effect
    most = each.max()
    return float(most + np.log(np.exp(each - most).sum()))


def _edge(evidence: Callable[[float], float], centre: float, direction: float, limit: float) -> float:
    """Where the evidence against a log ratio, which grows away from the centre, passes the limit."""
    inside, step = centre, 0.05
    while evidence(outside := centre + direction * step) < limit:
        inside, step = outside, step * 2
        if step > 2 * _FARTHEST:
            return direction * np.inf
    while abs(outside - inside) > _FINE:
        middle = (inside + outside) / 2
        if evidence(middle) < limit:
            inside = middle
        else:
            outside = middle
    return outside
