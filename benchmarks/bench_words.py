"""Drift of words on simulated weeks of sketches: false alarms, share found and delay.

    python benchmarks/bench_words.py [--weeks 100] [--seed N] [--rates 30,100,300]

Answers are about one of eight topics, whose shares differ by hour (AR(1)), by day and by hour of the day;
each topic has its own words, and an answer its own sixteen of them. Four weeks are the baseline, one is
judged; an incident begins at a random hour of days 2 to 4. Alarms within six hours are one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from bench_drift import BASELINE, FALSE_ALARMS, TEST, episodes

from promptspan_server.analysis.findings import Wanted
from promptspan_server.analysis.shifts import Levels, find_shifts, limit
from promptspan_server.analysis.surges import find_surges, surge_limit
from promptspan_server.analysis.texts import GROUPS, STRICTER, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOPICS = 8
WORDS = 16  # of an answer, at most as many groups
# What goes wrong: the share of answers that are about something new, and that are in other words throughout.
WORLDS = {
    "healthy": (0.0, 0.0),
    "a fifth about something new": (0.2, 0.0),
    "half about something new": (0.5, 0.0),
    "other words for the same": (0.0, 1.0),
}


def simulate(rng: np.random.Generator, rate: float, new: float, other: float) -> tuple[Floats, Floats, int]:
    """Calls with a sketch, those with words of each group, and the hour of the test week when it began."""
    total = BASELINE + TEST
    of_day, day = np.arange(total) % 24, np.arange(total) // 24
    rhythm = np.cos(2 * np.pi * (of_day - 15) / 24)
    mean = rate * (1 + 0.6 * rhythm) * np.where(day % 7 >= 5, 0.55, 1.0)
    calls = rng.poisson(mean * rng.gamma(25, 1 / 25, total))
    onset = BASELINE + int(rng.integers(24, 96))
    levels = np.empty((total, TOPICS))
    state = rng.normal(0, 0.2, TOPICS)
    for hour in range(total):
        state = 0.8 * state + rng.normal(0, 0.2 * 0.6, TOPICS)
        levels[hour] = state
    levels += np.repeat(rng.normal(0, 0.1, (total // 24, TOPICS)), 24, axis=0)
    levels += rhythm[:, None] * rng.normal(0, 0.3, TOPICS)
    shares = np.exp(levels + rng.normal(0, 0.7, TOPICS))
    shares /= shares.sum(axis=1, keepdims=True)
    words = rng.dirichlet(np.full(GROUPS, 0.5), TOPICS + 1)
    counts = np.zeros((total, GROUPS))
    for hour in range(total):
        after = hour >= onset
        mix = np.append(shares[hour] * (1 - new * after), new * after)
        used = np.roll(words, 1, axis=1) * other * after + words * (1 - other * after)
        for topic, n in enumerate(rng.multinomial(calls[hour], mix)):
            if n:
                # The groups of each of its answers.
                drawn = rng.multinomial(WORDS, used[topic], n) > 0
                counts[hour] += drawn.sum(axis=0)
    return calls.astype(np.float64), counts, onset - BASELINE


def alarms(worlds: list[tuple[Floats, Floats, int]]) -> dict[str, NDArray[np.bool_]]:
    """Alarms of both signals, by series and hour of the test week."""
    hours = np.arange(BASELINE + TEST, dtype=np.int64) * 3600 + 4 * 86_400
    found = [words_of(calls, groups, BASELINE) for calls, groups, _ in worlds]
    of = {name: np.stack([getattr(each, name) for each in found]) for name in found[0].__slots__}
    run_hours = 168 / FALSE_ALARMS
    far = find_shifts(Levels(hours, of["calls"], of["sums"], of["squares"]), BASELINE)
    bound = surge_limit(run_hours)
    rare = find_surges(hours, of["rare"], of["used"], BASELINE, worth=bound / 2)
    return {
        "text": (far.z > limit(run_hours) * STRICTER) & (far.size > Wanted().text_distance),
        "novelty": np.maximum(rare.up, rare.down) > bound,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--weeks", type=int, default=100, help="weeks of every row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rates", default="30,100,300", help="calls an hour, comma-separated")
    options = parser.parse_args()
    print(
        f"{options.weeks} weeks a row, seed {options.seed}; {FALSE_ALARMS} false alarms a week are asked for"
    )
    print(f"{'calls/h':>7} {'signal':8} {'world':28} {'false/week':>10} {'found 72 h':>10} {'median h':>8}")
    for rate in (float(part) for part in options.rates.split(",")):
        for world, (new, other) in WORLDS.items():
            rng = np.random.default_rng([options.seed, int(rate)])
            weeks = [simulate(rng, rate, new, other) for _ in range(options.weeks)]
            for signal, raised in alarms(weeks).items():
                line = f"{rate:7.0f} {signal:8} {world:28} "
                if world == "healthy":
                    print(f"{line}{np.mean([episodes(row) for row in raised]):10.3f}", flush=True)
                    continue
                delays = [
                    next((hour + 1.0 for hour in np.flatnonzero(row[onset:])), np.inf)
                    for row, (_, _, onset) in zip(raised, weeks, strict=True)
                ]
                told = np.mean(np.array(delays) <= 72)
                print(f"{line}{'':10} {told:10.0%} {np.median(delays):8.1f}", flush=True)


if __name__ == "__main__":
    main()
