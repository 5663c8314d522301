"""How often the spend forecast's interval covers what came, and how wide it is.

On recorded production traffic (two services, a minute a step; skipped where the recording is absent) and on
simulated hours: arrivals negative binomial around a day and a week, heavy-tailed costs, hours that resemble
their neighbours, days that differ, and in one world a level that doubles in a month. The reference in the
same run is what is commonly shown: the mean of the past times the hours to come, with 1.645 standard errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from finance.azure import by_minute, requests
from promptspan_server.finance.forecast import WEEK_H, Forecast, forecast_hours, forecast_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data"


class Score:
    """Hits and widths of one way to forecast."""

    def __init__(self) -> None:
        self.hits: list[bool] = []
        self.widths: list[float] = []

    def add(self, low: float, high: float, came: float) -> None:
        self.hits.append(low <= came <= high)
        self.widths.append((high - low) / came if came else 0.0)

    def __str__(self) -> str:
        return f"{100 * np.mean(self.hits):3.0f} % covered, width {100 * np.median(self.widths):3.0f} %"


def plain(history: NDArray[np.float64], ahead: int) -> tuple[float, float]:
    mean = float(history.mean()) * ahead
    reach = 1.645 * float(history.std()) * float(np.sqrt(ahead + ahead**2 / len(history)))
    return mean - reach, mean + reach


def world(rate: float, hours: int, growth: float, rng: np.random.Generator) -> NDArray[np.float64]:
    hour = np.arange(hours)
    base = rate * (1 + 0.6 * np.cos(2 * np.pi * (hour % 24 - 15) / 24))
    base *= np.where(hour // 24 % 7 >= 5, 0.55, 1) * np.exp(growth * hour / (30 * 24))
    noise = np.zeros(hours)
    for at in range(1, hours):
        noise[at] = 0.8 * noise[at - 1] + rng.normal(0, 0.04 * 0.6)
    noise += np.repeat(rng.normal(0, 0.05, hours // 24 + 1), 24)[:hours]
    calls = rng.negative_binomial(25, 25 / (25 + base))
    spent = [float(rng.lognormal(0, 0.9, int(n)).sum()) for n in calls]
    return np.array(spent, dtype=np.float64) * np.exp(noise)


def simulated(runs: int) -> None:
    print("simulated hours, horizons of 3, 15 and 30 days, nominal 90 %")
    for growth, label in ((0.0, "steady"), (np.log(2), "doubles in a month")):
        for rate in (30, 300):
            for weeks in (1, 2, 4, 8):
                ours, reference = Score(), Score()
                for seed in range(runs):
                    rng = np.random.default_rng(seed)
                    whole = world(rate, (weeks + 6) * WEEK_H, growth, rng)
                    begins = weeks * WEEK_H + int(rng.integers(0, WEEK_H))
                    for ahead in (72, 360, 720):
                        came = float(whole[begins : begins + ahead].sum())
                        found = forecast_hours(whole[:begins].tolist(), ahead)
                        assert isinstance(found, Forecast)
                        ours.add(*found.interval(), came)
                        reference.add(*plain(whole[:begins], ahead), came)
                print(f"  {label:18} {rate:4} calls/h, {weeks} weeks: {ours}; mean of the past: {reference}")


def recorded() -> None:
    if not _RECORDED.is_dir():
        print("recorded traffic: not beside this checkout, skipped")
        return
    found = requests(_RECORDED)
    for label, chosen in (
        ("both services", found),
        ("conversation", [each for each in found if each.service == "conv"]),
        ("code", [each for each in found if each.service == "code"]),
    ):
        minutes = np.array(by_minute(chosen))
        ours, reference = Score(), Score()
        for begins in range(20, len(minutes) - 3):
            for ahead in sorted({5, 10, len(minutes) - begins}):
                came = minutes[begins : begins + ahead]
                forecast = forecast_steps(minutes[:begins].tolist(), len(came))
                assert isinstance(forecast, Forecast)
                ours.add(*forecast.interval(), float(came.sum()))
                reference.add(*plain(minutes[:begins], len(came)), float(came.sum()))
        print(f"recorded traffic, {label}: {ours}; mean of the past: {reference}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=60, help="worlds of each kind")
    chosen = arguments.parse_args()
    began = time.process_time()
    recorded()
    simulated(chosen.runs)
    hours = [1.0 + hour % 24 for hour in range(8 * WEEK_H)]
    before = time.process_time()
    for _ in range(20):
        forecast_hours(hours, 720)
    one_ms = 50 * (time.process_time() - before)
    print(f"one forecast: {one_ms:.1f} ms of CPU; all: {time.process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
