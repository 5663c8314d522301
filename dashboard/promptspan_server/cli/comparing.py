"""What `compare` and `check` share: the window, the question, the rows of the answer."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.analysis.compare import Compared, Comparison
    from promptspan_server.analysis.metrics import Metric
    from promptspan_server.analysis.places import Place
    from promptspan_server.queries.arms import ArmsOf
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.scope import TimeRange

_AGO = re.compile(r"(\d+)\s*([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
DEFAULT_LOOK_BACK = timedelta(days=30)


def time_range(
    begin: str | None,
    end: str | None,
    *,
    now: datetime | None = None,
    look_back: timedelta = DEFAULT_LOOK_BACK,
) -> TimeRange:
    """Read `--from` and `--to`: ISO 8601 (UTC where no zone is given), or how long ago (`6h`, `7d`, `2w`).

    Without `--from` the range begins `look_back` before its end.

    Raises:
        CommandError: A time cannot be read, or the range is empty or too long.
    """
    from promptspan_server.queries.scope import TimeRange

    now = now or datetime.now(timezone.utc)
    stop = _moment(end, "--to", now) if end else now
    start = _moment(begin, "--from", now) if begin else stop - look_back
    try:
        return TimeRange(start, stop)
    except ValueError as error:
        raise CommandError(f"--from {start:%Y-%m-%d %H:%M} --to {stop:%Y-%m-%d %H:%M}: {error}") from error


def _moment(text: str, option: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - timedelta(hours=int(ago[1]) * _HOURS[ago[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise CommandError(f"{option} {text!r} is no time: say 2026-11-24, 2026-11-24T15:00 or 7d") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def compared(
    store: Store,
    *,
    when: TimeRange,
    prompt: str,
    a: str,
    b: str,
    feature: str | None = None,
    share: float | None = None,
    metrics: Sequence[Metric] | None = None,
) -> Comparison:
    """Ask the store and compare.

    Raises:
        CommandError: The store cannot be asked, or it has no call of a version in that time.
    """
    from promptspan_server.analysis.compare import compare
    from promptspan_server.analysis.cuped import read_before
    from promptspan_server.analysis.reading import read_arms
    from promptspan_server.queries.connection import QueryFailed, StoreUnreachable

    if a == b:
        raise CommandError(f"--a and --b are both {a}: two versions are compared")
    if share is not None and not 0 < share < 1:
        raise CommandError(f"--share is {b}'s share of the traffic, between 0 and 1 (0.5 is a half)")
    try:
        asked = question(when, prompt, a, b, feature)
        arms = read_before(store, asked, read_arms(store, asked))
    except (StoreUnreachable, QueryFailed) as error:
        raise CommandError(str(error)) from error
    seen = arms.calls.sum(axis=(0, 2)) if len(arms.hours) else (0, 0)
    for version, calls in ((a, seen[0]), (b, seen[1])):
        if not calls:
            raise CommandError(
                f"no call of {prompt} version {version} between {when.start:%Y-%m-%d %H:%M} and"
                f" {when.end:%Y-%m-%d %H:%M} UTC; --from and --to choose another time"
            )
    return compare(arms, metrics=metrics, intended_share=share)


def located(store: Store, asked: ArmsOf, comparison: Comparison) -> tuple[Place, ...]:
    """Find where the differences are.

    Raises:
        CommandError: The store cannot be asked.
    """
    from promptspan_server.analysis.places import places
    from promptspan_server.queries.connection import StoreUnreachable

    try:
        return places(store, asked, comparison)
    except StoreUnreachable as error:
        raise CommandError(str(error)) from error


def question(when: TimeRange, prompt: str, a: str, b: str, feature: str | None) -> ArmsOf:
    """The question to the store."""
    from promptspan_server.queries.arms import ArmsOf
    from promptspan_server.queries.scope import Filter

    return ArmsOf(when, prompt, a, b, Filter(feature=feature))


def as_object(
    comparison: Comparison,
    *,
    prompt: str,
    a: str,
    b: str,
    when: TimeRange,
    places: Sequence[Place] = (),
) -> dict[str, Any]:
    """Say it for programs."""
    from promptspan_server.analysis.wording import sentence

    balance = comparison.balance
    return {
        "prompt": prompt,
        "a": a,
        "b": b,
        "from": when.start.isoformat(),
        "to": when.end.isoformat(),
        "verdict": comparison.verdict,
        "sentence": sentence(comparison, a=a, b=b, places=places),
        "observational": comparison.observational,
        "calls_a": comparison.calls_a,
        "calls_b": comparison.calls_b,
        "share": {"intended": balance.intended, "observed": _number(balance.observed), "p": balance.p},
        "alpha_per_metric": comparison.alpha,
        "metrics": [_metric(each) for each in comparison.metrics],
        "where": [_place(each) for each in places],
    }


def _place(place: Place) -> dict[str, Any]:
    located = place.located
    return {
        "metric": place.compared.metric.name,
        "sentences": list(place.said),
        "adjusted": None
        if place.adjusted is None
        else {
            "within": list(place.adjusted.within),
            **{name: _number(getattr(place.adjusted, name)) for name in ("ratio", "low", "high", "calls")},
        },
        "mix": _number(located.mix) if located else None,
        "within": _number(located.within) if located else None,
        "segments": [
            {
                "predicates": dict(each.predicates),
                "also": dict(each.also),
                "share": _number(each.share),
                "excess": each.excess,
                **{name: _number(getattr(each, name)) for name in ("a", "b", "rest_a", "rest_b", "z")},
                "calls_a": each.calls_a,
                "calls_b": each.calls_b,
            }
            for each in (located.segments if located else ())
        ],
        "traces": {
            "telling": [each.trace_id for each in place.telling],
            "usual": [each.trace_id for each in place.usual],
        },
    }


def _metric(each: Compared) -> dict[str, Any]:
    of_ratio = each.metric.kind != "score"
    return {
        "metric": each.metric.name,
        "verdict": each.verdict,
        "unit": each.metric.unit,
        "a": each.a,
        "b": each.b,
        **({"ratio": each.ratio} if of_ratio else {}),
        "delta": each.delta,
        "low": each.low,
        "high": each.high,
        "interval_of": "ratio" if of_ratio else "delta",
        "p": each.p,
        "n_a": each.n_a,
        "n_b": each.n_b,
        "more_calls": each.more_calls,
        "reason": each.reason,
        "adjusted": "cuped" if each.adjusted else None,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has neither NaN nor infinity


def value(each: Compared, number: float | None) -> str:
    """Write a value in the metric's unit."""
    if number is None:
        return "—"
    if each.metric.kind == "rate":
        return f"{number * 100:.3g} %"
    unit = {"ms": " ms", "usd": " USD"}.get(each.metric.unit, "")
    digits = f"{number:,.0f}" if abs(number) >= 1000 else format(Decimal(f"{number:.3g}"), "f")
    return digits + unit
