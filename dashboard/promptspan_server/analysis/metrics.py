"""What versions are compared by: each metric, which direction is worse, which change matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["rate", "mean", "quantile", "spend", "score"]

SCORE_PREFIX = "score:"
RATE_SUFFIX = "_rate"
TRIFLE = 0.002  # share of calls: two in a thousand more is no harm, whatever their ratio


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing to compare.

    Attributes:
        name: As users write it.
        kind: `rate` (share of calls), `mean` (geometric), `quantile`, `spend` (winsorised mean) or `score`.
        source: Name in `Arms`.
        unit: Of the values shown: `ms`, `tokens`, `usd`, empty for shares and scores.
        worse: The direction of harm.
        max_ratio: A ratio up to this is no harm; None for scores.
        max_change: A difference up to this is no harm: of a score in its own unit, of a rate as a share of
            calls; for rates the tighter of the two limits counts, but a change below `TRIFLE` never does.
        probability: Of a quantile.
    """

    name: str
    kind: Kind
    source: str
    unit: str = ""
    worse: Literal["higher", "lower"] = "higher"
    max_ratio: float | None = 1.1
    max_change: float | None = None
    probability: float = 0.5


def rate(source: str) -> Metric:
    """Share of calls that something happened to: `error`, `cancelled`, `incomplete` or a safety flag."""
    return Metric(source + RATE_SUFFIX, "rate", source, max_ratio=1.5, max_change=0.02)


def score(name: str) -> Metric:
    """Mean of an evaluation score, by default the higher the better."""
    return Metric(SCORE_PREFIX + name, "score", name, worse="lower", max_ratio=None, max_change=0.03)


LATENCY = (
    Metric("latency", "mean", "latency", unit="ms"),
    Metric("latency_p50", "quantile", "latency", unit="ms", probability=0.5),
    Metric("latency_p95", "quantile", "latency", unit="ms", probability=0.95),
    Metric("latency_p99", "quantile", "latency", unit="ms", probability=0.99),
    Metric("ttft", "mean", "ttft", unit="ms"),
)
USAGE = (
    Metric("input_tokens", "mean", "input_tokens", unit="tokens"),
    Metric("output_tokens", "mean", "output_tokens", unit="tokens"),
    Metric("cost", "mean", "cost", unit="usd"),
    Metric("cost_per_call", "spend", "cost", unit="usd"),
)
NAMED = {metric.name: metric for metric in (*LATENCY, *USAGE)}


def named(name: str) -> Metric:
    """Find the metric of a name that a user wrote.

    Raises:
        ValueError: There is no such metric; the message lists those there are.
    """
    if name in NAMED:
        return NAMED[name]
    if name.startswith(SCORE_PREFIX) and len(name) > len(SCORE_PREFIX):
        return score(name.removeprefix(SCORE_PREFIX))
    if name.endswith(RATE_SUFFIX) and len(name) > len(RATE_SUFFIX):
        return rate(name.removesuffix(RATE_SUFFIX))
    known = ", ".join(NAMED)
    raise ValueError(
        f"no metric {name!r}: there are {known}, FLAG_rate (error_rate, refusal_rate, ...) and score:NAME"
    )
