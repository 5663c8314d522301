"""Judging shares of bad calls, of all series at once: burn rates, and an e-CUSUM beside them.

Burn rates (Google, The Site Reliability Workbook, table 5-8) need an hour to be sure of an outage that the
e-CUSUM finds in minutes: a binomial likelihood ratio of `rho` times what is allowed against what is allowed,
minute by minute, restarted whenever its logarithm falls below 0 (Shin, Ramdas & Rinaldo 2023, E-detectors,
arXiv:2203.03532). If no more is bad than what is allowed, it reaches `LIMIT` once in a year of minutes at
most. A second one looks for outages, `STEEP` times as strong; the two share the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MINUTES = 360
LIMIT = math.log(525_600)  # minutes of a year
STEEP = 4.0
PAGES = ((14.4, 60, 5), (6.0, 360, 30))  # factor, long and short window in minutes
TICKET = (1.0, 3 * 1440, 360)
_RECENT = (15, 60, 180, MINUTES)
_RECENT_CALLS = 20
GOOD, BETWEEN, BAD = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of all series.

    Attributes:
        calls: By minute, the last column ends at the moment that is judged, shape (series, MINUTES).
        bad: The bad ones among them, same shape.
        earlier_calls: Calls before these minutes, back to three days, shape (series,).
        earlier_bad: The bad ones among them.
    """

    calls: Floats
    bad: Floats
    earlier_calls: Floats
    earlier_bad: Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of each series, shape (series,).

    Attributes:
        level: GOOD (below the recovery threshold), BETWEEN or BAD.
        share: Share of bad calls since `since`.
        since: Minute in which it began.
    """

    level: NDArray[np.int8]
    share: Floats
    since: NDArray[np.int64]


def judge_pages(
    counts: Counts, allowed: Floats, *, rho: float = 5.0, least: int = 10, burn: bool = True
) -> Judged:
    """Judge whether somebody should be woken.

    Args:
        counts: The series.
        allowed: Share of calls that may be bad, shape (series,); nan where nothing is known.
        rho: The factor over it that the e-CUSUM looks for.
        least: Bad calls that a burn rate needs in its long window; the e-CUSUM needs half of them.
        burn: Whether burn rates count, too.
    """
    level, share, since = _judge_cusum(counts, allowed, rho, least / 2)
    if not burn:
        return Judged(level, share, since)
    for factor, long, short in PAGES:
        found = _judge_burn(counts, allowed, factor, long=long, short=short, least=least)
        better = (found > level) & (found == BAD)
        share = np.where(better, _share(counts, long), share)
        since = np.where(better, MINUTES - long, since)
        level = np.maximum(level, found)
    return Judged(level, share, since)


def judge_tickets(counts: Counts, allowed: Floats, *, least: int = 10) -> Judged:
    """Judge whether the objective is being missed slowly: see `judge_pages`.

    At a factor of 1 a service that just meets its objective is over it half of the time by chance: the bad
    calls have to be more than two deviations above what is allowed.
    """
    factor, long, short = TICKET
    level = _judge_burn(counts, allowed, factor, long=long, short=short, least=least)
    bad = _bad(counts, long)
    with np.errstate(invalid="ignore"):
        by_chance = bad - 2 * np.sqrt(bad) <= factor * allowed * _calls(counts, long)
    level = np.where((level == BAD) & by_chance, BETWEEN, level).astype(np.int8)
    return Judged(level, _share(counts, long), np.full(len(level), MINUTES - long, dtype=np.int64))


def _judge_burn(
    counts: Counts, allowed: Floats, factor: float, *, long: int, short: int, least: int
) -> NDArray[np.int8]:
    limit = factor * allowed
    long_share, short_share = _share(counts, long), _share(counts, short)
    with np.errstate(invalid="ignore"):
        possible = limit < 1
        over = possible & (long_share > limit) & (short_share > limit) & (_bad(counts, long) >= least)
        # Without a call in the short window the long one tells whether it is over.
        last = np.where(np.isnan(short_share), long_share, short_share)
        good = ~possible | np.isnan(last) | (last < limit / 2)
    return np.where(over, BAD, np.where(good, GOOD, BETWEEN)).astype(np.int8)


def _judge_cusum(
    counts: Counts, allowed: Floats, rho: float, least: float
) -> tuple[NDArray[np.int8], Floats, NDArray[np.int64]]:
    height, since = cusum(log_ratio(counts.bad, counts.calls, allowed, rho))
    steep, outage = cusum(log_ratio(counts.bad, counts.calls, allowed, rho * STEEP))
    since = np.where(steep > height, outage, since)
    height = np.maximum(height, steep) - math.log(2)
    columns = np.indices((counts.calls.shape[1],))[0]
    inside = columns[None, :] >= since[:, None]
    bad = (counts.bad * inside).sum(axis=1)
    calls = (counts.calls * inside).sum(axis=1)
    share = np.divide(bad, calls, out=np.zeros_like(bad), where=calls > 0)
    recent = _recent_share(counts)
    with np.errstate(invalid="ignore"):
        over = (height > LIMIT) & (bad >= least)
        still = recent > allowed
        level = np.where(over & still, BAD, np.where((height <= LIMIT / 2) | ~still, GOOD, BETWEEN))
    return level.astype(np.int8), share, since


def log_ratio(bad: Floats, calls: Floats, allowed: Floats, rho: float) -> Floats:
    """Logarithm of the evidence that each minute adds, shape (series, minutes); 0 where nothing is known."""
    p = np.clip(np.nan_to_num(allowed, nan=0.5), 1e-6, 0.95)[:, None]
    # A share cannot be more than 1: halfway to it, where rho times what is allowed would be.
    q = np.minimum(rho * p, (1 + p) / 2)
    steps = bad * np.log(q / p) + (calls - bad) * np.log((1 - q) / (1 - p))
    return np.where(np.isnan(allowed)[:, None], 0.0, steps)


def cusum(steps: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The last height of a sum that restarts at 0, and the column in which that began.

    It depends on no state: the largest sum of steps up to the last one, from wherever they are begun.
    """
    total = np.cumsum(steps, axis=1)
    before = np.concatenate([np.zeros((len(steps), 1)), total[:, :-1]], axis=1)
    # Of equal minima the last: what came between added nothing.
    reverse = before.shape[1] - 1 - before[:, ::-1].argmin(axis=1)
    lowest = before[np.arange(len(before)), reverse]
    return np.maximum(total[:, -1] - lowest, 0.0), reverse.astype(np.int64)


def _share(counts: Counts, minutes: int) -> Floats:
    calls, bad = _calls(counts, minutes), _bad(counts, minutes)
    return np.divide(bad, calls, out=np.full_like(bad, np.nan), where=calls > 0)


def _calls(counts: Counts, minutes: int) -> Floats:
    within = counts.calls[:, -min(minutes, MINUTES) :].sum(axis=1)
    return within + counts.earlier_calls if minutes > MINUTES else within


def _bad(counts: Counts, minutes: int) -> Floats:
    within = counts.bad[:, -min(minutes, MINUTES) :].sum(axis=1)
    return within + counts.earlier_bad if minutes > MINUTES else within


def _recent_share(counts: Counts) -> Floats:
    """Share over the shortest time that has some calls."""
    found = _share(counts, _RECENT[-1])
    for minutes in reversed(_RECENT[:-1]):
        enough = _calls(counts, minutes) >= _RECENT_CALLS
        found = np.where(enough, _share(counts, minutes), found)
    return found
