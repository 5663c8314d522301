"""Drift on simulated weeks: false alarms, share found and delay, beside what is commonly used.

    make bench-drift                              # 200 weeks a row, and one check over the store's rollups
    make bench-drift BENCH_ARGS="--weeks 1000 --seed 7 --rates 30,100,300"
    make bench-drift BENCH_ARGS=--short           # our detectors alone, 100 calls an hour
    make bench-drift BENCH_ARGS=--worlds          # our detectors in worlds of other noise and rhythm

Four weeks of baseline and one of test, hourly: negative-binomial arrivals with the rhythm of day and week;
noise of hours that lasts (AR(1)) and effects of days on latency, tokens and the logit of errors; six intents
with noise of their own. An incident begins at a random hour of days 2 to 4. Alarms within six hours are one.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from drift_check import measure

from promptspan_server.analysis.shifts import Levels, find_shifts, limit
from promptspan_server.analysis.surges import find_surges, surge_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BASELINE, TEST = 28 * 24, 7 * 24
FALSE_ALARMS = 0.03  # a week and signal, asked for
SMALLEST = np.log(1.1)
EPISODE = 6
BINS = np.geomspace(20, 60_000, 11)


@dataclass(frozen=True)
class Incident:
    """What goes wrong."""

    name: str
    latency: float = 1.0
    tokens: float = 1.0
    errors: float = 0.01
    cost: float = 1.0
    category: float = 0.05


INCIDENTS = (
    Incident("latency x1.25", latency=1.25),
    Incident("tokens x1.25", tokens=1.25),
    Incident("errors 1 -> 3 %", errors=0.03),
    Incident("cost x1.6", cost=1.6),
    Incident("category 5 -> 15 %", category=0.15),
)
HEALTHY = Incident("healthy")


@dataclass(frozen=True)
class World:
    """What a healthy week is like; the first is the one that the bars are about.

    Attributes:
        name: For the table.
        memory: How much of the hours' noise is left an hour later.
        hourly: Factor on the noise of hours.
        daily: Factor on the effects of days.
        swing: How far a day's traffic swings around its mean, as a share.
        weekend: Weekend traffic to that of weekdays.
        dispersion: Of the negative-binomial arrivals; small is bursty.
        season: How far latency swings over the day, on the logarithm.
    """

    name: str
    memory: float = 0.8
    hourly: float = 1.0
    daily: float = 1.0
    swing: float = 0.6
    weekend: float = 0.55
    dispersion: float = 25.0
    season: float = 0.0


WORLDS = (
    World("as written"),
    World("calm", memory=0.5, hourly=0.5, daily=0.5, swing=0.3, weekend=1.0, dispersion=200.0),
    World("sluggish", memory=0.95, hourly=1.3, daily=0.3, season=0.2),
    World("moody days", memory=0.6, hourly=0.8, daily=2.0, swing=0.8, weekend=0.2, dispersion=8.0),
)


@dataclass
class Weeks:
    """Five weeks of many series, shape (series, hours)."""

    hours: NDArray[np.int64]
    calls: Floats
    sums: dict[str, Floats]
    squares: dict[str, Floats]
    errors: Floats
    category: Floats
    latency_bins: Floats
    onset: NDArray[np.int64]


def simulate(incident: Incident, rate: float, series: int, seed: int, world: World = WORLDS[0]) -> Weeks:
    """Draw the weeks."""
    rng = np.random.default_rng(seed)
    total = BASELINE + TEST
    hours = np.arange(total, dtype=np.int64) * 3600 + 4 * 86_400  # begins on a Monday
    of_day, day = np.arange(total) % 24, np.arange(total) // 24
    rhythm = np.cos(2 * np.pi * (of_day - 15) / 24)
    mean = rate * (1 + world.swing * rhythm) * np.where(day % 7 >= 5, world.weekend, 1.0)
    calls = rng.poisson(mean * rng.gamma(world.dispersion, 1 / world.dispersion, (series, total)))
    onset = BASELINE + rng.integers(24, 96, series)
    after = np.arange(total)[None, :] >= onset[:, None]

    def noise(hourly: float, daily: float) -> Floats:
        hourly, daily = hourly * world.hourly, daily * world.daily
        steps = rng.normal(0, hourly * (1 - world.memory**2) ** 0.5, (series, total))
        wave, state = np.empty((series, total)), rng.normal(0, hourly, series)
        for hour in range(total):
            state = world.memory * state + steps[:, hour]
            wave[:, hour] = state
        return wave + np.repeat(rng.normal(0, daily, (series, total // 24)), 24, axis=1)

    def quantity(centre: float, sd: float, level: Floats) -> tuple[Floats, Floats]:
        n = calls.astype(np.float64)
        sums = n * (centre + level) + rng.normal(0, 1, (series, total)) * sd * np.sqrt(n)
        inside = sd**2 * rng.chisquare(np.maximum(calls - 1, 1)) * (calls > 1)
        return sums, inside + np.divide(sums**2, n, out=np.zeros_like(sums), where=n > 0)

    latency = noise(0.05, 0.03) + world.season * rhythm + after * np.log(incident.latency)
    tokens = noise(0.05, 0.04) + after * np.log(incident.tokens)
    cost = tokens + after * np.log(incident.cost)
    logit = np.log(0.01 / 0.99) + noise(0.3, 0.15)
    odds = incident.errors / (1 - incident.errors) * 0.99 / 0.01
    errors = rng.binomial(calls, 1 / (1 + np.exp(-(logit + after * np.log(odds)))))
    shares = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.05])
    weights = np.stack([share * np.exp(noise(0.12, 0.0)) for share in shares])
    grown = incident.category / (1 - incident.category) * 0.95 / 0.05
    weights[-1] *= np.where(after, grown, 1.0)
    category = rng.binomial(calls, weights[-1] / weights.sum(axis=0))
    sums: dict[str, Floats] = {}
    squares: dict[str, Floats] = {}
    for name, centre, sd, level in (
        ("latency", np.log(900), 0.6, latency),
        ("tokens", np.log(300), 0.9, tokens),
        ("cost", np.log(2e6), 0.9, cost),
    ):
        sums[name], squares[name] = quantity(centre, sd, level)
    edges = np.log(BINS)[None, None, :]
    inside = _normal_cdf((edges - (np.log(900) + latency)[:, :, None]) / 0.6)
    cells = np.diff(
        np.concatenate([np.zeros_like(inside[..., :1]), inside, np.ones_like(inside[..., :1])], axis=2)
    )
    return Weeks(
        hours=hours,
        calls=calls.astype(np.float64),
        sums=sums,
        squares=squares,
        errors=errors.astype(np.float64),
        category=category.astype(np.float64),
        latency_bins=rng.multinomial(calls, np.maximum(cells, 0)).astype(np.float64),
        onset=onset - BASELINE,
    )


def _normal_cdf(x: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def ours(weeks: Weeks, *, per_week: float = FALSE_ALARMS) -> dict[str, NDArray[np.bool_]]:
    """Alarms of our detectors, hour by hour of the test week."""
    run_hours = 168 / per_week
    alarms: dict[str, NDArray[np.bool_]] = {}
    for name in ("latency", "tokens", "cost"):
        found = find_shifts(Levels(weeks.hours, weeks.calls, weeks.sums[name], weeks.squares[name]), BASELINE)
        alarms[name] = (np.abs(found.z) > limit(run_hours)) & (np.abs(found.size) > SMALLEST)
    for name, events in (("errors", weeks.errors), ("category", weeks.category)):
        bound = surge_limit(run_hours)
        found = find_surges(weeks.hours, events, weeks.calls, BASELINE, worth=bound / 2)
        alarms[name] = np.maximum(found.up, found.down) > bound
    return alarms


def naive(weeks: Weeks) -> dict[str, NDArray[np.bool_]]:
    """An hour's mean 20 % above the baseline's, an hour's error rate above 2 %."""
    alarms: dict[str, NDArray[np.bool_]] = {}
    for name in ("latency", "tokens", "cost"):
        mean, usual = _means(weeks, name)
        alarms[name] = np.abs(mean - usual) > np.log(1.2)
    for name, events in (("errors", weeks.errors), ("category", weeks.category)):
        share = _share(events, weeks.calls)
        usual = events[:, :BASELINE].sum(1) / weeks.calls[:, :BASELINE].sum(1)
        alarms[name] = share > 2 * usual[:, None]
    return alarms


def three_sigma(weeks: Weeks) -> dict[str, NDArray[np.bool_]]:
    """An hour more than three standard deviations of the baseline's hours away."""
    alarms: dict[str, NDArray[np.bool_]] = {}
    for name in ("latency", "tokens", "cost"):
        all_hours = np.nan_to_num(weeks.sums[name] / np.where(weeks.calls > 0, weeks.calls, np.nan))
        alarms[name] = _far(all_hours)
    for name, events in (("errors", weeks.errors), ("category", weeks.category)):
        alarms[name] = _far(events / np.maximum(weeks.calls, 1))
    return alarms


def psi(weeks: Weeks) -> dict[str, NDArray[np.bool_]]:
    """PSI of an hour's latencies (ten buckets) above 0.2; of tokens and shares it is not defined here."""
    base = weeks.latency_bins[:, :BASELINE].sum(axis=1) + 0.5
    base /= base.sum(axis=1, keepdims=True)
    hour = weeks.latency_bins[:, BASELINE:] + 0.5
    hour /= hour.sum(axis=2, keepdims=True)
    value = ((hour - base[:, None]) * np.log(hour / base[:, None])).sum(axis=2)
    return {"latency": value > 0.2}


def adwin(weeks: Weeks) -> dict[str, NDArray[np.bool_]]:
    """river's ADWIN on hourly values with its defaults."""
    from river.drift import ADWIN

    alarms: dict[str, NDArray[np.bool_]] = {}
    values = {name: _means(weeks, name, whole=True)[0] for name in ("latency", "tokens", "cost")}
    values["errors"] = _share(weeks.errors, weeks.calls, whole=True)
    values["category"] = _share(weeks.category, weeks.calls, whole=True)
    for name, series in values.items():
        flags = np.zeros((len(series), TEST), dtype=bool)
        for row, points in enumerate(series):
            detector = ADWIN()
            for hour, point in enumerate(points):
                detector.update(float(point))
                if hour >= BASELINE:
                    flags[row, hour - BASELINE] = detector.drift_detected
        alarms[name] = flags
    return alarms


def _means(weeks: Weeks, name: str, *, whole: bool = False) -> tuple[Floats, Floats]:
    usual = (weeks.sums[name][:, :BASELINE].sum(1) / weeks.calls[:, :BASELINE].sum(1))[:, None]
    mean = np.where(weeks.calls > 0, weeks.sums[name] / np.maximum(weeks.calls, 1), usual)
    return (mean if whole else mean[:, BASELINE:]), usual


def _share(events: Floats, calls: Floats, *, whole: bool = False) -> Floats:
    share = events / np.maximum(calls, 1)
    return share if whole else share[:, BASELINE:]


def _far(values: Floats) -> NDArray[np.bool_]:
    base = values[:, :BASELINE]
    centre, deviation = base.mean(axis=1, keepdims=True), base.std(axis=1, keepdims=True)
    return np.abs(values[:, BASELINE:] - centre) > 3 * deviation


def episodes(alarms: NDArray[np.bool_]) -> int:
    """Alarms of one series, those within six hours of the one before counted once."""
    hours = np.flatnonzero(alarms)
    return int(len(hours) > 0) + int((np.diff(hours) > EPISODE).sum())


SIGNAL = {
    "latency x1.25": "latency",
    "tokens x1.25": "tokens",
    "errors 1 -> 3 %": "errors",
    "cost x1.6": "cost",
    "category 5 -> 15 %": "category",
}
DETECTORS = {"promptspan": ours, "threshold": naive, "z > 3": three_sigma, "PSI > 0.2": psi, "ADWIN": adwin}


def main() -> int:
    """Print the table; exit code 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--weeks", type=int, default=200, help="weeks of every row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rates", default="30,100,300", help="calls an hour, comma-separated")
    parser.add_argument("--adwin", type=int, default=40, help="series that ADWIN, which is slow, gets to see")
    parser.add_argument("--short", action="store_true", help="our detectors alone, at 100 calls an hour")
    parser.add_argument("--worlds", action="store_true", help="our detectors alone, in every world")
    options = parser.parse_args()
    if options.worlds:
        rates = [float(part) for part in options.rates.split(",")]
        for world in WORLDS:
            _print_world(world, rates, options.weeks, options.seed)
        return 0
    if options.short:
        options.rates = "100"
        for other in [label for label in DETECTORS if label != "promptspan"]:
            del DETECTORS[other]
    missed = False
    asked = f"{FALSE_ALARMS} false alarms a week and signal are asked for"
    print(f"{options.weeks} weeks a row, seed {options.seed}; {asked}\n")
    print(
        f"{'calls/h':>7} {'detector':11} {'signal':9} {'false/week':>10} {'found 72 h':>10} {'median h':>8}"
    )
    for rate in (float(part) for part in options.rates.split(",")):
        healthy = simulate(HEALTHY, rate, options.weeks, options.seed)
        sick = {
            incident.name: simulate(incident, rate, options.weeks, options.seed + 1) for incident in INCIDENTS
        }
        delays: list[float] = []
        false_of_ours: list[float] = []
        for label, detect in DETECTORS.items():
            cut = options.adwin if label == "ADWIN" else options.weeks
            began = time.process_time()
            quiet = detect(_first(healthy, cut))
            spent = time.process_time() - began
            for name, signal in SIGNAL.items():
                if signal not in quiet:
                    continue
                false = float(np.mean([episodes(row) for row in quiet[signal]]))
                weeks = _first(sick[name], cut)
                found = np.array(
                    [_delay(row, at) for row, at in zip(detect(weeks)[signal], weeks.onset, strict=True)]
                )
                share = float(np.mean(found <= 72))
                median = float(np.median(np.where(np.isnan(found), np.inf, found)))
                print(f"{rate:7.0f} {label:11} {signal:9} {false:10.3f} {share:10.0%} {median:8.1f}")
                if label == "promptspan":
                    false_of_ours.append(false)
                    delays.append(median)
                    missed |= false > 0.05 and rate <= 100
                    missed |= share < 0.95 and rate == 100
            if label == "promptspan":
                print(f"{'':7} {1000 * spent / cut / len(quiet):.2f} ms of CPU a series and signal")
        if rate == 300:
            missed |= float(np.median(delays)) > 5
        false, delay = np.mean(false_of_ours), np.median(delays)
        print(f"{'':7} promptspan together: {false:.3f} false alarms, median delay {delay:.1f} h\n")
    if not options.short:
        print(measure())
    return int(missed)


def _print_world(world: World, rates: list[float], weeks: int, seed: int) -> None:
    for rate in rates:
        quiet = ours(simulate(HEALTHY, rate, weeks, seed, world))
        said: list[str] = []
        for incident in INCIDENTS:
            signal = SIGNAL[incident.name]
            sick = simulate(incident, rate, weeks, seed + 1, world)
            found = np.array(
                [_delay(row, at) for row, at in zip(ours(sick)[signal], sick.onset, strict=True)]
            )
            false = float(np.mean([episodes(row) for row in quiet[signal]]))
            median = float(np.median(np.where(np.isnan(found), np.inf, found)))
            said.append(f"{signal} {false:.3f}, {float(np.mean(found <= 72)):.0%}, {median:.0f} h")
        print(f"{world.name:11} {rate:4.0f}/h  " + "; ".join(said), flush=True)


def _delay(alarms: NDArray[np.bool_], onset: int) -> float:
    """Hours from the incident's beginning to the end of the hour that raised the alarm; NaN if none did."""
    after = np.flatnonzero(alarms[onset:])
    return float(after[0] + 1) if len(after) else float("nan")


def _first(weeks: Weeks, n: int) -> Weeks:
    return Weeks(
        hours=weeks.hours,
        calls=weeks.calls[:n],
        sums={name: cells[:n] for name, cells in weeks.sums.items()},
        squares={name: cells[:n] for name, cells in weeks.squares.items()},
        errors=weeks.errors[:n],
        category=weeks.category[:n],
        latency_bins=weeks.latency_bins[:n],
        onset=weeks.onset[:n],
    )


if __name__ == "__main__":
    sys.exit(main())
