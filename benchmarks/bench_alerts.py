"""Alerts on simulated services: pages of healthy ones, delays of outages and dearer calls, and speed.

    python benchmarks/bench_alerts.py [--short] [--only PART] [--seed N] [--strict]

The functions that judge are those that `promptspan alerts run` calls. Times of detection count from the first
bad call to the evaluation that sees it: a call is expected in the store 5 s after its end, and rules are
evaluated every 15 s (spend: every minute).
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from promptspan_server.alerts.evaluation import evaluate
from promptspan_server.alerts.money import SpendData, judge_spend_pages, spend_of
from promptspan_server.alerts.reading import Asking
from promptspan_server.alerts.rule_files import load_rules
from promptspan_server.alerts.rules import SpendRule
from promptspan_server.alerts.shares import BAD, MINUTES, Counts, judge_pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from promptspan_server.alerts.money import Spend

    Floats = NDArray[np.float64]
    Tell = Callable[[str, str, str, bool], None]

YEAR = 365 * 1440
BEGIN = datetime(2026, 10, 5, tzinfo=timezone.utc)  # a Monday
EPISODE = 360  # minutes
SETTLE_S, TURN_S = 5, 15
ALLOWED = 0.01
LEARNED = 28 * 1440
PRICE_SD = 0.9


def season(minutes: int) -> Floats:
    """How busy each minute is: days have a shape, weekends are quieter; 1 on average."""
    t = np.arange(minutes)
    hour, weekend = t / 60 % 24, (t // 1440 % 7) >= 5
    shape = (1 + 0.6 * np.cos(2 * np.pi * (hour - 15) / 24)) * np.where(weekend, 0.55, 1.0)
    return shape / shape.mean()


def noise(rng: np.random.Generator, minutes: int, sd: float, daily: float) -> Floats:
    """An hour differs from the next (AR(1), .8), a day from the next."""
    hours = minutes // 60 + 1
    steps = rng.normal(0, sd * np.sqrt(1 - 0.64), hours)
    level = np.empty(hours)
    level[0] = rng.normal(0, sd)
    for hour in range(1, hours):
        level[hour] = 0.8 * level[hour - 1] + steps[hour]
    level += np.repeat(rng.normal(0, daily, hours // 24 + 1), 24)[:hours]
    return np.repeat(level, 60)[:minutes]


def arrivals(rng: np.random.Generator, per_hour: float, minutes: int, k: float) -> Floats:
    """Calls a minute: the calls of an hour scatter together, as a negative binomial with this k."""
    common = np.repeat(rng.gamma(k, 1 / k, minutes // 60 + 1), 60)[:minutes]
    return rng.poisson(per_hour / 60 * season(minutes) * common).astype(np.float64)


def episodes(bad: NDArray[np.bool_], step: int) -> int:
    """Pages: alarms within six hours of each other are one."""
    at = np.flatnonzero(bad) * step
    return 0 if not len(at) else 1 + int((np.diff(at) > EPISODE).sum())


def healthy_pages(rng: np.random.Generator, per_hour: float, share: float, years: int, step: int) -> float:
    """Pages a year of services that fail at `share` on average, evaluated every `step` minutes."""
    pages = 0
    for _ in range(years):
        calls = arrivals(rng, per_hour, YEAR, 25)
        # One that is at its objective on average is above it half of the time, if its hours differ.
        differs = noise(rng, YEAR, 0.3, 0.15) - (0.3**2 + 0.15**2) / 2 if share < ALLOWED else np.zeros(YEAR)
        odds = share / (1 - share) * np.exp(differs)
        failed = rng.binomial(calls.astype(np.int64), odds / (1 + odds)).astype(np.float64)
        found: list[NDArray[np.bool_]] = []
        windows = [sliding_window_view(part, MINUTES)[::step] for part in (calls, failed)]
        for first in range(0, len(windows[0]), 4000):
            pair = [np.ascontiguousarray(part[first : first + 4000]) for part in windows]
            nothing = np.zeros(len(pair[0]))
            judged = judge_pages(Counts(pair[0], pair[1], nothing, nothing), np.full(len(pair[0]), ALLOWED))
            found.append(judged.level == BAD)
        pages += episodes(np.concatenate(found), step)
    return pages / years


def outage_delays(rng: np.random.Generator, per_hour: float, share: float, trials: int) -> Floats:
    """Seconds from the beginning of an outage to the page; nan if it takes more than three hours."""
    horizon = 3 * 3600
    quarters = (MINUTES * 60 + horizon) // TURN_S
    onset = MINUTES * 60
    delays: list[float] = []
    for _ in range(trials):
        calls = rng.poisson(per_hour * TURN_S / 3600, quarters)
        # Outages do not begin at the turn of an evaluation.
        late = rng.uniform(0, TURN_S)
        p = np.where(np.arange(quarters) * TURN_S >= onset, share, 0.005)
        failed = rng.binomial(calls, p)
        found = np.nan
        for turn in range(onset // TURN_S + 1, quarters + 1):
            width = MINUTES * 60 // TURN_S
            seen, bad = (
                part[turn - width : turn].reshape(1, MINUTES, -1).sum(axis=2).astype(np.float64)
                for part in (calls, failed)
            )
            counts = Counts(seen, bad, np.zeros(1), np.zeros(1))
            if judge_pages(counts, np.array([ALLOWED])).level[0] == BAD:
                found = turn * TURN_S - onset + SETTLE_S + late
                break
        delays.append(found)
    return np.array(delays)


class Spending:
    """A service of calls with log-normal cost: four weeks that are usual, then what is judged."""

    def __init__(
        self,
        rng: np.random.Generator,
        per_hour: float,
        minutes: int,
        k: float,
        *,
        dearer: float,
        busier: float,
    ) -> None:
        self.end = LEARNED + minutes
        # So many calls an hour when it begins, not on average.
        self.calls = arrivals(rng, per_hour / season(self.end)[LEARNED], self.end, k)
        if busier != 1:
            extra = rng.poisson(self.calls[LEARNED:] * (busier - 1)).astype(np.float64)
            self.calls[LEARNED:] += extra
        level = noise(rng, self.end, 0.05, 0.04)
        level[LEARNED:] += np.log(dearer)
        n = self.calls.astype(np.int64)
        owner: NDArray[np.int64] = np.repeat(np.indices((self.end,))[0], n)
        cost: Floats = 0.01 * np.exp(rng.normal(0, PRICE_SD, int(n.sum())) + level[owner])
        learned = cost[(owner >= LEARNED - 3 * 1440) & (owner < LEARNED)]
        self.usual_usd = float(learned.mean())
        logs = np.log(learned)
        self.log_variance = float(logs.var())
        excess: Floats = np.log(cost) - float(logs.mean())
        self.log_excess = np.bincount(owner, excess, self.end).astype(np.float64)
        self.usd: Floats = np.bincount(owner, cost, self.end).astype(np.float64)
        self.dear = np.bincount(owner, cost > np.quantile(learned, 0.95) * 1.01, self.end).astype(np.float64)

    def at(self, rule: SpendRule, minute: int) -> Spend:
        """What is judged at a minute."""
        moment = BEGIN + timedelta(minutes=minute)
        whole = minute // 60
        hours = (int(BEGIN.timestamp()) + 3600 * np.arange(whole)).astype(np.int64)
        by_hour = (part[: whole * 60].reshape(-1, 60).sum(axis=1) for part in (self.usd, self.calls))
        last = slice(minute - MINUTES, minute)
        labels = (("feature", "f"),)
        data = SpendData(
            labels=[labels],
            calls=self.calls[None, last],
            dear=self.dear[None, last],
            usd=self.usd[None, last],
            log_excess=self.log_excess[None, last],
            usual_usd=np.array([self.usual_usd]),
            log_variance=np.array([self.log_variance]),
            hours={labels: (hours, *by_hour)},
        )
        return spend_of(rule, moment, data)


def spend_delays(
    rng: np.random.Generator, k: float, trials: int, *, dearer: float = 1.0, busier: float = 1.0
) -> Floats:
    """Minutes from the beginning to the page; nan if it takes more than six hours."""
    rule = spend_rule()
    delays: list[float] = []
    for _ in range(trials):
        world = Spending(rng, 1000, 360, k, dearer=dearer, busier=busier)
        found = (
            minute - LEARNED
            for minute in range(LEARNED + 1, LEARNED + 360)
            if judge_spend_pages(world.at(rule, minute)).level[0] == BAD
        )
        delays.append(next(found, np.nan) + (SETTLE_S + 30) / 60)
    return np.array(delays)


def spend_pages(rng: np.random.Generator, per_hour: float, weeks: int, step: int) -> float:
    """Pages a year of a service whose spend is as usual."""
    rule = spend_rule()
    minutes = weeks * 7 * 1440
    world = Spending(rng, per_hour, minutes, 25, dearer=1, busier=1)
    found = [
        judge_spend_pages(world.at(rule, minute)).level[0] == BAD
        for minute in range(LEARNED + step, LEARNED + minutes, step)
    ]
    return episodes(np.array(found), step) * 52 / weeks


def spend_rule() -> SpendRule:
    rule = load_rules().rules["spend"]
    assert isinstance(rule, SpendRule)
    return rule


def evaluation_s(series: int, calls: int) -> list[tuple[str, int, float, float]]:
    """Evaluate the built-in rules about calls on a real store.

    Returns:
        Rule, series, seconds by the clock, seconds of processor time of store and evaluator.
    """
    from store_under_test import store

    from promptspan_server.queries.connection import Store, parse_dsn

    with store() as under_test:
        under_test.command(
            f"""INSERT INTO llm_calls
            (ts, duration_ms, trace_id, span_id, service, environment, feature, prompt_name, prompt_version,
             operation, provider, request_model, response_model, input_tokens, output_tokens, usage_source,
             billable, status, attempt, instrumentation)
            SELECT
                now64(9, 'UTC') - toIntervalMillisecond(rand64(1) % if(number % 2 = 0, 21000000, 260000000)),
                100 * exp(randNormal(0, 0.6)), lower(hex(number)), lower(hex(number)), 's', 'production',
                concat('f', toString(number % {series} % 50)), concat('p', toString(number % {series})), '1',
                'chat', 'openai', 'gpt-4o-mini', 'gpt-4o-mini', 1000, 100, 'provider', true,
                if(rand(2) % 200 = 0, 'error', 'ok'), 1, 'bench'
            FROM numbers({calls})"""
        )
        deadline = time.monotonic() + 60
        while under_test.row("SELECT count() FROM hour_states")[0] and time.monotonic() < deadline:
            if under_test.row("SELECT sum(calls) FROM llm_hourly")[0] >= calls * 0.8:
                break
            time.sleep(1)
        under_test.wait_merged(30)
        asked = Store(parse_dsn(f"http://default@127.0.0.1:{under_test.clickhouse_port}/default"))
        asking = Asking(asked)
        rules = dict(load_rules().rules)
        found: list[tuple[str, int, float, float]] = []
        rules |= {
            "latency": rules["latency"].model_copy(update={"threshold_ms": 500.0}),
            "traffic-stopped": rules["traffic-stopped"].model_copy(update={"by": ("prompt_name",)}),
        }
        for name in ("errors", "latency", "safety-flags", "spend", "traffic-stopped"):
            at = datetime.now(timezone.utc).replace(microsecond=0)
            # The first evaluation asks for what is usual; the others go by it.
            evaluate(rules[name], at, asking, frozenset())
            began, used = time.perf_counter(), under_test.cpu_s() + time.process_time()
            result = evaluate(rules[name], at + timedelta(seconds=TURN_S), asking, frozenset())
            elapsed = time.perf_counter() - began
            used = under_test.cpu_s() + time.process_time() - used
            found.append((name, result.series, elapsed, used))
        asked.close()
    return found


def healthy(rng: np.random.Generator, tell: Tell, *, short: bool) -> None:
    for per_hour in (5, 20, 100):
        for share in (0.005, 0.01):
            years = 1 if short else 8
            at = " in hours that differ" if share < ALLOWED else ", exactly as allowed"
            rate = healthy_pages(rng, per_hour, share, years, 30 if short else 10)
            what = f"{per_hour} calls/h, {share:.1%} fail{at}: pages a year ({years} years)"
            tell(what, "at most 1", f"{rate:.2f}", rate <= 1)


def outages(rng: np.random.Generator, tell: Tell, *, short: bool) -> None:
    for per_hour in (1000, 100, 20):
        delays = outage_delays(rng, per_hour, 0.2, (30 if short else 300) // (1 if per_hour == 1000 else 4))
        told = f"{spread(delays / 60)} min"
        bar = per_hour == 1000
        holds = bool(np.mean(delays <= 300) >= 0.95) if bar else True
        tell(f"outage to 20 % errors at {per_hour} calls/h", "5 min, 95 of 100" if bar else "", told, holds)


def spend(rng: np.random.Generator, tell: Tell, *, short: bool) -> None:
    trials = 20 if short else 150
    for what, k, change, bar in (
        ("a call costs twice as much", 25, {"dearer": 2.0}, True),
        ("twice as many calls, of a steady service (k 400)", 400, {"busier": 2.0}, True),
        ("twice as many calls, of a bursty service (k 25)", 25, {"busier": 2.0}, False),
    ):
        delays = spend_delays(rng, k, trials, **change)
        holds = bool(np.mean(delays <= 30) >= 0.95) if bar else True
        told = f"{spread(delays)} min, {np.mean(delays <= 30):.0%} within 30"
        tell(f"{what}, 1,000 calls/h ({trials})", "30 min, 95 of 100" if bar else "", told, holds)
    weeks = 2 if short else 12
    rate = spend_pages(rng, 1000, weeks, 15 if short else 5)
    what = f"spend as usual, 1,000 calls/h: pages a year ({weeks} weeks)"
    tell(what, "at most 1", f"{rate:.2f}", rate <= 1)


def speed(_rng: np.random.Generator, tell: Tell, *, short: bool) -> None:
    for name, series, elapsed, used in evaluation_s(5000, 200_000 if short else 1_000_000):
        tell(f"`{name}` over {series:,} series", "5 s", f"{elapsed:.2f} s, {used:.2f} s of CPU", used <= 5)


PARTS = {"healthy": healthy, "outages": outages, "spend": spend, "speed": speed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", choices=PARTS, help="one part of the table")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar does not hold")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    held: list[bool] = []

    def tell(what: str, bar: str, figure: str, holds: bool) -> None:
        held.append(holds)
        print(f"| {what} | {bar} | {figure} | {'yes' if holds else '**no**'} |", flush=True)

    print("| what | bar | measured | holds |\n| --- | --- | --- | --- |")
    for name, part in PARTS.items():
        if options.only in (None, name):
            # A part says the same alone.
            part(np.random.default_rng([options.seed, *name.encode()]), tell, short=options.short)
    return int(options.strict and not all(held))


def spread(values: Floats) -> str:
    """Median, 95th percentile and the longest."""
    missed = np.isnan(values)
    known = values[~missed]
    if not len(known):
        return "never found"
    text = f"{np.median(known):.1f}, p95 {np.quantile(known, 0.95):.1f}, longest {known.max():.1f}"
    return f"{text}, {missed.mean():.0%} missed" if missed.any() else text


if __name__ == "__main__":
    sys.exit(main())
