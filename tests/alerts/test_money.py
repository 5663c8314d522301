"""Spend that runs away, on minutes of calls made up here."""

from __future__ import annotations

import numpy as np
import pytest

from promptspan_server.alerts.money import Spend, judge_spend_pages
from promptspan_server.alerts.season import usual_hours
from promptspan_server.alerts.shares import BAD, GOOD, MINUTES

PER_MINUTE = 17
USUAL_USD = 0.01
LOG_SD = 0.9


def _spend(cost: np.ndarray, **changed: object) -> Spend:
    """A service whose calls of the last minutes cost so much, shape (minutes, PER_MINUTE)."""
    middle = np.log(USUAL_USD) - LOG_SD**2 / 2
    calls = np.full((1, MINUTES), float(PER_MINUTE))
    usual: dict[str, object] = {
        "calls": calls,
        "dear": (cost > np.exp(middle + 1.645 * LOG_SD) * 1.01).sum(axis=1, dtype=np.float64)[None],
        "usd": cost.sum(axis=1)[None],
        "log_excess": (np.log(cost) - middle).sum(axis=1)[None],
        "usual_usd": np.array([USUAL_USD]),
        "log_variance": np.array([LOG_SD**2]),
        "normal_usd": np.array([60 * PER_MINUTE * USUAL_USD]),
        "expected_usd": calls * USUAL_USD,
        "days_usd": np.zeros(1),
        "expected_calls": calls,
        "dispersion": np.array([400.0]),
    }
    return Spend(**(usual | changed))  # pyright: ignore[reportArgumentType]


def _costs() -> np.ndarray:
    rng = np.random.default_rng(3)
    return USUAL_USD * np.exp(rng.normal(-(LOG_SD**2) / 2, LOG_SD, (MINUTES, PER_MINUTE)))


def _twice(cost: np.ndarray) -> None:
    cost[-15:] *= 2


def _some_ten_times(cost: np.ndarray) -> None:
    cost[-40:, :2] *= 10


@pytest.mark.parametrize("change", [_twice, _some_ten_times])
def test_dearer_calls_page_and_as_many_cheap_ones_do_not(change: object) -> None:
    cost = _costs()
    assert judge_spend_pages(_spend(cost)).level.tolist() == [GOOD]
    change(cost)  # pyright: ignore[reportCallIssue]
    judged = judge_spend_pages(_spend(cost))
    assert judged.level.tolist() == [BAD]
    assert judged.hourly_usd[0] > 1.5 * judged.against_usd[0]
    # A tenth of a cent is a matter for nobody, and nor is what nothing is known of.
    assert judge_spend_pages(_spend(cost), floor_usd=1000.0).level.tolist() != [BAD]
    unknown = np.array([np.nan])
    nothing = _spend(cost, usual_usd=unknown, log_variance=unknown, dispersion=unknown, normal_usd=unknown)
    assert judge_spend_pages(nothing).level.tolist() != [BAD]


def test_an_hour_that_brought_nothing_in_a_few_days_may_bring_something() -> None:
    # Five weekdays, calls at every hour but three o'clock.
    hours = 3600 * np.array([24 * day + hour for day in range(4, 9) for hour in range(24) if hour != 3])
    calls = np.full(len(hours), 10.0)
    until = float(hours[-1] + 3600)
    raw = usual_hours(hours, calls, until)
    kept = usual_hours(hours, calls, until, average_hours=1)
    assert raw is not None
    assert kept is not None
    assert raw[0][3] == 0
    assert kept[0][3] == pytest.approx(10 * 23 / 24 / 6)
    assert kept[0][4] == pytest.approx((50 + 10 * 23 / 24) / 6)
    assert np.isnan(kept[0][24:]).all()
    assert raw[1] == kept[1]
