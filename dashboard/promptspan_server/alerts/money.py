"""Spend that runs away: dearer calls, found within minutes, and more of them, held against budget and season.

Dearer calls show in two ways, and each has an e-CUSUM: the logarithm of what calls cost moves, where all of
them are dearer; or more than a twentieth is dearer than the usual 95th percentile, where some are. Whether
it is worth telling is a matter of dollars: what was spent since it began, against what as many calls usually
cost, and against a floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.alerts.reading import Evaluation, Reading, by_minute, labels_of, named
from promptspan_server.alerts.season import TRAFFIC_DAYS, slots, usual_hours
from promptspan_server.alerts.shares import (
    BAD,
    BETWEEN,
    GOOD,
    LIMIT,
    MINUTES,
    PAGES,
    cusum,
    log_ratio,
)
from promptspan_server.queries.alert_series import Series, Usual
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from promptspan_server.alerts.reading import Asking, Labels, Watched
    from promptspan_server.alerts.rules import Severity, SpendRule

    Floats = NDArray[np.float64]

_DEAR = 0.075  # a twentieth is, and half as many again for hours that differ
_DEAR_RHO = 2.5
_LEVEL_MARGIN = 1.25  # a service may cost so many times the usual from one hour to the next
_LEAST_SD = 0.3  # of the logarithm: calls that all cost the same still differ by a word
_COST_DAYS = 7
_LEAST_CALLS = 200
_RECENT = 30
_RECOVERY = 0.5  # of what is over the usual
_HOURS_A_MONTH = 730.0
_TICKET_DAYS = 3


@dataclass(frozen=True, slots=True)
class Spend:
    """Spend of all series.

    Attributes:
        calls: Calls with a cost, by minute, shape (series, MINUTES).
        dear: Those dearer than usual, same shape.
        usd: What they cost, same shape.
        log_excess: Sum of the natural logarithms of cost over usual cost, same shape.
        usual_usd: Usual cost of a call, shape (series,); nan where it is not known.
        log_variance: Usual variance of the logarithm of a call's cost, shape (series,).
        normal_usd: Normal spend of an hour: the budget's, or the usual one; nan where it is not known.
        expected_usd: What is usual at these hours of the day, for each minute, shape (series, MINUTES).
        days_usd: Spend of three days, shape (series,).
        expected_calls: Calls that are usual at these hours, for each minute, shape (series, MINUTES).
        dispersion: k of a negative binomial that scatters as the calls of hours do, shape (series,).
    """

    calls: Floats
    dear: Floats
    usd: Floats
    log_excess: Floats
    usual_usd: Floats
    log_variance: Floats
    normal_usd: Floats
    expected_usd: Floats
    days_usd: Floats
    expected_calls: Floats
    dispersion: Floats


@dataclass(frozen=True, slots=True)
class JudgedSpend:
    """What was found of each series, shape (series,).

    Attributes:
        level: GOOD, BETWEEN or BAD.
        hourly_usd: Dollars an hour since `since`.
        against_usd: What is usual (or budgeted) for that time, dollars an hour.
        since: Minute in which it began.
    """

    level: NDArray[np.int8]
    hourly_usd: Floats
    against_usd: Floats
    since: NDArray[np.int64]


def judge_spend_pages(spend: Spend, *, times: float = 2.0, floor_usd: float = 1.0) -> JudgedSpend:
    """Judge whether somebody should be woken: calls are dearer, or far more is spent than normal.

    Args:
        spend: The series.
        times: How many times the usual is worth telling; measured ones scatter, so three quarters of it.
        floor_usd: Dollars an hour above what is usual, below which nothing is said.
    """
    allowed = np.where(np.isnan(spend.usual_usd), np.nan, _DEAR)
    height, since = cusum(log_ratio(spend.dear, spend.calls, allowed, _DEAR_RHO))
    moved, began = cusum(_log_ratio_of_level(spend, times))
    since = np.where(moved > height, began, since)
    height = np.maximum(height, moved) - np.log(2)
    inside = np.arange(MINUTES)[None, :] >= since[:, None]
    hours = (MINUTES - since) / 60
    paid = (spend.usd * inside).sum(axis=1)
    usual = (spend.calls * inside).sum(axis=1) * np.nan_to_num(spend.usual_usd)
    ratio = np.divide(paid, usual, out=np.zeros_like(paid), where=usual > 0)
    excess = (paid - usual) / hours
    lately = inside & (np.arange(MINUTES) >= MINUTES - _RECENT)[None, :]
    due = (spend.calls * lately).sum(axis=1) * np.nan_to_num(spend.usual_usd)
    now = np.divide((spend.usd * lately).sum(axis=1), due, out=ratio.copy(), where=due > 0)
    worth = 1 + (times - 1) / 2
    over = (height > LIMIT) & (ratio >= worth) & (excess >= floor_usd) & (now >= worth)
    calm = (height <= LIMIT / 2) | (now < 1 + (worth - 1) * _RECOVERY)
    level = np.where(over, BAD, np.where(calm, GOOD, BETWEEN)).astype(np.int8)
    hourly, against = paid / hours, usual / hours
    busier, begun, rate, expected = _judge_crowd(spend, times, floor_usd)
    better = (busier == BAD) & (level < BAD)
    hourly, against = np.where(better, rate, hourly), np.where(better, expected, against)
    since = np.where(better, begun, since)
    level = np.maximum(level, busier)
    for factor, long, short in PAGES:
        found, rate, expected = _burn(spend, factor, long, short, times=times, floor_usd=floor_usd)
        better = (found == BAD) & (level < BAD)
        hourly, against = np.where(better, rate, hourly), np.where(better, expected, against)
        since = np.where(better, MINUTES - long, since)
        level = np.maximum(level, found)
    return JudgedSpend(level, hourly, against, since)


def _log_ratio_of_level(spend: Spend, times: float) -> Floats:
    """Evidence of each minute that calls cost `times` the usual, not `_LEVEL_MARGIN` times: normal logs."""
    margin = min(float(np.log(_LEVEL_MARGIN)), float(np.log(times)) / 2)
    shift = float(np.log(times)) - margin
    variance = np.maximum(spend.log_variance, _LEAST_SD**2)[:, None]
    steps = shift / variance * (spend.log_excess - spend.calls * (margin + shift / 2))
    return np.nan_to_num(steps)


def _judge_crowd(
    spend: Spend, times: float, floor_usd: float
) -> tuple[NDArray[np.int8], NDArray[np.int64], Floats, Floats]:
    """More calls than usual at this hour: an e-CUSUM of whole hours, or the last half hour alone.

    The calls of an hour scatter together, so each step is one negative binomial with the hours' dispersion.
    """
    k = spend.dispersion[:, None]

    def evidence(y: Floats, mu: Floats) -> Floats:
        mu = np.maximum(mu, 1e-9)
        return np.nan_to_num(y * np.log(times) + (y + k) * np.log((k + mu) / (k + times * mu)))

    count = len(spend.calls)
    hourly = (
        part.reshape(count, MINUTES // 60, 60).sum(axis=2) for part in (spend.calls, spend.expected_calls)
    )
    height, hour = cusum(evidence(*hourly))
    halves = (part[:, -_RECENT:].sum(axis=1, keepdims=True) for part in (spend.calls, spend.expected_calls))
    half = evidence(*halves)[:, 0]
    since = np.where(half > height, MINUTES - _RECENT, hour * 60)
    height = np.maximum(height, half)
    inside = np.arange(MINUTES)[None, :] >= since[:, None]
    hours = (MINUTES - since) / 60
    rate = (spend.usd * inside).sum(axis=1) / hours
    expected = (np.nan_to_num(spend.expected_usd) * inside).sum(axis=1) / hours
    lately = spend.usd[:, -_RECENT:].sum(axis=1)
    usual = np.nan_to_num(spend.expected_usd[:, -_RECENT:]).sum(axis=1)
    worth = 1 + (times - 1) / 2
    known = ~np.isnan(spend.dispersion)
    over = known & (height > LIMIT) & (rate >= worth * expected) & (rate - expected >= floor_usd)
    calm = ~known | (height <= LIMIT / 2) | (lately < usual * (1 + (worth - 1) * _RECOVERY))
    level = np.where(over & (lately >= worth * usual), BAD, np.where(calm, GOOD, BETWEEN))
    return level.astype(np.int8), since.astype(np.int64), rate, expected


def judge_spend_tickets(spend: Spend, *, times: float = 2.0, floor_usd: float = 1.0) -> JudgedSpend:
    """Judge whether it will be too much: several times the normal spend over three days and six hours."""
    hours = 24.0 * _TICKET_DAYS
    rate, lately = spend.days_usd / hours, spend.usd.sum(axis=1) / (MINUTES / 60)
    normal = spend.normal_usd
    with np.errstate(invalid="ignore"):
        over = (rate >= times * normal) & (lately >= times * normal) & (rate - normal >= floor_usd)
        calm = np.isnan(normal) | (lately < normal * (1 + (times - 1) * _RECOVERY))
    level = np.where(over, BAD, np.where(calm, GOOD, BETWEEN)).astype(np.int8)
    since = np.full(len(rate), MINUTES - _TICKET_DAYS * 1440, dtype=np.int64)
    return JudgedSpend(level, rate, np.nan_to_num(normal), since)


def _burn(
    spend: Spend, factor: float, long: int, short: int, *, times: float, floor_usd: float
) -> tuple[Any, Floats, Floats]:
    rate, last = (spend.usd[:, -minutes:].sum(axis=1) * 60 / minutes for minutes in (long, short))
    expected = spend.expected_usd[:, -long:].sum(axis=1) * 60 / long
    limit = np.fmax(factor * spend.normal_usd, times * expected)
    with np.errstate(invalid="ignore"):
        over = (rate > limit) & (last > limit) & (rate - expected >= floor_usd)
        calm = np.isnan(limit) | (last < limit * _RECOVERY)
    return np.where(over, BAD, np.where(calm, GOOD, BETWEEN)).astype(np.int8), rate, expected


@dataclass(frozen=True, slots=True)
class SpendData:
    """What the store holds for a rule about spend.

    Attributes:
        labels: The series.
        calls: Calls with a cost by minute, shape (series, minutes).
        dear: Those dearer than usual.
        usd: What they cost.
        log_excess: Sum of the natural logarithms of cost over usual cost.
        usual_usd: Usual cost of a call, shape (series,); nan where it is not known.
        log_variance: Usual variance of the logarithm of a call's cost, shape (series,); nan likewise.
        hours: By series: starts of hours, what was spent in them, and calls.
    """

    labels: list[Labels]
    calls: Floats
    dear: Floats
    usd: Floats
    log_excess: Floats
    usual_usd: Floats
    log_variance: Floats
    hours: Mapping[Labels, tuple[NDArray[np.int64], Floats, Floats]]


def read_spend(rule: SpendRule, at: datetime, asking: Asking, minutes: int = MINUTES) -> SpendData:
    """Ask for what a rule about spend judges, of so many minutes before a moment."""
    where = tuple(sorted(rule.where.items()))
    series = Series(at, minutes, rule.by, where)
    midnight = (at - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    usual = Usual(TimeRange(midnight - timedelta(days=_COST_DAYS), midnight), _LEAST_CALLS)
    table = asking.table(series.cost(), series.parameters(usual))
    hour = at.replace(minute=0, second=0, microsecond=0)
    season = Usual(TimeRange(hour - timedelta(days=TRAFFIC_DAYS), hour))
    hourly = asking.kept(series.hourly(), Series(hour, MINUTES, rule.by, where).parameters(season))
    return SpendData(
        labels=labels_of(table, rule.by),
        calls=by_minute(table, "calls", minutes),
        dear=by_minute(table, "bad", minutes),
        usd=by_minute(table, "usd", minutes),
        log_excess=by_minute(table, "log_excess", minutes),
        log_variance=np.array(table.column("log_variance").to_pylist(), dtype=np.float64),
        usual_usd=np.array(
            [
                np.nan if value is None or value <= 0 else value
                for value in table.column("usual_usd").to_pylist()
            ],
            dtype=np.float64,
        ),
        hours={
            each: (
                hours.values.to_numpy().astype(np.int64),
                spent.values.to_numpy().astype(np.float64),
                calls.values.to_numpy().astype(np.float64),
            )
            for each, hours, spent, calls in zip(
                labels_of(hourly, rule.by),
                *(hourly.column(name) for name in ("hours", "usd", "calls")),
                strict=True,
            )
        },
    )


def judge_spend(rule: SpendRule, data: SpendData, at: datetime, watched: Watched) -> Evaluation:
    """Judge what was read: see `judge_spend_pages` and `judge_spend_tickets`."""
    spend = spend_of(rule, at, data)
    labels = data.labels
    place = {each: number for number, each in enumerate(labels)}
    readings: list[Reading] = []
    judged_as: tuple[tuple[Severity, JudgedSpend], ...] = (
        ("page", judge_spend_pages(spend, times=rule.times, floor_usd=rule.floor_usd_per_hour)),
        ("ticket", judge_spend_tickets(spend, times=rule.times, floor_usd=rule.floor_usd_per_hour)),
    )
    for severity, judged in judged_as:
        told = set(np.flatnonzero(judged.level != GOOD).tolist())
        told |= {place[each] for wanted, each in watched if wanted == severity and each in place}
        for number in sorted(told):
            hourly_usd, against = float(judged.hourly_usd[number]), float(judged.against_usd[number])
            begin = at - timedelta(minutes=MINUTES - int(judged.since[number]))
            level = int(judged.level[number])
            readings.append(
                Reading(
                    severity,
                    labels[number],
                    level,
                    value=round(hourly_usd, 4),
                    threshold=round(against, 4),
                    unit="USD/h",
                    summary=_said(labels[number], level, hourly_usd, against, begin),
                    description=rule.description,
                    context={"since": begin.replace(second=0, microsecond=0).isoformat()},
                )
            )
        # Nothing is spent any more: that is not a want of data.
        readings += [
            Reading(severity, each, GOOD, 0.0, None, "USD/h", f"{named(each)}: nothing is spent")
            for wanted, each in sorted(watched)
            if wanted == severity and each not in place
        ]
    return Evaluation(tuple(readings), len(labels))


def spend_of(rule: SpendRule, at: datetime, data: SpendData) -> Spend:
    """Put the last `MINUTES` of what was read beside what is usual at their hours."""
    count = len(data.labels)
    usd = data.usd[:, -MINUTES:]
    normal, dispersion = np.full(count, np.nan), np.full(count, np.nan)
    expected, expected_calls = np.full((count, MINUTES), np.nan), np.full((count, MINUTES), np.nan)
    days = usd.sum(axis=1)
    minutes = (at.timestamp() - 60.0 * np.arange(MINUTES, 0, -1)).astype(np.int64)
    slot = slots(minutes // 3600 * 3600)
    # What may be the matter now does not say what is usual.
    until = at.timestamp() - MINUTES * 60
    for number, each in enumerate(data.labels):
        if each not in data.hours:
            continue
        hours, spent, calls = data.hours[each]
        before = hours + 3600 <= until
        # An hour of the day that brought nothing so far, of few days, may bring something: a call more each.
        a_call_h = (until - hours.min()) / 3600 / max(calls[before].sum(), 1)
        usual, usual_calls = (
            usual_hours(hours, values, until, average_hours=a_call_h) for values in (spent, calls)
        )
        if usual is None or usual_calls is None:
            continue
        days[number] += spent[before & (hours >= at.timestamp() - _TICKET_DAYS * 86_400)].sum()
        normal[number] = spent[before].sum() * 3600 / (until - hours.min())
        expected[number] = np.nan_to_num(usual[0][slot], nan=normal[number]) / 60
        expected_calls[number] = usual_calls[0][slot] / 60
        dispersion[number] = usual_calls[1]
    if rule.monthly_usd is not None:
        normal = np.full(count, rule.monthly_usd / _HOURS_A_MONTH)
    return Spend(
        data.calls[:, -MINUTES:],
        data.dear[:, -MINUTES:],
        usd,
        data.log_excess[:, -MINUTES:],
        usual_usd=data.usual_usd,
        log_variance=data.log_variance,
        normal_usd=normal,
        expected_usd=expected,
        days_usd=days,
        expected_calls=expected_calls,
        dispersion=dispersion,
    )


def _said(labels: Labels, level: int, hourly_usd: float, against_usd: float, begin: datetime) -> str:
    if level == GOOD:
        return f"{named(labels)}: spend is as usual"
    return (
        f"{named(labels)}: {hourly_usd:,.2f} USD an hour since {begin:%Y-%m-%d %H:%M} UTC,"
        f" {against_usd:,.2f} expected"
    )
