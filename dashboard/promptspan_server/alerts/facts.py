"""Rules about what arrives and what is known of it: traffic, lag, losses, prices, versions."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts.reading import Evaluation, Reading, named
from promptspan_server.alerts.shares import BAD, BETWEEN, GOOD
from promptspan_server.analysis.compare import compare
from promptspan_server.analysis.reading import read_arms
from promptspan_server.analysis.wording import sentence
from promptspan_server.queries.alert_facts import (
    ARRIVALS,
    LIVE_VERSIONS,
    LOST,
    UNPRICED,
    since,
)
from promptspan_server.queries.arms import ArmsOf
from promptspan_server.queries.scope import Filter, TimeRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.alerts.reading import Asking, Labels, Watched
    from promptspan_server.alerts.rules import (
        BudgetRule,
        LagRule,
        LossRule,
        RegressionRule,
        Severity,
        UnpricedRule,
    )
    from promptspan_server.analysis.metrics import Metric


def evaluate_lag(rule: LagRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Hold the newest call of a service against when its spans arrived last."""
    limit = rule.limit.total_seconds()
    found = asking.table(ARRIVALS, since(at, timedelta(minutes=30)))
    rows = [
        (str(row["service"]), max(0.0, float(row["lag_s"])))
        for row in found.to_pylist()
        if row["lag_s"] is not None
    ]
    return _listed(
        rule.severity,
        "service",
        [
            (
                service,
                lag,
                _level(lag, limit),
                f"{service or 'no service name'}: what arrives is {_long(lag)} old",
            )
            for service, lag in rows
        ],
        threshold=limit,
        unit="s",
        description=rule.description,
        watched=watched,
    )


def evaluate_losses(rule: LossRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Count the spans that SDK processes which reported within the hour say they lost."""
    found = asking.table(LOST, since(at, timedelta(hours=1)))
    return _listed(
        rule.severity,
        "service",
        [
            (
                str(row["service"]),
                float(row["lost"]),
                BAD if row["lost"] >= rule.spans else GOOD,
                f"{row['service'] or 'no service name'}: {row['lost']:,} of {row['emitted']:,} spans lost",
            )
            for row in found.to_pylist()
        ],
        threshold=float(rule.spans),
        unit="spans",
        description=rule.description,
        watched=watched,
    )


def evaluate_unpriced(rule: UnpricedRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Count the calls of a day that have usage and no price, by model."""
    found = asking.table(UNPRICED, since(at, timedelta(days=1)))
    return _listed(
        rule.severity,
        "request_model",
        [
            (
                str(row["model"]),
                float(row["unpriced"]),
                BAD if row["unpriced"] >= rule.calls else GOOD,
                f"{row['model'] or 'no model'}: {row['unpriced']:,} calls in 24 hours have no price",
            )
            for row in found.to_pylist()
        ],
        threshold=float(rule.calls),
        unit="calls",
        description=rule.description,
        watched=watched,
    )


def evaluate_budgets(rule: BudgetRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Hold every budget against what is spent, and against where its period will probably end."""
    rows: list[tuple[str, float, int, str]] = []
    for budget in asking.budgets(at):
        used, chance = budget["used_percent"], budget["chance_over"]
        if used is None:
            continue
        over = budget["spent_usd"] > budget["amount_usd"]
        likely = chance is not None and chance > rule.chance
        rows.append(
            (
                str(budget["name"]),
                float(used),
                BAD if over or likely else GOOD,
                f"{budget['name']}: {used:.1f} % of ${budget['amount_usd']:,.2f} is spent"
                + ("" if over or chance is None else f"; it ends over it with {100 * chance:.0f} %")
                + (f"; {budget['owner']} watches it" if budget["owner"] else ""),
            )
        )
    return _listed(
        rule.severity,
        "budget",
        rows,
        threshold=100.0,
        unit="percent",
        description=rule.description,
        watched=watched,
    )


def evaluate_regression(rule: RegressionRule, at: datetime, asking: Asking, watched: Watched) -> Evaluation:
    """Compare the newest version of each prompt with the one that has most calls beside it."""
    range_ = TimeRange(at - rule.look_back, at)
    live = asking.table(LIVE_VERSIONS, since(at, rule.look_back))
    versions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in live.to_pylist():
        versions[str(row["prompt_name"])].append(row)
    busiest = sorted(versions, key=lambda name: (-sum(int(row["calls"]) for row in versions[name]), name))
    readings: list[Reading] = []
    seen: set[Labels] = set()
    for prompt in busiest[: rule.prompts]:
        pair = _candidate(versions[prompt])
        if pair is None:
            continue
        a, b = pair
        labels: Labels = (("baseline", a), ("prompt_name", prompt), ("prompt_version", b))
        arms = read_arms(asking.store, ArmsOf(range_, prompt, a, b, Filter()))  # pyright: ignore[reportArgumentType]  # a store, but for tests
        comparison = compare(arms)
        seen.add(labels)
        level = {"regressed": BAD, "improved": GOOD, "not worse": GOOD}.get(comparison.verdict, BETWEEN)
        if level != BAD and (rule.severity, labels) not in watched:
            continue
        worst = comparison.metrics[0] if comparison.metrics else None
        readings.append(
            Reading(
                rule.severity,
                labels,
                level,
                value=None if worst is None else _measured(worst.metric, worst.b),
                threshold=None if worst is None else _measured(worst.metric, worst.a),
                unit="" if worst is None else _unit(worst.metric),
                summary=f"{prompt}: {sentence(comparison, a=a, b=b)}",
                description=rule.description,
            )
        )
    # A version that is no longer live beside another has nothing left to be worse than.
    readings += [
        Reading(rule.severity, labels, GOOD, summary=f"{named(labels)}: no longer live beside the other")
        for severity, labels in sorted(watched)
        if severity == rule.severity and labels not in seen
    ]
    return Evaluation(tuple(readings), len(seen))


def _unit(metric: Metric) -> str:
    return "%" if metric.kind == "rate" else metric.unit.replace("usd", "USD")


def _measured(metric: Metric, value: float | None) -> float | None:
    return None if value is None else value * 100 if metric.kind == "rate" else value


def _candidate(rows: Sequence[dict[str, Any]]) -> tuple[str, str] | None:
    """The baseline and the newest version, if both were called within the last hour of calls."""
    if len(rows) < 2:
        return None
    newest = max(rows, key=lambda row: (row["first_s"], str(row["prompt_version"])))
    others = [row for row in rows if row is not newest and row["last_s"] >= newest["last_s"] - 3600]
    if not others:
        return None
    baseline = max(others, key=lambda row: (row["calls"], str(row["prompt_version"])))
    return str(baseline["prompt_version"]), str(newest["prompt_version"])


def _listed(
    severity: Severity,
    label: str,
    rows: Sequence[tuple[str, float, int, str]],
    *,
    threshold: float,
    unit: str,
    description: str,
    watched: Watched,
) -> Evaluation:
    readings: list[Reading] = []
    seen: set[Labels] = set()
    for name, value, level, summary in rows:
        labels: Labels = ((label, name),)
        seen.add(labels)
        if level != GOOD or (severity, labels) in watched:
            readings.append(Reading(severity, labels, level, value, threshold, unit, summary, description))
    # These lists hold what is wrong: what is not listed is well.
    readings += [
        Reading(severity, labels, GOOD, 0.0, threshold, unit, f"{named(labels)}: is well again", description)
        for wanted, labels in sorted(watched)
        if wanted == severity and labels not in seen
    ]
    return Evaluation(tuple(readings), len(rows))


def _level(value: float, limit: float) -> int:
    return BAD if value > limit else BETWEEN if value > limit / 2 else GOOD


def _long(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"
