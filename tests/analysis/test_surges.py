from __future__ import annotations

import numpy as np

from promptspan_server.analysis.surges import find_surges

BASELINE, TEST = 14 * 24, 96
HOURS = np.arange(BASELINE + TEST, dtype=np.int64) * 3600


def _world(seed: int, after: float, *, series: int = 60, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    calls = rng.poisson(100 * (1 + 0.6 * np.cos(2 * np.pi * HOURS / 86_400)), (series, len(HOURS)))
    rate = 0.01 * np.exp(rng.normal(0, noise, calls.shape)) if noise else np.full(calls.shape, 0.01)
    rate[:, BASELINE + 24 :] *= after / 0.01
    return rng.binomial(calls, np.minimum(rate, 1)).astype(float), calls.astype(float)


def test_errors_that_triple_are_found_within_days_and_their_beginning_with_them() -> None:
    events, calls = _world(1, 0.03)
    found = find_surges(HOURS, events, calls, BASELINE)
    over = found.up > np.log(2 * 168 / 0.02)
    assert over.any(axis=1).mean() > 0.95
    assert np.median(np.abs(found.onset_up[:, -1] - 24)) <= 4
    assert not (found.down > np.log(2 * 168 / 0.02)).any()


def test_errors_that_stop_are_found_too() -> None:
    events, calls = _world(2, 0.0005, series=40)
    found = find_surges(HOURS, events * 1.0, calls, BASELINE)
    assert (found.down[:, -1] > found.up[:, -1]).mean() > 0.9


def test_errors_in_bursts_are_no_surge() -> None:
    events, calls = _world(3, 0.01, series=150, noise=0.6)
    found = find_surges(HOURS, events, calls, BASELINE)
    # 0.02 a week are asked for; four days of 150 series make 1.7.
    assert (np.maximum(found.up, found.down) > np.log(2 * 168 / 0.02)).any(axis=1).sum() <= 6


def test_a_series_without_events_is_silent() -> None:
    calls = np.full((3, len(HOURS)), 50.0)
    found = find_surges(HOURS, np.zeros_like(calls), calls, BASELINE)
    assert np.isfinite(found.up).all()
    assert found.up.max() < 1
