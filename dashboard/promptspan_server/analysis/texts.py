"""From the groups that words of answers are of to series that drift is looked for in.

A call's sketch says which of 64 groups its words belong to. What share of a version's calls has words of each
group is its usual choice of words, and nobody knows beforehand which of them will change. So each hour is
looked at along the direction in which the day before it was off: without a change that direction is chance,
and the hour lies anywhere along it; with one, every hour lies on the same side. The calls of the hour itself
have no part in the choice, so nothing is found twice. Calls are the unit, not words: those of one answer come
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from promptspan_server.analysis.arms import Floats

GROUPS = 64
# Days have their own topics, so a direction that one day was off in is often the next one's, too: the limit
# of what is chance is so much higher. benchmarks/bench_words.py measures what that leaves.
STRICTER = 1.2
_BEFORE_H = 24  # a whole day: the direction does not depend on the hour
_LEAST_SPREAD = 0.05  # of a group's calls: what hardly ever occurs must not outweigh all others
_RARE = 0.1  # groups that are seldom used: together this share of what is used


@dataclass(frozen=True, slots=True)
class Words:
    """Two series of one version, each part of shape (hours,).

    Attributes:
        calls: Calls of hours whose distance is known.
        sums: Sums of the distances of their calls from the usual choice of words, in standard deviations of a
            call.
        squares: Sums of their squares.
        rare: Groups in answers that the baseline seldom used.
        used: Groups in answers.
    """

    calls: Floats
    sums: Floats
    squares: Floats
    rare: Floats
    used: Floats


def words_of(sketched: Floats, groups: Floats, baseline: int) -> Words:
    """Describe the words of one version.

    Args:
        sketched: Calls with a sketch, shape (hours,).
        groups: Those of them with words of each group, shape (hours, `GROUPS`).
        baseline: How many hours at the beginning say what is usual.
    """
    usual = groups[:baseline].sum(axis=0)
    share = (usual + 0.5) / (sketched[:baseline].sum() + 1)
    off = (groups - sketched[:, None] * share) / np.sqrt(np.maximum(share * (1 - share), _LEAST_SPREAD))
    total = np.concatenate([np.zeros((1, GROUPS)), np.cumsum(off, axis=0)])
    begun = int((sketched > 0).argmax()) + _BEFORE_H
    hours = np.arange(len(sketched))
    before = total[hours] - total[np.maximum(hours - _BEFORE_H, 0)]
    length = np.sqrt((before**2).sum(axis=1))
    known = (length > 0) & (sketched > 0) & (hours >= begun)
    sums = np.divide((before * off).sum(axis=1), length, out=np.zeros_like(length), where=known)
    calls = np.where(known, sketched, 0.0)
    level = np.divide(sums, calls, out=np.zeros_like(sums), where=known)
    order = np.argsort(usual, kind="stable")
    rare = order[np.cumsum(usual[order]) <= _RARE * usual.sum()]
    return Words(
        calls,
        sums,
        # Along a direction that does not depend on them, calls scatter by one standard deviation.
        calls * level**2 + np.maximum(calls - 1, 0.0),
        groups[:, rare].sum(axis=1),
        groups.sum(axis=1),
    )
