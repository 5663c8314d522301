from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.azure import by_minute, requests
from promptspan_server.finance.forecast import (
    MIN_HOURS,
    WEEK_H,
    Forecast,
    TooLittle,
    forecast_hours,
    forecast_steps,
)

if TYPE_CHECKING:
    from pathlib import Path


def week_shaped(hours: int, noise: float = 0.0, seed: int = 1) -> list[float]:
    """Spend with busy afternoons and quiet weekends."""
    rng = random.Random(seed)
    return [
        (2 + math.cos(2 * math.pi * (hour % 24 - 15) / 24))
        * (0.3 if hour // 24 % 7 >= 5 else 1)
        * rng.lognormvariate(0, noise)
        for hour in range(hours)
    ]


def test_a_week_that_repeats_is_foretold_exactly_from_any_hour_of_it() -> None:
    whole = week_shaped(8 * WEEK_H)
    for begins in (3 * WEEK_H + 5, 4 * WEEK_H + 40, 5 * WEEK_H + 149):
        for ahead in (1, 30, 200):
            found = forecast_hours(whole[:begins], ahead)
            assert isinstance(found, Forecast)
            assert found.basis == "hour of the week"
            assert found.mean == pytest.approx(sum(whole[begins : begins + ahead]), rel=1e-6)


def test_the_interval_covers_what_came_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        whole = week_shaped(7 * WEEK_H, noise=0.5, seed=seed)
        begins = 4 * WEEK_H + 7 * seed % WEEK_H
        found = forecast_hours(whole[:begins], 15 * 24)
        assert isinstance(found, Forecast)
        low, high = found.interval()
        covered += low <= sum(whole[begins : begins + 15 * 24]) <= high
        assert (high - low) / found.mean < 0.5
    assert covered >= 52


def test_less_than_a_week_is_too_little_and_says_so() -> None:
    found = forecast_hours([0.0] * 500 + week_shaped(MIN_HOURS - 1), 24)
    assert isinstance(found, TooLittle)
    assert found.reason == "167 hours of history; a forecast needs 168: a week"
    assert isinstance(forecast_hours([], 24), TooLittle)
    assert isinstance(forecast_hours([0.0] * 1000, 24), TooLittle)


def test_with_less_than_two_weeks_the_profile_is_that_of_the_day() -> None:
    found = forecast_hours(week_shaped(WEEK_H + 30), 24)
    assert isinstance(found, Forecast)
    assert found.basis == "hour of the day"


@given(st.lists(st.floats(0, 1e6), min_size=MIN_HOURS, max_size=MIN_HOURS + 50), st.integers(0, 800))
def test_any_history_gives_a_finite_interval_around_the_mean(history: list[float], ahead: int) -> None:
    found = forecast_hours(history, ahead)
    if isinstance(found, TooLittle):
        return
    low, high = found.interval()
    assert 0 <= low <= found.mean <= high < math.inf
    assert 0 <= found.chance_above(found.mean) <= 1
    assert found.chance_above(high * 1.01 + 1) <= 0.5


def test_no_hours_ahead_cost_nothing() -> None:
    found = forecast_hours(week_shaped(3 * WEEK_H), 0)
    assert isinstance(found, Forecast)
    assert found.interval() == (0.0, 0.0)


@pytest.mark.shared_data
def test_of_real_traffic_the_first_45_minutes_foretell_the_rest_within_the_interval(
    shared_data: Path,
) -> None:
    minutes = by_minute(requests(shared_data))
    found = forecast_steps(minutes[:45], len(minutes) - 45)
    assert isinstance(found, Forecast)
    low, high = found.interval()
    assert low <= sum(minutes[45:]) <= high
    assert high - low < 2 * found.mean


@pytest.mark.shared_data
def test_on_real_traffic_the_interval_covers_what_came_from_any_minute(shared_data: Path) -> None:
    minutes = by_minute(requests(shared_data))
    covered = tried = 0
    for begins in range(20, len(minutes) - 3):
        for ahead in {5, 10, len(minutes) - begins}:
            came = minutes[begins : begins + ahead]
            found = forecast_steps(minutes[:begins], len(came))
            assert isinstance(found, Forecast)
            low, high = found.interval()
            tried += 1
            covered += low <= sum(came) <= high
    assert covered / tried >= 0.85
