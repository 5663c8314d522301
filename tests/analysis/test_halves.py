"""A/A: random halves of recorded calls of one version, looked at again and again. Nothing may be found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from promptspan_server.analysis.arms import BUCKETS, QUANTITIES, UNITS, Arms, Moments
from promptspan_server.analysis.compare import ERROR, compare
from replay.llmdrift import load_llmdrift

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from promptspan_server.demo.recording import Recording

LOOKS = 8
REFUSES = re.compile(r"sorry|cannot|can't|unable|not appropriate|as an ai", re.IGNORECASE)


def _versions(shared_data: Path) -> list[list[Recording]]:
    by_version: dict[tuple[str, str], list[Recording]] = {}
    for dataset in ("countahappynumber", "leetcode_easy", "sensitiveq"):
        for row in load_llmdrift(shared_data, dataset):
            by_version.setdefault((dataset, row.version), []).append(row)
    return list(by_version.values())


def _halved(rows: Sequence[Recording], seed: int, looks: int) -> Arms:
    """Halve calls at random, in a random order: what was known after some of it."""
    rng = np.random.default_rng(seed)
    arm, look = rng.integers(0, 2, len(rows)), rng.integers(0, LOOKS, len(rows))
    unit = rng.integers(0, UNITS, len(rows))
    shape = (LOOKS, 2, UNITS)

    def grid(values: np.ndarray) -> np.ndarray:
        filled = np.zeros(shape)
        np.add.at(filled, (look, arm, unit), values)
        return filled[:looks]

    def moments(values: np.ndarray) -> Moments:
        return Moments(grid(np.ones(len(rows))), grid(values), grid(values**2).sum(axis=2))

    latency = np.log([row.latency_ms + 1 for row in rows])
    tokens = np.log([(row.usage.output_tokens or 0) + 1 for row in rows])
    histogram = np.zeros((LOOKS, 2, BUCKETS))
    np.add.at(histogram, (look, arm, np.floor(latency / np.log(2) * 8).astype(int)), 1)
    nothing = Moments(np.zeros((looks, 2, UNITS)), np.zeros((looks, 2, UNITS)), np.zeros((looks, 2)))
    known = {"latency": moments(latency), "output_tokens": moments(tokens)}
    return Arms(
        hours=np.arange(looks) * 3600,
        calls=grid(np.ones(len(rows))),
        identified=0.0,
        rates={"refusal": grid(np.array([bool(REFUSES.search(row.answer)) for row in rows], dtype=float))},
        moments={name: known.get(name, nothing) for name in QUANTITIES},
        histograms={"latency": histogram[:looks], "cost": np.zeros((looks, 2, BUCKETS))},
    )


def _ever_claimed(rows: Sequence[Recording], seed: int) -> bool:
    return any(
        each.verdict in ("regressed", "improved", "invalid")
        for looks in range(2, LOOKS + 1, 2)
        for each in compare(_halved(rows, seed, looks)).metrics
    )


@pytest.mark.parametrize(
    ("halvings", "most"),
    [
        (20, 4),  # one in twenty, and three standard deviations
        pytest.param(200, int(200 * ERROR), marks=pytest.mark.long),
    ],
)
def test_halves_of_one_version_are_hardly_ever_called_different(
    shared_data: Path, halvings: int, most: int
) -> None:
    versions = _versions(shared_data)
    claimed = sum(_ever_claimed(versions[seed % len(versions)], seed) for seed in range(halvings))
    assert claimed <= most
