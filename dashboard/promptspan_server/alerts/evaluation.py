"""Evaluating a rule: a function of the rule, a moment, and what the store held of the time before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.alerts import drifting, facts, money, traffic
from promptspan_server.alerts.reading import (
    Evaluation,
    Reading,
    aligned,
    by_minute,
    column,
    labels_of,
    named,
    unseen,
)
from promptspan_server.alerts.rules import (
    BudgetRule,
    DriftRule,
    ErrorRule,
    FlagRule,
    LagRule,
    LatencyRule,
    LossRule,
    RegressionRule,
    SpendRule,
    TrafficRule,
    UnpricedRule,
)
from promptspan_server.alerts.shares import (
    GOOD,
    LIMIT,
    MINUTES,
    TICKET,
    Counts,
    Judged,
    judge_pages,
    judge_tickets,
)
from promptspan_server.queries.alert_series import LEAST_CALLS, STEPS_AN_OCTAVE, Series, Usual
from promptspan_server.queries.query import EPOCH
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from promptspan_server.alerts.reading import Asking, Labels, Watched
    from promptspan_server.alerts.rules import Rule, Severity, ShareRule

    Floats = NDArray[np.float64]

USUAL_DAYS = 7
_LONG_STEP = timedelta(minutes=5)
_OF_MINUTES = ("start_ms", "early_ms", "end_ms")
_WITHDRAWN_CALLS = 10.0
_PROMPT_HOURS = frozenset(
    {"environment", "service", "feature", "prompt_name", "prompt_version", "request_model"}
)


def evaluate(rule: Rule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Evaluate a rule.

    Args:
        rule: The rule; not one of kind `blind`, which is about the others.
        at: The moment, UTC: calls that ended before it count.
        asking: The store.
        watched: Severity and labels of alerts to tell of even if all is well.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused a question.
    """
    if isinstance(rule, ErrorRule | LatencyRule | FlagRule):
        return judge_shares(rule, read_shares(rule, at, asking), at, watched)
    if isinstance(rule, SpendRule):
        return money.judge_spend(rule, money.read_spend(rule, at, asking), at, watched)
    if isinstance(rule, TrafficRule):
        return traffic.evaluate_traffic(rule, at, asking, watched)
    if isinstance(rule, RegressionRule):
        return facts.evaluate_regression(rule, at, asking, watched)
    if isinstance(rule, DriftRule):
        return drifting.evaluate_drift(rule, at, asking, watched)
    if isinstance(rule, UnpricedRule):
        return facts.evaluate_unpriced(rule, at, asking, watched)
    if isinstance(rule, BudgetRule):
        return facts.evaluate_budgets(rule, at, asking, watched)
    if isinstance(rule, LagRule):
        return facts.evaluate_lag(rule, at, asking, watched)
    if isinstance(rule, LossRule):
        return facts.evaluate_losses(rule, at, asking, watched)
    raise TypeError(f"a rule of kind {rule.kind} is not evaluated on its own")


@dataclass(frozen=True, slots=True)
class ShareData:
    """What the store holds for a rule about shares of calls.

    Attributes:
        labels: The series.
        calls: By minute, the last column ends at the moment that is judged, shape (series, minutes).
        bad: The bad ones among them, same shape.
        earlier_calls: Calls before the last `MINUTES`, back to three days, shape (series,).
        earlier_bad: The bad ones among them.
        limits: Share that may be bad, shape (series,); nan where nothing is known.
        has_long: Whether the three days are known.
        slow_ms: For latency: what is slow, by series.
        providers: For errors: whose calls failed, by series.
    """

    labels: list[Labels]
    calls: Floats
    bad: Floats
    earlier_calls: Floats
    earlier_bad: Floats
    limits: Floats
    has_long: bool
    slow_ms: Sequence[float] = ()
    providers: Sequence[str] = ()


def read_shares(rule: ShareRule, at: datetime, asking: Asking, minutes: int = MINUTES) -> ShareData:
    """Ask for what a rule about shares judges, of so many minutes before a moment."""
    series = Series(at, minutes, rule.by, tuple(sorted(rule.where.items())))
    floor = at - (at - EPOCH) % _LONG_STEP
    long = TimeRange(floor - timedelta(minutes=TICKET[1]), floor - timedelta(minutes=MINUTES))
    midnight = (at - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    usual = Usual(TimeRange(midnight - timedelta(days=USUAL_DAYS), midnight))
    more: dict[str, Any] = {}
    if isinstance(rule, ErrorRule):
        sql, long_sql = series.errors(), series.long_counts("errors")
    elif isinstance(rule, FlagRule):
        more = {"flags": list(rule.flags)} if rule.flags else {}
        sql, long_sql = series.flagged(chosen=bool(rule.flags)), ""
    elif rule.threshold_ms is not None:
        more = {"step": int(np.ceil(STEPS_AN_OCTAVE * np.log2(rule.threshold_ms + 1)))}
        sql, long_sql = series.slow(), series.long_counts("slow")
    else:
        more = {"steps": round(STEPS_AN_OCTAVE * float(np.log2(rule.times_p95)))}
        sql, long_sql = series.slower_than_usual(), series.long_slower_than_usual()
    relative = isinstance(rule, LatencyRule) and rule.threshold_ms is None
    table = asking.table(sql, series.parameters(usual if relative else None, **more))
    labels = labels_of(table, rule.by)
    # The provider is no column of the hours, so what is told apart by it has no three days.
    has_long = bool(long_sql) and _PROMPT_HOURS.issuperset((*rule.by, *rule.where))
    earlier_calls = earlier_bad = np.zeros(len(labels))
    if has_long and minutes == MINUTES:
        parameters = series.parameters(usual if relative else Usual(long), long=long, **more)
        # The minutes play no part in it, and change every time.
        parameters = {key: value for key, value in parameters.items() if key not in _OF_MINUTES}
        answer = asking.kept(long_sql, parameters)
        keys = labels_of(answer, rule.by)
        earlier_calls = aligned(labels, keys, column(answer, "calls"))
        earlier_bad = aligned(labels, keys, column(answer, "bad"))
    limits = (
        _usual_flags(rule, series, usual, asking, labels)
        if isinstance(rule, FlagRule)
        else np.full(len(labels), 1 - rule.objective)
    )
    return ShareData(
        labels,
        by_minute(table, "calls", minutes),
        by_minute(table, "bad", minutes),
        earlier_calls,
        earlier_bad,
        limits,
        has_long,
        slow_ms=table.column("limit_ms").to_pylist() if relative else [],
        providers=[",".join(names) for names in table.column("providers").to_pylist()]
        if isinstance(rule, ErrorRule)
        else [],
    )


def _usual_flags(
    rule: FlagRule, series: Series, usual: Usual, asking: Asking, labels: Sequence[Labels]
) -> Floats:
    """What share of flagged calls is usual; a new version is held against what its prompt was like."""
    keys = tuple(name for name in rule.by if name != "prompt_version") or rule.by
    before = Series(series.end, MINUTES, keys, series.where)
    parameters = before.parameters(usual, **({"flags": list(rule.flags)} if rule.flags else {}))
    parameters = {key: value for key, value in parameters.items() if key not in _OF_MINUTES}
    answer = asking.kept(before.long_counts("flags" if rule.flags else "flagged"), parameters)
    shares = usual_share(column(answer, "calls"), column(answer, "bad"), usual.least)
    known = dict(zip(labels_of(answer, keys), shares.tolist(), strict=True))
    return np.array(
        [known.get(tuple(pair for pair in each if pair[0] in keys), np.nan) for each in labels],
        dtype=np.float64,
    )


def judge_shares(rule: ShareRule, data: ShareData, at: datetime, watched: Watched) -> Evaluation:
    """Judge what was read: the last `MINUTES` of it, which end at `at`."""
    counts = Counts(data.calls[:, -MINUTES:], data.bad[:, -MINUTES:], data.earlier_calls, data.earlier_bad)
    blind = silence_of(counts.calls)
    if isinstance(rule, LatencyRule) and rule.threshold_ms is None and not data.labels:
        blind = f"nothing to compare with: {LEAST_CALLS} calls before today say what is usual"
    if blind:
        return blinded(watched, blind)
    found: list[tuple[Severity, Judged]] = []
    if isinstance(rule, FlagRule):
        pages = judge_pages(counts, data.limits, rho=rule.times, least=rule.least * 2, burn=False)
        found.append((rule.severity, pages))
    else:
        found.append(("page", judge_pages(counts, data.limits, rho=rule.rho, least=rule.least)))
        if data.has_long:
            found.append(("ticket", judge_tickets(counts, data.limits, least=rule.least)))
    # Who is not called in these minutes is not there.
    seen: NDArray[np.bool_] = np.asarray(counts.calls.any(axis=1))
    gone = np.zeros(len(seen), dtype=bool)
    if "prompt_version" in rule.by:
        gone = withdrawn(counts.calls, data.labels)
    place = {each: number for number, each in enumerate(data.labels) if seen[number]}
    readings: list[Reading] = []
    for severity, judged in found:
        told = set(np.flatnonzero((judged.level != GOOD) & ~gone & seen).tolist())
        told |= {place[each] for wanted, each in watched if wanted == severity and each in place}
        for number in sorted(told):
            level = GOOD if gone[number] else int(judged.level[number])
            readings.append(_reading(rule, severity, data, number, judged, level=level, at=at))
        readings += unseen(watched, severity, place)
    return Evaluation(tuple(readings), int(seen.sum()))


def usual_share(calls: Floats, bad: Floats, least: int) -> Floats:
    """What share is still usual: what was seen and twice its deviation; nan for too few calls."""
    upper = (bad + 1 + 2 * np.sqrt(bad + 1)) / np.maximum(calls, 1)
    return np.where(calls >= least, np.clip(upper, 1e-4, 0.5), np.nan)


def silence_of(calls: Floats) -> str:
    """Say so if all calls have stopped, which chance would do once in a year of minutes; else nothing."""
    total = calls.sum(axis=0)
    if not total.any():
        return f"no calls within {MINUTES // 60} hours"
    last = int(np.flatnonzero(total)[-1])
    gap = len(total) - 1 - last
    begin = int(np.flatnonzero(total)[0])
    rate = total[begin : last + 1].sum() / (last + 1 - begin)
    return f"no calls for {gap} minutes" if rate * gap > LIMIT else ""


def withdrawn(calls: Floats, labels: Sequence[Labels]) -> NDArray[np.bool_]:
    """Which series are versions that get no more calls while their prompt does: nothing to recover from."""
    number: dict[Labels, int] = {}
    prompt = np.array(
        [
            number.setdefault(tuple(p for p in each if p[0] != "prompt_version"), len(number))
            for each in labels
        ],
        dtype=np.int64,
    )
    if not len(prompt):
        return np.zeros(0, dtype=bool)
    whole = np.zeros((len(number), calls.shape[1]))
    np.add.at(whole, prompt, calls)
    minutes = np.indices((calls.shape[1],))[0]
    last = np.where(calls > 0, minutes, -1).max(axis=1)
    cumulative = np.cumsum(whole, axis=1)
    until = np.take_along_axis(cumulative[prompt], np.maximum(last, 0)[:, None], axis=1)[:, 0]
    after = cumulative[prompt, -1] - until
    share = np.divide(calls.sum(axis=1), until, out=np.zeros(len(prompt)), where=until > 0)
    return np.asarray(share * after > _WITHDRAWN_CALLS, dtype=bool)


def blinded(watched: Watched, why: str) -> Evaluation:
    """Nothing can be seen: what was watched is as it was."""
    lost = tuple(Reading("page" if s == "page" else "ticket", labels, None) for s, labels in sorted(watched))
    return Evaluation(lost, 0, "no_data", why)


def _reading(
    rule: ShareRule,
    severity: Severity,
    data: ShareData,
    number: int,
    judged: Judged,
    *,
    level: int,
    at: datetime,
) -> Reading:
    share, limit = float(judged.share[number]), float(data.limits[number])
    begin = at - timedelta(minutes=MINUTES - int(judged.since[number]))
    verb = {"errors": "failed", "latency": "were slow", "flags": "were flagged"}[rule.kind]
    standard = "is usual" if rule.kind == "flags" else "is allowed"
    name = named(data.labels[number])
    context = {"since": begin.replace(second=0, microsecond=0).isoformat()}
    more = ""
    if data.providers:
        context["providers"] = data.providers[number]
    if isinstance(rule, LatencyRule):
        slow_ms = rule.threshold_ms or float(data.slow_ms[number])
        more = f" Slow is {slow_ms:,.0f} ms or longer."
    when = f"{begin:%H:%M}" if at - begin < timedelta(hours=12) else f"{begin:%Y-%m-%d %H:%M}"
    summary = f"{name}: {share * 100:.3g} % of calls {verb} since {when} UTC, {limit * 100:.2g} % {standard}"
    if level == GOOD:
        summary = f"{name}: no more calls {verb} than {standard}"
    return Reading(
        severity,
        data.labels[number],
        level,
        value=round(share * 100, 3),
        threshold=round(limit * 100, 3),
        unit="%",
        summary=summary,
        description=rule.description + more,
        context=context,
    )
