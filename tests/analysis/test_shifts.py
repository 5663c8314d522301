from __future__ import annotations

from typing import Any

import numpy as np

from promptspan_server.analysis.shifts import WINDOW, Levels, exact_limit, find_shifts, limit, scan

BASELINE, TEST = 14 * 24, 72


def _series(
    seed: int, *, step: float = 0.0, series: int = 40, per_hour: float = 80, memory: float = 0.8
) -> Levels:
    rng = np.random.default_rng(seed)
    hours = np.arange(BASELINE + TEST, dtype=np.int64) * 3600
    calls = rng.poisson(
        per_hour * (1 + 0.6 * np.cos(2 * np.pi * hours / 86_400)), (series, len(hours))
    ).astype(float)
    state, wave = np.zeros(series), np.empty_like(calls)
    for hour in range(len(hours)):
        state = memory * state + rng.normal(0, 0.05 * np.sqrt(1 - memory**2), series)
        wave[:, hour] = state
    wave += 0.2 * np.sin(2 * np.pi * hours / 86_400)
    wave[:, BASELINE + 20 :] += step
    sums = calls * (6 + wave) + rng.normal(0, 0.6, calls.shape) * np.sqrt(calls)
    squares = 0.36 * np.maximum(calls - 1, 0) + np.divide(
        sums**2, calls, out=np.zeros_like(sums), where=calls > 0
    )
    return Levels(hours, calls, sums, squares)


def test_the_limit_is_as_seldom_exceeded_as_asked_for() -> None:
    """Pure noise: the mean time to an alarm is what the limit was made for."""
    rng = np.random.default_rng(1)
    series, hours = 600, 800
    nothing = np.zeros((series, hours))
    z, *_ = scan(
        rng.normal(size=(series, hours)),
        np.ones((series, hours)),
        (nothing, nothing),
        np.full(series, 0.8),
        np.zeros(hours, dtype=bool),
        np.ones((series, hours), dtype=bool),
    )
    over = np.abs(z) > exact_limit(np.array(1000.0))
    first = np.where(over.any(axis=1), over.argmax(axis=1), hours)
    assert 700 < first.sum() / (first < hours).sum() < 1600


def test_a_step_is_found_soon_with_its_size_and_beginning() -> None:
    found = find_shifts(_series(2, step=0.25), BASELINE)
    over = np.abs(found.z) > limit(168 / 0.02)
    assert over[:, 20:44].any(axis=1).mean() > 0.9
    last = found.size[:, 44]
    assert abs(float(np.median(last)) - 0.25) < 0.06
    assert np.median(np.abs(found.onset[:, 44] - 20)) <= 3
    held = (found.earliest[:, 44] <= 20) & (found.latest[:, 44] >= 20)
    assert held.mean() >= 0.9
    assert np.median(found.latest[:, 44] - found.earliest[:, 44]) <= 12


def test_a_quiet_series_stays_quiet() -> None:
    found = find_shifts(_series(3, series=150), BASELINE)
    alarms = (np.abs(found.z) > limit(168 / 0.02)).any(axis=1)
    # 0.02 a week are asked for; three days of 150 series make 1.3.
    assert alarms.sum() <= 6


def test_the_usual_level_follows_the_hours_of_the_day() -> None:
    levels = _series(4)
    found = find_shifts(levels, BASELINE)
    assert np.allclose(
        found.expected.mean(axis=0), 6 + 0.2 * np.sin(2 * np.pi * levels.hours[BASELINE:] / 86_400), atol=0.03
    )


def test_hours_without_calls_are_no_evidence() -> None:
    levels = _series(5)
    for part in (levels.calls, levels.sums, levels.squares):
        part[:, BASELINE + 5 : BASELINE + 30] = 0.0
    found = find_shifts(levels, BASELINE)
    assert np.isfinite(found.z).all()
    assert (np.abs(found.z) < limit(1e6)).all()


def test_a_step_that_has_lasted_longer_than_the_window_is_usual_by_now() -> None:
    rng: Any = np.random.default_rng(6)
    hours = WINDOW + 40
    nothing = np.zeros((5, hours))
    z, _, onset, *_ = scan(
        rng.normal(size=(5, hours)) + 1.0,
        np.ones((5, hours)),
        (nothing, nothing),
        np.full(5, 0.8),
        np.zeros(hours, dtype=bool),
        np.ones((5, hours), dtype=bool),
    )
    assert (onset[:, -1] >= hours - WINDOW).all()
    assert (z[:, -1] > 4).all()
