"""Is the new version worse? Every metric with its interval, valid however often one looks, and a verdict.

The metrics share an error of 5 %: if the versions are equal, no more than one comparison in twenty ever
says otherwise on any of them, however often it is repeated while traffic comes in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from promptspan_server.analysis.arms import BUCKETS, Moments
from promptspan_server.analysis.balance import Balance, check_balance
from promptspan_server.analysis.means import MeanResult, compare_means
from promptspan_server.analysis.metrics import LATENCY, TRIFLE, USAGE, Metric, rate, score
from promptspan_server.analysis.quantiles import BUCKETS_PER_OCTAVE, compare_quantiles
from promptspan_server.analysis.rates import compare_rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.analysis.arms import Arms, Floats

Verdict = Literal["regressed", "improved", "not worse", "undecided", "invalid"]

ERROR = 0.05
MIN_CALLS = 30  # of an arm, below which nothing is said
MIN_EVENTS = 10  # of a rate, both arms
_LOG_SCALE = 0.2  # size of the log differences that the tests of means are tuned to
_SCORE_SCALE = 0.3  # the same for scores, in standard deviations
_WINSORISED_AT = 0.995
_NANO = 1e-9
_MOST_FLAGS = 12


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of two versions.

    Attributes:
        metric: Which.
        verdict: What may be said of it.
        a: The baseline's value, in the metric's unit; None if there is none.
        b: The candidate's.
        ratio: b / a, None for scores and where a is 0.
        delta: b - a.
        low: Lower end of the interval of the ratio (of the delta, for scores); None if nothing bounds it.
        high: Upper end.
        p: Always-valid p-value of no difference.
        n_a: Calls of the baseline that have the quantity.
        n_b: Calls of the candidate.
        more_calls: How many more calls an arm would about decide it; None if it is decided or nobody can
            say.
        reason: Why nothing is said, for `undecided` and `invalid`; empty otherwise.
        adjusted: Whether ratio, interval and p are of what is left when what users usually have is taken off
            (`cuped`); a and b are as they are.
    """

    metric: Metric
    verdict: Verdict
    a: float | None
    b: float | None
    ratio: float | None
    delta: float | None
    low: float | None
    high: float | None
    p: float
    n_a: int
    n_b: int
    more_calls: int | None = None
    reason: str = ""
    adjusted: bool = False

    @property
    def bad(self) -> bool:
        """Whether it is evidence of harm."""
        return self.verdict == "regressed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a prompt.

    Attributes:
        verdict: Of the whole: `regressed` if any metric is, `invalid` if the traffic was not divided as
            intended, else what the metrics agree on.
        metrics: Each metric, the regressed first.
        balance: How the traffic was divided.
        observational: The versions ran one after the other, so whatever else changed in between is part of
            the difference.
        calls_a: Calls of the baseline that were compared.
        calls_b: Calls of the candidate that were compared.
        alpha: The error that each metric may make; all together make at most `ERROR`.
    """

    verdict: Verdict
    metrics: tuple[Compared, ...]
    balance: Balance
    observational: bool
    calls_a: int
    calls_b: int
    alpha: float


def compare(
    arms: Arms,
    *,
    metrics: Sequence[Metric] | None = None,
    intended_share: float | None = None,
    error: float = ERROR,
) -> Comparison:
    """Compare two versions.

    Args:
        arms: What they did; baseline first.
        metrics: What to compare; all that there is data for if None.
        intended_share: The candidate's share of traffic as configured, 0 to 1. None: a share near a half
            is taken for an intended half, and any other is not tested.
        error: What all metrics together may err, 0 to 1.
    """
    concurrent = arms.calls[arms.concurrent].sum(axis=(0, 2))
    observational = not len(concurrent) or bool(concurrent.min() < MIN_CALLS)
    balance = (
        Balance(intended_share, float("nan"), None)
        if observational
        else check_balance(arms.calls, intended=intended_share, clustered=arms.clustered)
    )
    looked_at = arms.one_after_the_other() if observational and len(arms.hours) else arms
    wanted = metrics_of(arms) if metrics is None else tuple(metrics)
    alpha = error / max(len(wanted), 1)
    compared = [_compare(looked_at, metric, alpha) for metric in wanted]
    if balance.mismatch:
        compared = [_invalidated(each) for each in compared]
    counted = looked_at.calls[looked_at.concurrent].sum(axis=(0, 2)) if len(arms.hours) else np.zeros(2)
    return Comparison(
        verdict=_overall(compared, balance),
        metrics=tuple(sorted(compared, key=lambda each: _ORDER.index(each.verdict))),
        balance=balance,
        observational=observational,
        calls_a=int(counted[0]),
        calls_b=int(counted[1]),
        alpha=alpha,
    )


_ORDER: tuple[Verdict, ...] = ("invalid", "regressed", "improved", "undecided", "not worse")


def metrics_of(arms: Arms) -> tuple[Metric, ...]:
    """All metrics that there is data for."""
    seen = sorted(
        (name for name, cells in arms.rates.items() if name != "error" and cells.any()),
        key=lambda name: -arms.rates[name].sum(),
    )
    rates = (rate("error"), *(rate(name) for name in seen[:_MOST_FLAGS]))
    means = tuple(metric for metric in (*LATENCY, *USAGE) if arms.moments[metric.source].calls.any())
    return (*rates, *means, *(score(name) for name in sorted(arms.scores)))


def _compare(arms: Arms, metric: Metric, alpha: float) -> Compared:
    if metric.kind == "rate":
        return _compare_rate(arms, metric, alpha)
    if metric.kind == "score":
        moments = arms.scores.get(metric.source)
        return _unknown(metric) if moments is None else _compare_score(arms, metric, moments, alpha)
    moments = arms.moments[metric.source]
    counts = _counts(moments.calls)
    if min(counts) < MIN_CALLS:
        return _too_few(metric, counts)

    def mean_of(moments: Moments) -> MeanResult:
        return compare_means(
            moments.calls,
            moments.sums,
            moments.squares,
            alpha=alpha,
            scale=_LOG_SCALE,
            floor=0.01,
            clustered=arms.clustered,
        )

    mean = mean_of(moments)
    unit = _NANO if metric.unit == "usd" else 1.0
    if metric.kind == "quantile":
        return _compare_quantile(arms, metric, alpha, counts, mean)
    if metric.kind == "spend":
        return _compare_spend(arms, metric, alpha, counts, mean)
    a, b = float(np.expm1(mean.a)) * unit, float(np.expm1(mean.b)) * unit
    left = arms.adjusted.get(metric.source)
    if left is not None:
        mean = mean_of(left)
    with np.errstate(over="ignore"):  # few users, and nothing bounds it
        interval = (float(np.exp(mean.low)), float(np.exp(mean.high)))
    judged = _judged(
        metric, (a, b), interval, log_e=mean.log_e, counts=counts, ratio=float(np.exp(mean.delta))
    )
    return replace(judged, adjusted=left is not None)


def _compare_rate(arms: Arms, metric: Metric, alpha: float) -> Compared:
    bad = arms.rates.get(metric.source)
    counts = _counts(arms.calls)
    if min(counts) < MIN_CALLS:
        return _too_few(metric, counts)
    if bad is None:
        bad = np.zeros_like(arms.calls)
    effect = 1.0
    if arms.clustered and bad.sum() >= MIN_EVENTS:
        effect = compare_means(
            arms.calls, bad, bad.sum(axis=2), alpha=alpha, scale=0.01, floor=1e-4, clustered=True
        ).design_effect
    result = compare_rates(bad.sum(axis=2), arms.calls.sum(axis=2), alpha=alpha, design_effect=effect)
    if result.events < MIN_EVENTS:
        return _rare(metric, result.a, result.b, counts, result.events)
    limits = [result.a * metric.max_ratio] if metric.max_ratio else []
    limits += [result.a + metric.max_change] if metric.max_change is not None else []
    allowed = max(min(limits, default=result.a), result.a + TRIFLE)
    of_rate = replace(metric, max_ratio=allowed / result.a if result.a else None)
    interval = (result.low, result.high)
    judged = _judged(
        of_rate, (result.a, result.b), interval, log_e=result.log_e, counts=counts, ratio=result.ratio
    )
    return replace(judged, metric=metric)


def _rare(metric: Metric, a: float, b: float, counts: tuple[int, int], events: float) -> Compared:
    # The rule of three: with so few events among so many calls both rates are small.
    ceiling = (events + 3.0 + 2 * np.sqrt(events)) / min(counts)
    small = ceiling <= (metric.max_change or TRIFLE)
    more = None if small or not events else int(np.ceil(min(counts) * (MIN_EVENTS / events - 1)))
    return Compared(
        metric=metric,
        verdict="not worse" if small else "undecided",
        a=a,
        b=b,
        ratio=None,
        delta=b - a,
        low=None,
        high=None,
        p=1.0,
        n_a=counts[0],
        n_b=counts[1],
        more_calls=more,
        reason="" if small else f"{events:.0f} of them so far, {MIN_EVENTS} are needed",
    )


def _compare_quantile(
    arms: Arms, metric: Metric, alpha: float, counts: tuple[int, int], mean: MeanResult
) -> Compared:
    rarest = min(counts) * (1 - metric.probability)
    result = compare_quantiles(
        arms.histograms[metric.source], metric.probability, alpha=alpha, design_effect=mean.design_effect
    )
    if result is None or rarest < MIN_EVENTS / 2:
        return _too_few(metric, counts, int(np.ceil(MIN_EVENTS / 2 / (1 - metric.probability))))
    interval = (result.low, result.high)
    return _judged(
        metric, (result.a, result.b), interval, log_e=result.log_e, counts=counts, ratio=result.ratio
    )


def _compare_spend(
    arms: Arms, metric: Metric, alpha: float, counts: tuple[int, int], mean: MeanResult
) -> Compared:
    """Dollars a call: the mean, the dearest cut at a common limit, since one call can outweigh a thousand."""
    histogram = arms.histograms[metric.source]
    value = (2 ** ((np.arange(BUCKETS) + 0.5) / BUCKETS_PER_OCTAVE) - 1) * _NANO
    value[0] = 0.0
    cumulative = np.cumsum(histogram.sum(axis=(0, 1)), dtype=np.float64)
    value = np.minimum(value, value[int(np.searchsorted(cumulative, _WINSORISED_AT * float(cumulative[-1])))])
    n = histogram.sum(axis=2)
    dollars = compare_means(
        n[:, :, None],
        (histogram @ value)[:, :, None],
        histogram @ value**2,
        alpha=alpha,
        scale=_LOG_SCALE * float((histogram @ value).sum() / max(n.sum(), 1)) or 1e-12,
        floor=1e-12,
        clustered=False,
        design_effect=mean.design_effect,
    )
    a, b = dollars.a, dollars.b
    if not a > 0:
        return _unknown(metric)
    interval = (max(0.0, 1 + dollars.low / a), 1 + dollars.high / a)
    return _judged(metric, (a, b), interval, log_e=dollars.log_e, counts=counts, ratio=b / a)


def _compare_score(arms: Arms, metric: Metric, moments: Moments, alpha: float) -> Compared:
    counts = _counts(moments.calls)
    if min(counts) < MIN_CALLS:
        return _too_few(metric, counts)
    total, n = moments.sums.sum(), moments.calls.sum()
    spread = float(np.sqrt(max(moments.squares.sum() / n - (total / n) ** 2, 1e-12)))
    result = compare_means(
        moments.calls,
        moments.sums,
        moments.squares,
        alpha=alpha,
        scale=_SCORE_SCALE * spread,
        floor=0.01 * spread,
        clustered=arms.clustered,
    )
    interval = (result.low, result.high)
    return _judged(metric, (result.a, result.b), interval, log_e=result.log_e, counts=counts, ratio=None)


def _judged(
    metric: Metric,
    values: tuple[float, float],
    interval: tuple[float, float],
    *,
    log_e: float,
    counts: tuple[int, int],
    ratio: float | None,
) -> Compared:
    (a, b), (low, high) = values, interval
    of_score = metric.kind == "score"
    nothing = 0.0 if of_score else 1.0
    if metric.worse == "higher":
        margin = (metric.max_change or 0.0) if of_score else (metric.max_ratio or 1.0)
        harm, good, within = low > nothing, high < nothing, high <= margin
    else:
        margin = -(metric.max_change or 0.0) if of_score else 1 / (metric.max_ratio or 1.0)
        harm, good, within = high < nothing, low > nothing, low >= margin
    verdict: Verdict
    if good:
        verdict = "improved"
    elif within:
        verdict = "not worse"
    elif harm:
        verdict = "regressed"
    else:
        verdict = "undecided"
    effect = (b - a) if of_score else (ratio if ratio is not None else np.nan)
    more = _more_calls(metric, effect, interval, margin, counts) if verdict == "undecided" else None
    return Compared(
        metric=metric,
        verdict=verdict,
        a=a,
        b=b,
        ratio=None if ratio is None or not np.isfinite(ratio) else ratio,
        delta=b - a,
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        p=float(min(1.0, np.exp(-log_e))),
        n_a=counts[0],
        n_b=counts[1],
        more_calls=more,
        reason="the interval holds both no change and one that matters" if verdict == "undecided" else "",
    )


def _more_calls(
    metric: Metric, effect: float, interval: tuple[float, float], margin: float, counts: tuple[int, int]
) -> int | None:
    """If what is seen is what is, the interval excludes no change or the margin when it is narrow enough."""
    low, high = interval
    if metric.kind != "score":
        with np.errstate(divide="ignore", invalid="ignore"):
            effect, low, high, margin = (float(np.log(value)) for value in (effect, low, high, margin))
    half = (high - low) / 2
    needed = max(abs(effect), abs(margin - effect))
    if not (np.isfinite(half) and np.isfinite(needed)) or needed <= 0:
        return None
    return int(np.ceil(min(counts) * max((half / needed) ** 2 - 1, 0.05)))


def _counts(calls: Floats) -> tuple[int, int]:
    both = (calls.sum(axis=2) > 0).all(axis=1)
    a, b = calls[both].sum(axis=(0, 2))
    return int(a), int(b)


def _too_few(metric: Metric, counts: tuple[int, int], needed: int = MIN_CALLS) -> Compared:
    more = max(needed - min(counts), 1)
    return _nothing(metric, counts, more, f"too few calls: {min(counts)} of at least {needed} an arm")


def _unknown(metric: Metric) -> Compared:
    return _nothing(metric, (0, 0), None, "no call has it")


def _nothing(metric: Metric, counts: tuple[int, int], more: int | None, reason: str) -> Compared:
    return Compared(
        metric, "undecided", None, None, None, None, None, None, 1.0, counts[0], counts[1], more, reason
    )


def _with_verdict(compared: Compared, verdict: Verdict, reason: str = "") -> Compared:
    return replace(compared, verdict=verdict, more_calls=None, reason=reason)


def _invalidated(compared: Compared) -> Compared:
    return _with_verdict(compared, "invalid", "the traffic was not divided as intended")


def _overall(compared: Sequence[Compared], balance: Balance) -> Verdict:
    """A rate without enough events, or a tail without enough calls, does not hold up what the others say."""
    verdicts = {each.verdict for each in compared if each.verdict != "undecided" or each.low is not None}
    if balance.mismatch:
        return "invalid"
    if "regressed" in verdicts:
        return "regressed"
    if "undecided" in verdicts or not verdicts:
        return "undecided"
    return "improved" if "improved" in verdicts else "not worse"
