"""Small worlds with a known truth, as the arrays that a comparison takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptspan_server.analysis.arms import BUCKETS, QUANTITIES, UNITS, Arms, Moments


@dataclass
class Plan:
    """What two versions do; `b` differs from `a` by the factors."""

    hours: int = 24
    per_hour: int = 400
    share: float = 0.5
    latency: float = 1.0
    tail: float = 1.0
    tokens: float = 1.0
    error_rates: tuple[float, float] = (0.01, 0.01)
    flags: tuple[float, float] = (0.0, 0.0)
    score: float = 0.0
    users: int = 0
    apart: bool = False
    seed: int = 0


def arms(plan: Plan) -> Arms:
    """Draw calls one by one and add them up as the store does."""
    rng = np.random.default_rng(plan.seed)
    shape = (plan.hours, 2, UNITS)
    cells = {
        name: np.zeros(shape) for name in ("calls", "error", "refusal", "latency", "tokens", "cost", "score")
    }
    squares = {name: np.zeros(shape[:2]) for name in ("latency", "tokens", "cost", "score")}
    histograms = {name: np.zeros((plan.hours, 2, BUCKETS)) for name in ("latency", "cost")}
    arm_of_user = rng.random(max(plan.users, 1)) < plan.share
    taste = rng.normal(0, 0.4, max(plan.users, 1))
    busy = rng.pareto(1.2, max(plan.users, 1)) + 1
    for hour in range(plan.hours):
        n = int(rng.poisson(plan.per_hour))
        base = 0.3 * np.sin(hour / 4)
        if plan.users:
            user = rng.choice(plan.users, n, p=busy / busy.sum())
            arm, unit, own = arm_of_user[user].astype(int), user % UNITS, taste[user]
        else:
            arm, unit, own = (rng.random(n) < plan.share).astype(int), rng.integers(0, UNITS, n), np.zeros(n)
        if plan.apart:
            arm[:] = int(hour >= plan.hours // 2)
        wild = rng.normal(0, 0.6, n)
        slow = np.where((arm == 1) & (wild > 0.9), np.log(plan.tail), 0.0)
        latency = np.log(800) + base + own + wild + slow + np.log(plan.latency) * arm
        tokens = np.log(200) + rng.normal(0, 0.9, n) + np.log(plan.tokens) * arm
        values = {
            "calls": np.ones(n),
            "error": (rng.random(n) < np.take(plan.error_rates, arm)).astype(float),
            "refusal": (rng.random(n) < np.take(plan.flags, arm)).astype(float),
            "latency": latency,
            "tokens": tokens,
            "cost": tokens + np.log(600),
            "score": 0.8 + plan.score * arm + rng.normal(0, 0.2, n),
        }
        for name, each in values.items():
            np.add.at(cells[name][hour], (arm, unit), each)
            if name in squares:
                np.add.at(squares[name][hour], arm, each**2)
        for name in histograms:
            bucket = np.floor(np.log2(np.exp(values[name]) + 1) * 8).astype(int)
            np.add.at(histograms[name][hour], (arm, bucket), 1.0)
    nothing = Moments(np.zeros(shape), np.zeros(shape), np.zeros(shape[:2]))
    moments: dict[str, Moments] = dict.fromkeys(QUANTITIES, nothing)
    for name, source in (("latency", "latency"), ("output_tokens", "tokens"), ("cost", "cost")):
        moments[name] = Moments(cells["calls"], cells[source], squares[source])
    return Arms(
        hours=np.arange(plan.hours) * 3600,
        calls=cells["calls"],
        identified=1.0 if plan.users else 0.0,
        rates={name: cells[name] for name in ("error", "refusal")},
        moments=moments,
        histograms=histograms,
        scores={"helpful": Moments(cells["calls"], cells["score"], squares["score"])} if plan.score else {},
    )
