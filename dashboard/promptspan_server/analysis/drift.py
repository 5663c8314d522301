"""Drift: does a version of a prompt still do what it has been doing?

Every signal of every version is judged against its own past, hour by hour. Two numbers are the user's: how
many false alarms a week are tolerated over all series together, and the smallest change that matters. The
limit of each series follows: with m series and B false alarms a week, chance may exceed it once in m * 168
/ B hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.analysis.findings import Drift, Finding, Wanted
from promptspan_server.analysis.observed import (
    HOUR_S,
    WEEK_H,
    Means,
    Observed,
    Rates,
    Who,
    end_of_baseline,
    first_hour,
)
from promptspan_server.analysis.shifts import Levels, find_shifts, limit
from promptspan_server.analysis.surges import find_surges, onsets_of_surge, surge_limit
from promptspan_server.analysis.texts import STRICTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats

_LEAST_CALLS = 100  # in the baseline
_LEAST_HOURS = 48  # of the baseline, with calls
_EPISODE_H = 6  # alarms this close are one
_WORDS_TAKE_H = 2  # hours until new words tell the direction in which they are off
_LATELY_H = 12
_NORMAL_95 = 1.96
_TAILS = ("latency_tail", "short_answers", "long_answers")
_CATEGORIES = ("finish_reason:", "model:")


@dataclass(frozen=True, slots=True)
class _Part:
    """Series of one kind whose baselines end in the same hour."""

    rows: list[int]
    baseline: int


def find_drift(observed: Observed, wanted: Wanted | None = None) -> Drift:
    """Judge every series against its own past.

    A version that is younger than the baseline begins is judged from a week after its first call on; one with
    less than a week, or with hardly any calls, has too little data.

    Args:
        observed: What versions did.
        wanted: The user's two numbers.
    """
    wanted = wanted or Wanted()
    findings: list[Finding] = []
    rates, thin = _judgeable(observed, observed.rates.of, observed.rates.calls)
    findings += thin
    means, thin = _judgeable(observed, observed.means.of, observed.means.calls)
    findings += thin
    series = sum(len(part.rows) for part in (*rates, *means))
    run_hours = max(series, 1) * WEEK_H / wanted.false_alarms_per_week
    for part in means:
        findings += _judge_means(observed, observed.means, part, wanted, run_hours)
    for part in rates:
        findings += _judge_rates(observed, observed.rates, part, wanted, run_hours)
    order = {"drift": 0, "too little data": 1, "stable": 2}
    chosen = _without_repeats(findings)
    chosen.sort(
        key=lambda each: (
            order[each.verdict],
            each.worse is not True,
            -each.strength,
            each.who.prompt,
            each.who.version or "",
            each.signal,
        )
    )
    return Drift(tuple(chosen), series, wanted, run_hours)


def baseline_end(observed: Observed, number: int) -> int:
    """Index of the hour from which a version is judged: a week after its first call, or later."""
    return end_of_baseline(observed.begin, observed.calls[number])


def _judgeable(
    observed: Observed, of: tuple[tuple[int, str], ...], calls: Floats
) -> tuple[list[_Part], list[Finding]]:
    """Group series by the end of their baselines; those with too little data are findings already."""
    thin: list[Finding] = []
    parts: dict[int, list[int]] = {}
    if not len(calls):
        return [], []
    total = np.concatenate([np.zeros((len(calls), 1)), np.cumsum(calls, axis=1)], axis=1)
    with_calls = np.concatenate([np.zeros((len(calls), 1)), np.cumsum(calls > 0, axis=1)], axis=1)
    for row, (number, signal) in enumerate(of):
        first, end = first_hour(observed.calls[number]), baseline_end(observed, number)
        last = len(observed.hours)
        reason = ""
        if end >= last:
            days = (last - first) // 24
            age = f"{days} day{'' if days == 1 else 's'}" if days else "less than a day"
            reason = f"{age} old, 7 are needed to know what is usual"
        elif not total[row, -1]:
            # Nothing of it was ever reported: there is no such series.
            continue
        elif total[row, end] < _LEAST_CALLS or with_calls[row, end] < _LEAST_HOURS:
            reason = (
                f"{total[row, end]:,.0f} calls in {with_calls[row, end]:.0f} hours of the baseline,"
                f" {_LEAST_CALLS} in {_LEAST_HOURS} are needed"
            )
        elif total[row, -1] == total[row, end]:
            reason = "no calls in the time that is judged"
        if not reason:
            parts.setdefault(end, []).append(row)
        elif not signal.startswith(_CATEGORIES) and signal not in _TAILS and total[row, -1]:
            n = int(total[row, -1] - (total[row, end] if end < last else 0))
            thin.append(Finding(observed.who[number], signal, "too little data", reason, n=n))
    return [_Part(rows, end) for end, rows in sorted(parts.items())], thin


def _judge_means(
    observed: Observed, means: Means, part: _Part, wanted: Wanted, run_hours: float
) -> Iterator[Finding]:
    calls, sums, squares = (cells[part.rows] for cells in (means.calls, means.sums, means.squares))
    found = find_shifts(Levels(observed.hours, calls, sums, squares), part.baseline)
    texts = np.array([means.of[row][1] == "text" for row in part.rows])
    strength = np.abs(found.z) / (limit(run_hours) * np.where(texts, STRICTER, 1.0)[:, None])
    enough = np.where(texts, wanted.text_distance, np.log1p(wanted.smallest_change))
    over = (strength > 1) & (np.abs(found.size) >= enough[:, None])
    # Words cannot be nearer to what is usual than by chance.
    over &= ~texts[:, None] | (found.z > 0)
    after = slice(part.baseline, None)
    mean = np.divide(sums, calls, out=np.zeros_like(sums), where=calls > 0)[:, after]
    for at, row in enumerate(part.rows):
        number, signal = means.of[row]
        n = calls[at, after]
        episode = _episode(over[at], strength[at])
        begin, stop, until, interval = 0, len(n), None, None
        if episode is not None:
            peak, first = episode
            # A distance grows for a day, most at first: a later midnight looks like its beginning then.
            told, early = (first, _WORDS_TAKE_H) if texts[at] else (peak, 0)
            begin = int(found.onset[at, told])
            stop = _end_of_change(mean[at] - found.expected[at], n, begin, peak)
            until = stop if stop < len(n) else None
            interval = max(int(found.earliest[at, told]) - early, 0), int(found.latest[at, told])
        weight = n[begin:stop]
        count = weight.sum()
        value = float((mean[at, begin:stop] * weight).sum() / max(count, 1))
        expected = float((found.expected[at, begin:stop] * weight).sum() / max(count, 1))
        low = high = None
        if episode is not None and not texts[at]:
            error = abs(found.size[at, episode[0]] / found.z[at, episode[0]])
            low, high = (float(np.exp(value - expected + sign * _NORMAL_95 * error)) for sign in (-1, 1))
        yield _finding(
            observed,
            part,
            number,
            signal,
            drifts=episode is not None and abs(value - expected) >= enough[at],
            value=float(unlogged(np.array(value), signal)),
            expected=float(unlogged(np.array(expected), signal)),
            ratio=None if texts[at] else float(np.exp(value - expected)),
            low=low,
            high=high,
            begin=begin,
            until=until,
            interval=interval,
            n=int(count),
            strength=float(strength[at, episode[0]] if episode else strength[at].max(initial=0.0)),
        )


def _judge_rates(
    observed: Observed, rates: Rates, part: _Part, wanted: Wanted, run_hours: float
) -> Iterator[Finding]:
    events, calls = rates.events[part.rows], rates.calls[part.rows]
    categorical = np.array([rates.of[row][1].startswith(_CATEGORIES) for row in part.rows])
    # Of a value that most calls have, those without it are the rarer and tell more.
    common = categorical & (
        events[:, : part.baseline].sum(axis=1) > 0.5 * calls[:, : part.baseline].sum(axis=1)
    )
    counted = np.where(common[:, None], calls - events, events)
    bound = surge_limit(run_hours)
    found = find_surges(observed.hours, counted, calls, part.baseline, worth=bound / 2)
    strength = np.maximum(found.up, found.down) / bound
    after = slice(part.baseline, None)
    for at, row in enumerate(part.rows):
        number, signal = rates.of[row]
        n, y, due = calls[at, after], counted[at, after], found.expected[at]
        up = found.up[at] >= found.down[at]
        episode = _episode(strength[at] > 1, strength[at])
        begin, stop, until, interval = 0, len(n), None, None
        if episode is not None:
            peak = episode[0]
            begin = int((found.onset_up if up[peak] else found.onset_down)[at, peak])
            stop = _end_of_surge(y, due, begin, peak)
            until = stop if stop < len(n) else None
            interval = onsets_of_surge(y, due, begin, peak, found.overdispersion[at])
        asked, seen, usual = (float(part_[begin:stop].sum()) for part_ in (n, y, due))
        if common[at]:
            seen, usual = asked - seen, asked - usual
        value, expected = seen / max(asked, 1), usual / max(asked, 1)
        ratio = seen / usual if usual > 0 else None
        low = high = None
        matters = False
        if episode is not None and ratio is not None:
            low, high = _rate_interval(
                seen, usual, asked, found.overdispersion[at] / max(stop - begin, 1) ** 0.5
            )
            enough = wanted.share_points if categorical[at] else 0.0
            factor = 1.0 if categorical[at] else wanted.rate_factor
            matters = abs(value - expected) >= enough and (ratio >= factor or ratio <= 1 / factor)
        yield _finding(
            observed,
            part,
            number,
            signal,
            drifts=matters,
            value=value,
            expected=expected,
            ratio=ratio,
            low=low,
            high=high,
            begin=begin,
            until=until,
            interval=interval,
            # Of words it counts groups.
            n=int(observed.calls[number, after][begin:stop].sum() if signal == "novelty" else asked),
            strength=float(strength[at, episode[0]] if episode else strength[at].max(initial=0.0)),
        )


def _finding(
    observed: Observed,
    part: _Part,
    number: int,
    signal: str,
    *,
    drifts: bool,
    begin: int,
    until: int | None,
    interval: tuple[int, int] | None,
    value: float,
    expected: float,
    ratio: float | None,
    low: float | None,
    high: float | None,
    n: int,
    strength: float,
) -> Finding:
    def moment(hour: int) -> int:
        return int(observed.hours[0]) + (part.baseline + hour) * HOUR_S

    since = moment(begin) if drifts else None
    # It began within an hour, so the interval ends with one.
    ends = (moment(interval[0]), moment(interval[1] + 1)) if drifts and interval else (None, None)
    return Finding(
        who=observed.who[number],
        signal=signal,
        verdict="drift" if drifts else "stable",
        value=value,
        expected=expected,
        ratio=ratio,
        low=low if drifts else None,
        high=high if drifts else None,
        since_s=since,
        since_low_s=ends[0],
        since_high_s=ends[1],
        until_s=moment(until) if drifts and until is not None else None,
        n=n,
        baseline_days=(part.baseline - first_hour(observed.calls[number])) // 24,
        strength=strength if drifts else min(strength, 1.0),
        limit=observed.limits.get((number, signal)),
    )


def _episode(over: NDArray[np.bool_], strength: Floats) -> tuple[int, int] | None:
    """The latest run of alarms: the hour of the strongest evidence, the hour of the first alarm."""
    alarms = np.flatnonzero(over)
    if not len(alarms):
        return None
    breaks = np.flatnonzero(np.diff(alarms) > _EPISODE_H)
    first = int(alarms[breaks[-1] + 1]) if len(breaks) else int(alarms[0])
    run = alarms[alarms >= first]
    return int(run[strength[run].argmax()]), first


def _end_of_change(rest: Floats, calls: Floats, begin: int, peak: int) -> int:
    """The hour in which a level was back at what is usual, or the number of hours if it goes on."""
    return _end(rest * calls, calls, begin, peak)


def _end_of_surge(events: Floats, due: Floats, begin: int, peak: int) -> int:
    return _end(events - due, due, begin, peak)


def _end(excess: Floats, weight: Floats, begin: int, peak: int) -> int:
    size = excess[begin : peak + 1].sum() / max(weight[begin : peak + 1].sum(), 1e-9)
    hours = len(excess)
    # Twelve hours that are nearer to usual than to the change, as a whole and each third of them.
    for hour in range(peak + 1, hours - _LATELY_H + 1):
        thirds = [slice(hour + part * 4, hour + part * 4 + 4) for part in range(3)]
        levels = [excess[part].sum() / max(weight[part].sum(), 1e-9) for part in thirds]
        if all(abs(level) < abs(size) / 2 for level in levels):
            return hour
    return hours


def _rate_interval(seen: float, usual: float, asked: float, overdispersion: float) -> tuple[float, float]:
    """95 % interval of a rate's ratio to what is expected: Wilson's on the logarithm, with overdispersion."""
    relative = 1 / max(seen, 0.5) * max(1 - seen / max(asked, 1), 0.05) + overdispersion / 4
    width = _NORMAL_95 * relative**0.5
    ratio = max(seen, 0.5) / usual
    return float(ratio * np.exp(-width)), float(ratio * np.exp(width))


def unlogged(mean_log: Floats, signal: str) -> Floats:
    """Turn means of logarithms into ms, tokens or USD; distances of words are none."""
    if signal == "text":
        return mean_log
    value = np.exp(mean_log)
    return value / 1e9 if signal == "cost" else np.maximum(value - 1, 0.0)


def _without_repeats(findings: list[Finding]) -> list[Finding]:
    """Say a thing once.

    One finding a version for the values of a category, which move together; and none of a whole prompt where
    a version of it has the same.
    """
    strongest: dict[tuple[Who, str], Finding] = {}
    for each in findings:
        if each.verdict == "drift" and each.signal.startswith(_CATEGORIES):
            key = each.who, each.signal.partition(":")[0]
            if key not in strongest or _rank(each) > _rank(strongest[key]):
                strongest[key] = each
    of_versions = {
        (each.who.prompt, each.signal)
        for each in findings
        if each.verdict == "drift" and each.who.version is not None
    }
    # What is cut at its limit does not stop by itself.
    cut_off = {each.who for each in findings if each.verdict == "drift" and each.signal == "truncated_rate"}
    kept: list[Finding] = []
    for each in findings:
        if each.verdict == "drift":
            kind = each.signal.partition(":")[0]
            if each.signal.startswith(_CATEGORIES) and strongest[each.who, kind] is not each:
                continue
            if each.who.version is None and (each.who.prompt, each.signal) in of_versions:
                continue
            if kind == "finish_reason" and each.who in cut_off:
                continue
        kept.append(each)
    return kept


def _rank(finding: Finding) -> tuple[bool, float]:
    """What became more frequent says more than what it replaced."""
    return (finding.delta or 0) > 0, finding.strength
