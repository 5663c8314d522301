"""Comparisons under peeking: how often equal versions are called different, how soon a difference is seen.

    make bench-compare                         # 40 runs a world, a look every 3 hours
    python benchmarks/bench_compare.py --runs 200 --every 1 --seed 1000

A week of calls to two versions, looked at again and again; a run counts as soon as any metric says
`regressed` or `improved` at any look. Three worlds without a difference: `iid` (halves of even traffic),
`ramp` (5, 20, 50 % of a traffic whose base rates drift), `users` (400 users assigned for good, a few of whom
make most of the calls). Beside it Welch's t-test and a z-test of the rates at the same looks.

`users, known before` is the last world with what each user had in the two weeks before (CUPED); what that
saves shows in calls until a change is seen, with it and without it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from promptspan_server.analysis.arms import BUCKETS, QUANTITIES, UNITS, Arms, Moments
from promptspan_server.analysis.compare import compare
from promptspan_server.analysis.cuped import Covariate, adjusted, theta_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOURS = 168
NAIVE_ALPHA = 0.05


@dataclass(frozen=True)
class World:
    """What happens: how traffic is divided, and how the candidate differs."""

    name: str
    per_hour: float = 300.0
    share: float = 0.5
    log_latency: float = 0.0
    log_tokens: float = 0.0
    errors_b: float = 1.0  # odds ratio of errors


USERS, KNOWN = "users", "users, known before"
NULL = (World("iid"), World("ramp"), World(USERS), World(KNOWN))
CHANGED = (
    World("latency +20 %", log_latency=np.log(1.2)),
    World("tokens +25 %", log_tokens=np.log(1.25)),
    World("errors 1 -> 2 %", errors_b=2.0),
    World(USERS, log_latency=np.log(1.2)),
    World(KNOWN, log_latency=np.log(1.2)),
)
UNEVEN = World("48/52", share=0.52)
_EQUAL = set(NULL)


def simulate(world: World, seed: int) -> Arms:
    """Draw a week."""
    rng = np.random.default_rng(seed)
    hour_noise, error_noise = _ar1(rng, 0.05), _ar1(rng, 0.3)
    share = np.full(HOURS, world.share)
    if world.name == "iid":
        hour_noise, error_noise = np.zeros(HOURS), np.zeros(HOURS)
    if world.name == "ramp":
        share = np.repeat([0.05, 0.2, 0.5], HOURS // 3)
        hour_noise = hour_noise + np.linspace(0, 0.5, HOURS)
        error_noise = error_noise + np.linspace(0, 1.0, HOURS)
    users = 400
    made = np.asarray(rng.pareto(1.5, users), dtype=np.float64) + 1.0
    weights = made / np.sum(made)
    arm_of_user, unit_of_user = rng.random(users) < 0.5, rng.integers(0, UNITS, users)
    taste, trouble = rng.normal(0, 0.3, users), rng.normal(0, 0.5, users)
    before = {
        name: _two_weeks_before(rng, weights, taste, sd) for name, sd in (("latency", 0.6), ("tokens", 0.9))
    }
    shape = (HOURS, 2, UNITS)
    usual = {
        name: Covariate(
            before[name][1] if world.name == KNOWN else 0.0,
            np.zeros(shape),
            np.zeros(shape[:2]),
            np.zeros(shape[:2]),
        )
        for name in before
    }
    cells = {name: np.zeros(shape) for name in ("calls", "error", "latency", "tokens")}
    squares = {name: np.zeros((HOURS, 2)) for name in ("latency", "tokens")}
    histogram = np.zeros((HOURS, 2, BUCKETS))
    for hour in range(HOURS):
        mean = world.per_hour * (1 + 0.6 * np.cos(2 * np.pi * (hour % 24 - 15) / 24))
        mean *= 0.55 if hour // 24 % 7 in (5, 6) else 1.0
        n = int(rng.poisson(float(mean) * rng.gamma(25, 1 / 25)))
        user = rng.choice(users, n, p=weights)
        if world.name in (USERS, KNOWN):
            arm, unit = arm_of_user[user].astype(int), unit_of_user[user]
            own, own_trouble = taste[user], trouble[user]
        else:
            arm, unit = (rng.random(n) < share[hour]).astype(int), rng.integers(0, UNITS, n)
            own, own_trouble = np.zeros(n), np.zeros(n)
        latency = np.log(900) + hour_noise[hour] + own + world.log_latency * arm + rng.normal(0, 0.6, n)
        tokens = np.log(300) + own + world.log_tokens * arm + rng.normal(0, 0.9, n)
        logit = np.log(0.01 / 0.99) + error_noise[hour] + own_trouble + np.log(world.errors_b) * arm
        failed = rng.random(n) < 1 / (1 + np.exp(-logit))
        at = (arm, unit)
        for name, values in (("calls", 1.0), ("error", failed), ("latency", latency), ("tokens", tokens)):
            np.add.at(cells[name][hour], at, values)
        for name, values in (("latency", latency), ("tokens", tokens)):
            np.add.at(squares[name][hour], arm, values**2)
        bucket = np.floor(np.log2(np.exp(latency) + 1) * 8).astype(int)
        np.add.at(histogram[hour], (arm, bucket), 1.0)
        if world.name == KNOWN:
            for name, values in (("latency", latency), ("tokens", tokens)):
                x = before[name][0][user]
                np.add.at(usual[name].x[hour], at, x)
                np.add.at(usual[name].xx[hour], arm, x**2)
                np.add.at(usual[name].xy[hour], arm, x * values)
    nothing = Moments(np.zeros(shape), np.zeros(shape), np.zeros((HOURS, 2)))
    moments: dict[str, Moments] = dict.fromkeys(QUANTITIES, nothing)
    moments["latency"] = Moments(cells["calls"], cells["latency"], squares["latency"])
    moments["output_tokens"] = Moments(cells["calls"], cells["tokens"], squares["tokens"])
    arms = Arms(
        hours=np.arange(HOURS) * 3600,
        calls=cells["calls"],
        identified=1.0 if world.name in (USERS, KNOWN) else 0.0,
        rates={"error": cells["error"]},
        moments=moments,
        histograms={"latency": histogram, "cost": np.zeros((HOURS, 2, BUCKETS))},
    )
    named = {"latency": "latency", "tokens": "output_tokens"}
    return adjusted(arms, {named[name]: each for name, each in usual.items() if each.theta})


def _two_weeks_before(
    rng: np.random.Generator, weights: NDArray[np.float64], own: NDArray[np.float64], sd: float
) -> tuple[NDArray[np.float64], float]:
    """What each user usually has, and how well one week of it tells the next: see `UsersBefore`."""
    weeks = rng.poisson(300.0 * HOURS * weights, (2, len(weights))).astype(float)
    sums = weeks * own + rng.normal(0, sd, weeks.shape) * np.sqrt(weeks)

    def shrunk(n: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
        return (total - n * (total.sum() / n.sum())) / (n + 3)

    x, (_, n), (_, y) = shrunk(weeks[0], sums[0]), weeks, sums
    theta = theta_of(*(float(each.sum()) for each in (n, n * x, n * x**2, y, x * y)))
    return shrunk(weeks.sum(axis=0), sums.sum(axis=0)), theta


def _ar1(rng: np.random.Generator, sd: float) -> NDArray[np.float64]:
    noise, state = np.empty(HOURS), 0.0
    for hour in range(HOURS):
        state = 0.8 * state + rng.normal(0, sd * 0.6)
        noise[hour] = state
    return noise + np.repeat(rng.normal(0, sd / 2, HOURS // 24), 24)


def until(arms: Arms, hours: int) -> Arms:
    """What was known after so many hours."""
    return Arms(
        hours=arms.hours[:hours],
        calls=arms.calls[:hours],
        identified=arms.identified,
        rates={name: cells[:hours] for name, cells in arms.rates.items()},
        moments=_moments_until(arms.moments, hours),
        histograms={name: cells[:hours] for name, cells in arms.histograms.items()},
        adjusted=_moments_until(arms.adjusted, hours),
    )


def _moments_until(moments: dict[str, Moments], hours: int) -> dict[str, Moments]:
    return {
        name: Moments(each.calls[:hours], each.sums[:hours], each.squares[:hours])
        for name, each in moments.items()
    }


@dataclass(frozen=True)
class Seen:
    """What a week of looking at one world came to: calls at the first claim, NaN if there was none."""

    any_metric: float
    welch: float
    z_test: float
    mismatch: float
    seconds: float


def watch(task: tuple[World, int, int]) -> Seen:
    """Look at one world until the week is over."""
    world, seed, every = task
    arms = simulate(world, seed)
    first = {"any": np.nan, "welch": np.nan, "z": np.nan, "mismatch": np.nan}
    spent = 0.0
    for hours in range(2, HOURS + 1, every):
        known = until(arms, hours)
        began = time.process_time()
        result = compare(known)
        spent += time.process_time() - began
        claims = {
            "any": any(each.verdict in ("regressed", "improved") for each in result.metrics),
            "welch": _welch(known) < NAIVE_ALPHA,
            "z": _z_test(known) < NAIVE_ALPHA,
            "mismatch": result.balance.mismatch,
        }
        for name, claimed in claims.items():
            if claimed and np.isnan(first[name]):
                first[name] = known.calls.sum()
        # Of a difference only the first claim counts.
        if not np.isnan(first["mismatch" if world.name == UNEVEN.name else "any"]) and world not in _EQUAL:
            break
    return Seen(first["any"], first["welch"], first["z"], first["mismatch"], spent)


def _welch(arms: Arms) -> float:
    moments = arms.moments["latency"]
    n, total, squares = moments.calls.sum((0, 2)), moments.sums.sum((0, 2)), moments.squares.sum(0)
    if n.min() < 30:
        return 1.0
    mean, deviation = total / n, np.sqrt((squares - total**2 / n) / (n - 1))
    test = stats.ttest_ind_from_stats(
        mean[0], deviation[0], n[0], mean[1], deviation[1], n[1], equal_var=False
    )
    return float(test.pvalue)


def _z_test(arms: Arms) -> float:
    n, bad = arms.calls.sum((0, 2)), arms.rates["error"].sum((0, 2))
    if bad.sum() < 10 or n.min() < 30:
        return 1.0
    pooled = bad.sum() / n.sum()
    z = (bad[1] / n[1] - bad[0] / n[0]) / np.sqrt(pooled * (1 - pooled) * (1 / n).sum())
    return float(2 * stats.norm.sf(abs(z)))


def main() -> int:
    """Print the tables; exit code 1 if a bar of the null worlds is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="weeks a world")
    parser.add_argument("--every", type=int, default=3, help="hours between two looks")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    missed = False
    seeds = range(options.seed, options.seed + options.runs)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:

        def run(world: World) -> list[Seen]:
            return pool.map(watch, [(world, seed, options.every) for seed in seeds], chunksize=4)

        print(f"{options.runs} weeks a world, a look every {options.every} h, seeds from {options.seed}\n")
        print(
            f"{'no difference':20} {'ever claimed':>13} {'bar':>6}   {'Welch':>6} {'z-test':>7}   ms a look"
        )
        for world in NULL:
            seen = run(world)
            claimed = np.mean([not np.isnan(each.any_metric) for each in seen])
            # Three standard errors of the estimate itself, so that a short run is no coin toss.
            bar = 0.05 + 3 * np.sqrt(0.05 * 0.95 / options.runs) if options.runs < 200 else 0.05
            missed |= bool(claimed > bar)
            welch, z = (
                np.mean([not np.isnan(getattr(each, name)) for each in seen]) for name in ("welch", "z_test")
            )
            ms = 1000 * np.mean([each.seconds for each in seen]) / len(range(2, HOURS + 1, options.every))
            print(
                f"{world.name:20} {claimed:13.1%} {bar:6.1%}   {welch:6.0%} {z:7.0%}   {ms:.0f}", flush=True
            )
        print(f"\n{'difference':34} {'found':>13}   median calls until then")
        for world in CHANGED:
            seen = [each.any_metric for each in run(world)]
            name = world.name if world.errors_b > 1 or "+" in world.name else f"{world.name}: latency +20 %"
            print(f"{name:34} {np.mean(~np.isnan(seen)):13.0%}   {np.nanmedian(seen):,.0f}", flush=True)
        uneven = [each.mismatch for each in run(UNEVEN)]
        found = np.mean(np.nan_to_num(uneven, nan=np.inf) <= 12_000)
        print(f"\nsplit {UNEVEN.name}: found within 12,000 calls in {found:.0%} of the runs")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
