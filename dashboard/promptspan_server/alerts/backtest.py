"""What a rule would have done: the same judging and the same life of alerts, over days that are past.

A day is asked for at once and judged at steps of it, each by what lay before the step. Calls that came late
are in it, and prices are today's: at the time it may have looked different.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.alerts.evaluation import ShareData, evaluate, judge_shares, read_shares
from promptspan_server.alerts.money import SpendData, judge_spend, read_spend
from promptspan_server.alerts.rules import (
    BlindRule,
    ErrorRule,
    FlagRule,
    LagRule,
    LatencyRule,
    LossRule,
    SpendRule,
    TrafficRule,
)
from promptspan_server.alerts.shares import BAD, MINUTES, TICKET
from promptspan_server.alerts.states import advance, fingerprint, first_state
from promptspan_server.alerts.traffic import judge_traffic, read_past_traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from promptspan_server.alerts.reading import Asking, Evaluation, Labels, Watched
    from promptspan_server.alerts.rules import Rule, Severity
    from promptspan_server.alerts.states import State

    Judge = Callable[[datetime, Watched], Evaluation]

MOST_SERIES = 500
_STEP = timedelta(minutes=5)
_SPEND_STEP = timedelta(minutes=15)
_SLOW_STEP = timedelta(hours=12)  # of rules that are asked anew at each step
_DAY = timedelta(days=1)


class NotReplayable(ValueError):  # noqa: N818  (reads as the sentence it makes)
    """The store does not hold what this kind of rule saw; the text says why."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that it would have fired.

    Attributes:
        severity: Page or ticket.
        labels: Of what.
        starts_at: When, UTC.
        ends_at: When it would have resolved; None if it still fires.
        value: What was measured when it began, in `unit`.
        threshold: What is allowed.
        unit: Of both.
        summary: One line.
    """

    severity: Severity
    labels: Labels
    starts_at: datetime
    ends_at: datetime | None
    value: float | None
    threshold: float | None
    unit: str
    summary: str


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a rule would have done.

    Attributes:
        rule: The rule's name.
        start: Since when, UTC.
        end: Until when.
        step: How far apart the evaluations were.
        firings: In the order in which they began.
        series: The most sets of labels that were judged at once.
        left_out: The quietest series beyond `MOST_SERIES`, which were not judged.
    """

    rule: str
    start: datetime
    end: datetime
    step: timedelta
    firings: tuple[Firing, ...]
    series: int
    left_out: int


def backtest(
    rule: Rule,
    asking: Asking,
    start: datetime,
    end: datetime,
    *,
    told: Callable[[datetime], None] = lambda _until: None,
) -> Backtest:
    """Replay a rule.

    Args:
        rule: The rule.
        asking: The store.
        start: Since when, UTC.
        end: Until when.
        told: Called with how far it has come, day by day.

    Raises:
        NotReplayable: The store does not hold what the rule saw.
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused a question.
    """
    if isinstance(rule, BlindRule):
        raise NotReplayable(f"{rule.name} cannot be replayed: it is about the evaluator, not about calls")
    if isinstance(rule, LagRule | LossRule):
        raise NotReplayable(
            f"{rule.name} cannot be replayed: the store keeps only the latest report of each process"
        )
    step = _step(rule)
    life = _Life(rule)
    series = left_out = 0
    day = start
    while day < end:
        until = min(end, day.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY)
        judge, left = _day(rule, asking, until)
        left_out = max(left_out, left)
        at = day + step
        while at <= until:
            series = max(series, life.live(judge(at, life.watched), at))
            at += step
        day = until
        told(day)
    return Backtest(rule.name, start, end, step, tuple(life.firings()), series, left_out)


class _Life:
    """The alerts of a rule as they would have been."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._states: dict[str, State] = {}
        self._begun: dict[tuple[str, datetime], State] = {}
        self._ended: dict[tuple[str, datetime], datetime] = {}

    @property
    def watched(self) -> Watched:
        return frozenset((state.severity, state.labels) for state in self._states.values())

    def live(self, found: Evaluation, at: datetime) -> int:
        for reading in found.readings:
            name = fingerprint(self._rule.name, reading.severity, reading.labels)
            before = self._states.get(name)
            if before is None and reading.level != BAD:
                continue
            before = before or first_state(self._rule.name, reading.severity, reading.labels)
            after = advance(before, reading, self._rule, at)
            if after.settled:
                self._states.pop(name, None)
            else:
                self._states[name] = after
            if after.starts_at is not None and after.phase == "firing":
                self._begun.setdefault((name, after.starts_at), after)
                self._ended.pop((name, after.starts_at), None)
            elif after.starts_at is not None and after.phase == "resolved" and after.ends_at is not None:
                self._ended.setdefault((name, after.starts_at), after.ends_at)
        return found.series

    def firings(self) -> Iterator[Firing]:
        for (name, begun), state in sorted(self._begun.items(), key=lambda item: (item[0][1], item[0][0])):
            yield Firing(
                state.severity,
                state.labels,
                begun,
                self._ended.get((name, begun)),
                state.value,
                state.threshold,
                state.unit,
                state.summary,
            )


def _step(rule: Rule) -> timedelta:
    if isinstance(rule, ErrorRule | LatencyRule | FlagRule | TrafficRule):
        return _STEP
    return _SPEND_STEP if isinstance(rule, SpendRule) else _SLOW_STEP


def _day(rule: Rule, asking: Asking, until: datetime) -> tuple[Judge, int]:
    """Ask for a day that ends at `until`, and what the first of its moments looks back on."""
    if isinstance(rule, ErrorRule | LatencyRule | FlagRule):
        minutes = 1440 + (MINUTES if isinstance(rule, FlagRule) else TICKET[1])
        shares = read_shares(rule, until, asking, minutes)
        kept, left = _busiest(shares.calls)
        shares = _some_shares(shares, kept)
        return lambda at, watched: judge_shares(rule, _shares_at(shares, at, until), at, watched), left
    if isinstance(rule, SpendRule):
        spend = read_spend(rule, until, asking, 1440 + MINUTES)
        kept, left = _busiest(spend.calls)
        spend = replace(
            spend,
            labels=[spend.labels[number] for number in kept],
            **{
                name: getattr(spend, name)[kept]
                for name in ("calls", "dear", "usd", "log_excess", "usual_usd", "log_variance")
            },
        )
        return lambda at, watched: judge_spend(rule, _spend_at(spend, at, until), at, watched), left
    if isinstance(rule, TrafficRule):
        past = read_past_traffic(rule, until, asking)

        def judge(at: datetime, watched: Watched) -> Evaluation:
            found = judge_traffic(rule, *past.at(at, rule.severity, watched), at, watched)
            return replace(found, series=len(past.begun))

        return judge, 0
    return lambda at, watched: evaluate(rule, at, asking, watched), 0


def _busiest(calls: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[list[int], int]:
    order = np.argsort(-calls.sum(axis=1), kind="stable")[:MOST_SERIES]
    return sorted(order.tolist()), max(0, len(calls) - MOST_SERIES)


def _some_shares(data: ShareData, kept: list[int]) -> ShareData:
    return ShareData(
        [data.labels[number] for number in kept],
        data.calls[kept],
        data.bad[kept],
        data.earlier_calls[kept],
        data.earlier_bad[kept],
        data.limits[kept],
        data.has_long,
        slow_ms=[data.slow_ms[number] for number in kept] if data.slow_ms else [],
        providers=[data.providers[number] for number in kept] if data.providers else [],
    )


def _shares_at(data: ShareData, at: datetime, until: datetime) -> ShareData:
    stop = data.calls.shape[1] - round((until - at) / timedelta(minutes=1))
    early = slice(max(0, stop - TICKET[1]), stop - MINUTES)
    return replace(
        data,
        calls=data.calls[:, stop - MINUTES : stop],
        bad=data.bad[:, stop - MINUTES : stop],
        earlier_calls=data.calls[:, early].sum(axis=1),
        earlier_bad=data.bad[:, early].sum(axis=1),
    )


def _spend_at(data: SpendData, at: datetime, until: datetime) -> SpendData:
    stop = data.calls.shape[1] - round((until - at) / timedelta(minutes=1))
    window = slice(stop - MINUTES, stop)
    names = ("calls", "dear", "usd", "log_excess")
    return replace(data, **{name: getattr(data, name)[:, window] for name in names})
