"""Whether a version is worse than another: the verdict in words, then every metric with its interval."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.analysis.wording import change, label, note, p_value, sentence
from promptspan_server.queries.arms import ArmsOf
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.queries.scope import Filter
from promptspan_server.ui import cache, links, panels, wording
from promptspan_server.ui.table import Cell, Column, Lane, Tone, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.analysis.compare import Compared, Comparison, Verdict
    from promptspan_server.analysis.places import Place
    from promptspan_server.queries.segments import ExampleRow
    from promptspan_server.queries.versions import VersionRow
    from promptspan_server.ui.controls import View

# The picture of an interval reaches from a third to three times.
_REACH = math.log(3)
_NOTE = "95 % for all metrics together, however often one looks; the middle of the picture is no change"


def pair(rows: Sequence[VersionRow], since: Mapping[str, datetime]) -> tuple[str, str] | None:
    """The busiest of the older versions and the newest one; None if there is one only."""
    if len(rows) < 2:
        return None
    newest = max(rows, key=lambda row: since.get(row.version, row.first_seen))
    older = max((row for row in rows if row is not newest), key=lambda row: row.spend.calls)
    return older.version, newest.version


def ask(prompt: str, a: str, b: str, view: View) -> tuple[Comparison, float] | QueryFailed:
    """Compare two versions within the page's scope.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    return cache.compared(_question(prompt, a, b, view))


def ask_where(
    answer: tuple[Comparison, float] | QueryFailed, prompt: str, a: str, b: str, view: View
) -> tuple[Place, ...]:
    """Find where the differences are.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    return () if isinstance(answer, QueryFailed) else cache.placed(_question(prompt, a, b, view), answer[0])


def _question(prompt: str, a: str, b: str, view: View) -> ArmsOf:
    chosen = view.filter
    narrowed = Filter(feature=chosen.feature, environment=chosen.environment, model=chosen.model)
    return ArmsOf(view.window.range, prompt, a, b, narrowed)


def verdict(
    answer: tuple[Comparison, float] | QueryFailed, a: str, b: str, places: Sequence[Place] = ()
) -> str:
    """Say what came out; empty if the store did not answer, which `draw` shows."""
    return "" if isinstance(answer, QueryFailed) else sentence(answer[0], a=a, b=b, places=places)


def draw_where(places: Sequence[Place], asked_at_s: float) -> None:
    """Draw where the differences are, in words, with calls that show them and usual ones beside."""
    if not places:
        return
    panels.heading("Where is it?", asked_at_s, "where the change is, which need not be what caused it")
    for place in places:
        st.text(f"{label(place.compared).capitalize()}: {' '.join(place.said)}")
    first = places[0]
    table(
        [
            Column(f"Calls to look at: {label(first.compared)}", clip=True),
            Column("Start, UTC"),
            Column("Status"),
            Column("Duration", "", "right"),
            Column("Cost, USD", "", "right"),
            Column("Trace"),
        ],
        [_example(each) for each in (*first.telling, *first.usual)],
        key="examples",
        caption="Calls that show the difference, and usual ones",
    )


def _example(each: ExampleRow) -> list[Cell]:
    return [
        Cell("shows it" if each.telling else "usual", sort=each.telling, strong=each.telling),
        Cell(wording.moment(each.at), sort=each.at.timestamp()),
        Cell(
            each.error_type or each.status,
            sort=each.status,
            tone="bad" if each.status == "error" else "",
        ),
        Cell(wording.duration(each.duration_ms), sort=each.duration_ms),
        Cell(wording.usd(each.cost_usd), sort=None if each.cost_usd is None else float(each.cost_usd)),
        Cell(
            each.trace_id[:12],
            href=links.trace_link(each.trace_id, each.span_id, each.at),
            mono=True,
            title=each.trace_id,
        ),
    ]


def draw(answer: tuple[Comparison, float] | QueryFailed, a: str, b: str) -> None:
    """Draw the table of metrics."""
    if isinstance(answer, QueryFailed):
        panels.failed(answer)
        return
    comparison, asked_at_s = answer
    panels.heading("Is it worse?", asked_at_s, _NOTE)
    if not comparison.calls_a or not comparison.calls_b:
        return
    table(
        _columns(a, b),
        [_row(each) for each in comparison.metrics],
        key="comparison",
        caption="Comparison by metric",
    )


def _columns(a: str, b: str) -> list[Column]:
    hours = "in hours in which both versions ran"
    return [
        Column("Metric"),
        Column("Verdict", "regressed: worse, and perhaps by more than what is no harm"),
        Column(wording.name(a, "(no version)"), f"The baseline, {hours}", "right", clip=True),
        Column(wording.name(b, "(no version)"), f"The candidate, {hours}", "right", clip=True),
        Column("Change and interval", "", "right"),
        Column("a third ··· three times", "The interval of the ratio, logarithmic", width="14rem"),
        Column("p", "Always-valid p-value of no difference", "right"),
        Column("Calls", "Baseline and candidate", "right"),
        Column("Note", clip=True),
    ]


def _row(each: Compared) -> list[Cell]:
    known = each.low is not None or each.high is not None
    said = note(each)
    if each.more_calls:
        said = f"about {wording.count(each.more_calls)} calls more an arm would decide it"
    return [
        Cell(each.metric.name.replace("_", " "), sort=each.metric.name),
        Cell(each.verdict, sort=each.verdict, tone=_TONES.get(each.verdict, ""), strong=each.bad),
        Cell(_value(each, each.a), sort=each.a),
        Cell(_value(each, each.b), sort=each.b),
        Cell(change(each) if known else wording.UNKNOWN, sort=each.ratio),
        Cell("", lane=_lane(each) if each.ratio is not None and known else None),
        Cell(
            p_value(each.p) if known else wording.UNKNOWN, sort=each.p, tone="" if each.p < 0.05 else "muted"
        ),
        Cell(f"{wording.count(each.n_a)} / {wording.count(each.n_b)}", sort=each.n_a + each.n_b),
        Cell(said, title=note(each), tone="muted"),
    ]


_TONES: dict[Verdict, Tone] = {"regressed": "bad", "invalid": "bad", "undecided": "muted"}


def _lane(each: Compared) -> Lane:
    start, end = _place(each.low, 0.0), _place(each.high, 1.0)
    return Lane(start, max(end - start, 0.01), "bad" if each.bad else "")


def _place(ratio: float | None, unbounded: float) -> float:
    if ratio is None or ratio <= 0:
        return unbounded
    return min(1.0, max(0.0, 0.5 + math.log(ratio) / (2 * _REACH)))


def _value(each: Compared, value: float | None) -> str:
    if value is None:
        return wording.UNKNOWN
    if each.metric.kind == "rate":
        return wording.share(value, 2)
    if each.metric.unit == "ms":
        return wording.duration(value)
    if each.metric.unit == "usd":
        return wording.usd(Decimal(f"{value:.3g}"))
    return wording.mean(value) if each.metric.unit == "tokens" else f"{value:.3g}"
