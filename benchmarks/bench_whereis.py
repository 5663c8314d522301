"""Where is it? Planted changes in one segment, and how often the first answer is that segment.

    make bench-whereis                         # 300 worlds a row
    python benchmarks/bench_whereis.py --runs 1000 --seed 7

Calls of two groups with eleven dimensions (two values to sixty, by Zipf's law; models that go with
features, providers that are given by the model), whose costs and error rates differ from segment to segment
anyway. In one segment, a value or a pair of values, calls get dearer or fail more often. Some worlds shift
traffic at the same time, change everything a little, or let every segment change by a little of its own.
Beside it Adtributor's rule (Bhagwan et al. 2014: explanatory power and surprise) and the segment with the
largest change.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.analysis.cells import Cells, Dimension
from promptspan_server.analysis.locate import locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

_VALUES = {
    "feature": 8,
    "tenant": 60,
    "request_model": 6,
    "response_model": 12,
    "provider": 3,
    "environment": 2,
    "service": 5,
    "operation": 3,
    "user_group": 16,
    "streaming": 2,
    "hour": 24,
}
_FEWEST = {"cost": 300, "error rate": 1500}  # calls of a group in the segment: below it nobody could tell
BARS = {("cost", 1): 0.98, ("cost", 2): 0.90, ("error rate", 1): 0.98, ("error rate", 2): 0.60}

Answer = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Planted:
    """Calls, and the segment in which they changed."""

    cells: Cells
    truth: NDArray[np.bool_]


def plant(metric: str, predicates: int, seed: int) -> Planted:
    """Draw a world.

    Args:
        metric: `cost` or `error rate`.
        predicates: 1 or 2; 0 for a world in which no segment is other than the rest.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    while True:
        n = int(20_000 * 5 ** float(rng.random()))
        group = (rng.random(n) < rng.choice([0.5, 0.3, 0.7])).astype(int)
        codes = {name: _zipf(rng, n, many) for name, many in _VALUES.items()}
        if rng.random() < 0.7:  # a feature has its model, mostly
            own = rng.integers(0, _VALUES["request_model"], _VALUES["feature"])
            keeps = rng.random(n) < rng.uniform(0.5, 0.9)
            codes["request_model"] = np.where(keeps, own[codes["feature"]], codes["request_model"])
        # Each model answers in one of two releases.
        codes["response_model"] = 2 * codes["request_model"] + (rng.random(n) < rng.uniform(0.1, 0.9))
        codes["provider"] = codes["request_model"] % _VALUES["provider"]
        keep = np.full(n, fill_value=True)
        if rng.random() < 0.4:  # the second group has less of one feature
            keep = (group == 0) | (codes["feature"] != rng.integers(0, 3)) | (rng.random(n) < 0.5)
        group, codes = group[keep], {name: each[keep] for name, each in codes.items()}
        n = len(group)
        chosen = rng.choice(list(_VALUES), predicates, replace=False)
        truth = np.ones(n, dtype=bool)
        for name in chosen:
            truth &= codes[name] == rng.choice(np.unique(codes[name]))
        inside = [int((truth & (group == each)).sum()) for each in (0, 1)]
        if not predicates or (min(inside) >= _FEWEST[metric] and truth.mean() < 0.5):
            break
    if not predicates:
        truth[:] = False
    usual = np.zeros(n)
    own_change = np.zeros(n)
    uneven = float(rng.choice([0.0, 0.0, 0.03]))
    for name in ("feature", "tenant", "request_model", "operation", "hour"):
        usual += rng.normal(0, 0.3, _VALUES[name])[codes[name]]
        own_change += rng.normal(0, uneven, _VALUES[name])[codes[name]]
    everywhere = rng.choice([0.0, 0.0, 0.05])
    changed = (everywhere + own_change) * group
    if metric == "cost":
        changed = changed + truth * group * np.log(rng.uniform(1.4, 3.0)) * rng.choice([1, 1, 1, -1])
        logs = np.log(3e6) + usual + changed + rng.normal(0, 0.9, n)
        sums, squares, kind = np.exp(logs) * 1e-9, logs**2, "mean"
    else:
        changed = changed + truth * group * np.log(rng.uniform(3.0, 10.0))
        logs = (rng.random(n) < np.minimum(0.01 * np.exp(usual + changed), 0.9)).astype(float)
        sums, squares, kind = logs, logs, "rate"

    def of_group(values: Floats) -> Floats:
        return np.stack([np.where(group == each, values, 0.0) for each in (0, 1)])

    cells = Cells(
        kind=kind,
        dimensions=tuple(
            Dimension(name, each, [f"{name} {number}" for number in range(_VALUES[name])])
            for name, each in codes.items()
        ),
        calls=of_group(np.ones(n)),
        sums=of_group(sums),
        logs=of_group(logs),
        squares=of_group(squares),
    )
    return Planted(cells, truth)


def _zipf(rng: np.random.Generator, n: int, many: int) -> NDArray[np.int64]:
    weights = 1 / np.arange(1, many + 1) ** rng.uniform(0.5, 1.2)
    return rng.permutation(many)[rng.choice(many, n, p=weights / weights.sum())]


def _is_true(planted: Planted, answer: Answer) -> bool:
    """Whether an answer means the planted calls, whatever it calls them."""
    inside = np.ones(len(planted.truth), dtype=bool)
    for dimension in planted.cells.dimensions:
        for name, value in answer:
            if name == dimension.name:
                inside &= dimension.codes == dimension.values.index(value)
    either, both = (inside | planted.truth).sum(), (inside & planted.truth).sum()
    return bool(answer) and both >= 0.98 * either


def largest_change(cells: Cells) -> Answer:
    """The single segment whose sum moved most, on the second group's number of calls."""
    scale = cells.calls[1].sum() / cells.calls[0].sum()
    best = max(
        (
            (abs(float(b - a * scale)), each.name, value)
            for each in cells.dimensions
            for value, a, b in _by(cells, each)
        )
    )
    return frozenset({best[1:]})


def adtributor(cells: Cells) -> Answer:
    """Adtributor's rule: per dimension the values that explain two thirds; the most surprising set wins."""
    scale = cells.calls[1].sum() / cells.calls[0].sum()
    forecast, actual = cells.sums[0].sum() * scale, cells.sums[1].sum()
    sets: list[tuple[float, list[tuple[str, str]]]] = []
    for dimension in cells.dimensions:
        rows: list[tuple[float, float, str]] = []
        for value, a, b in _by(cells, dimension):
            p, q = a * scale / forecast, b / actual
            middle = (p + q) / 2
            surprise = 0.5 * sum(x * np.log(x / middle) for x in (p, q) if x > 0)
            rows.append((surprise, (b - a * scale) / (actual - forecast), value))
        chosen: list[tuple[str, str]] = []
        explained, surprising = 0.0, 0.0
        for surprise, power, value in sorted(rows, reverse=True):
            if power > 0.1:
                chosen.append((dimension.name, value))
                explained, surprising = explained + power, surprising + surprise
            if explained > 0.67:
                sets.append((surprising, chosen))
                break
    return frozenset(max(sets)[1]) if sets and len(max(sets)[1]) == 1 else frozenset()


def _by(cells: Cells, dimension: Dimension) -> list[tuple[str, float, float]]:
    a, b = (np.bincount(dimension.codes, cells.sums[group], len(dimension.values)) for group in (0, 1))
    return list(zip(dimension.values, a.tolist(), b.tolist(), strict=True))


def run(task: tuple[str, int, int]) -> tuple[bool, bool, bool, bool, float]:
    """One world: whose first answer is the planted segment, whether ours said anything, CPU seconds."""
    planted = plant(*task)
    began = time.process_time()
    found = locate(planted.cells, most=1)
    spent = time.process_time() - began
    ours: Answer = frozenset(found.segments[0].predicates) if found.segments else frozenset()
    return (
        _is_true(planted, ours),
        _is_true(planted, adtributor(planted.cells)),
        _is_true(planted, largest_change(planted.cells)),
        bool(ours),
        spent,
    )


def main() -> int:
    """Print the table; exit code 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="worlds a row")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    missed = False
    print(
        f"{options.runs} worlds a row, seeds from {options.seed}: the first answer is the planted segment\n"
    )
    heads = f"{'promptspan':>10} {'bar':>6} {'silent':>7} {'Adtributor':>11} {'largest change':>15}"
    print(f"{'planted':24} {heads}   s each")
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for (metric, predicates), bar in BARS.items():
            tasks = [(metric, predicates, options.seed + number) for number in range(options.runs)]
            seen = np.asarray(pool.map(run, tasks, chunksize=4), dtype=float)
            ours, rule, largest, said, seconds = seen.mean(axis=0)
            # Three standard errors of the estimate itself, so that a short run is no coin toss.
            least = bar - (3 * np.sqrt(bar * (1 - bar) / options.runs) if options.runs < 300 else 0.0)
            missed |= bool(ours < least)
            name = f"{metric}, {'one value' if predicates == 1 else 'a pair'}"
            shares = f"{ours:10.1%} {least:6.1%} {1 - said:7.1%} {rule:11.0%} {largest:15.0%}"
            print(f"{name:24} {shares}   {seconds:.2f}", flush=True)
        for metric in _FEWEST:
            tasks = [(metric, 0, options.seed + number) for number in range(options.runs)]
            said = np.asarray(pool.map(run, tasks, chunksize=4), dtype=float).mean(axis=0)[3]
            print(
                f"{metric + ', nothing':24} names a segment all the same in {said:.1%} of the worlds",
                flush=True,
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
