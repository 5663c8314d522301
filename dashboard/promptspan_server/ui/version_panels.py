"""Versions of one prompt side by side: in words, in a table, over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.queries.connection import QueryFailed
from promptspan_server.ui import charts, comparison, links, panels, wording
from promptspan_server.ui.component import mode
from promptspan_server.ui.controls import NONE, View
from promptspan_server.ui.markers import Mark
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.theme import PALETTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.series import Point
    from promptspan_server.queries.versions import VersionRow

_LINES = 6
_FILTERS = ("feature", "environment", "model")


@dataclass(frozen=True, slots=True)
class Measure:
    """Something to draw by version over time.

    Attributes:
        title: Heading, with the unit.
        value: Reads it from a bucket, None where the bucket does not know.
        suffix: After the numbers of the axis.
        prefix: Before them.
        tickformat: D3 format of the axis.
        hover: D3 template of the hover text.
    """

    title: str
    value: Callable[[Point], float | None]
    suffix: str = ""
    prefix: str = ""
    tickformat: str = ""
    hover: str = "%{y:,.3~g}"


MEASURES: dict[str, Measure] = {
    "p95": Measure("Latency p95, seconds", lambda point: _s(point.p95_ms), " s", hover="%{y:.3~g} s"),
    "p50": Measure("Latency p50, seconds", lambda point: _s(point.p50_ms), " s", hover="%{y:.3~g} s"),
    "failed": Measure(
        "Failed calls, per cent", lambda point: point.errors / point.calls, tickformat=".0%", hover="%{y:.1%}"
    ),
    "flags": Measure(
        "Calls with a safety flag, per cent",
        lambda point: point.flagged / point.calls,
        tickformat=".0%",
        hover="%{y:.1%}",
    ),
    "cost": Measure(
        "Cost per priced call, USD",
        lambda point: None if point.cost_usd is None else float(point.cost_usd / point.priced),
        prefix="$",
        tickformat="~g",
        hover="$%{y:.3~g}",
    ),
}


def draw(
    versions: Answer[VersionRow],
    series: Answer[Point] | None,
    since: Mapping[str, datetime],
    view: View,
    notes: Sequence[Mark] = (),
) -> None:
    """Draw the versions of one prompt.

    Args:
        versions: At least one row, all of one prompt.
        series: Buckets by version, None if they could not be read.
        since: When each version first ran, in this range or before it.
        view: Scope of the page.
        notes: What people and pipelines noted.
    """
    rows = sorted(versions.rows, key=lambda row: since.get(row.version, row.first_seen), reverse=True)
    chosen = comparison.pair(rows, since)
    answer = comparison.ask(rows[0].prompt, *chosen, view) if chosen else None
    said = _in_words(rows, since)
    with st.container(key="verdict"):
        words = st.empty()
        words.text(f"{said} {comparison.verdict(answer, *chosen)}" if chosen and answer else said)
    panels.heading("Versions", versions, "the newest first")
    table(
        _columns(),
        [_row(row, since.get(row.version, row.first_seen), index, view) for index, row in enumerate(rows)],
        key="versions",
        caption="Versions",
    )
    if chosen and answer:
        comparison.draw(answer, *chosen)
        places = comparison.ask_where(answer, rows[0].prompt, *chosen, view)
        if places and not isinstance(answer, QueryFailed):
            words.text(f"{said} {comparison.verdict(answer, *chosen, places)}")
            comparison.draw_where(places, answer[1])
    if series is None:
        return
    marks = (
        *notes,
        *(
            Mark(first, version, f"first call of {version}: {wording.moment(first)} UTC")
            for version, first in since.items()
            if first > min(since.values())
        ),
    )
    names = [row.version for row in rows[:_LINES]]
    note = f"the newest {_LINES} of {len(rows)} versions" if len(rows) > _LINES else ""
    step = wording.step(view.window.range.step_s)
    left, right = st.columns(2)
    with left:
        with st.container(key="calls_heading", vertical_alignment="center"):
            panels.heading(f"Model calls per {step}", series, note)
        panels.chart(
            charts.by_version(
                series.rows,
                names,
                view.window.range,
                mode(),
                lambda point: point.calls,
                hover="%{y:,} calls",
                whole_buckets=True,
                marks=marks,
            ),
            key="version_calls",
            alt=f"Lines: model calls per {step} by version",
        )
    with right:
        chosen = _measure()
        panels.chart(
            charts.by_version(
                series.rows,
                names,
                view.window.range,
                mode(),
                chosen.value,
                suffix=chosen.suffix,
                prefix=chosen.prefix,
                tickformat=chosen.tickformat,
                hover=chosen.hover,
                marks=marks,
            ),
            key="version_measure",
            alt=f"Lines: {chosen.title} per {step} by version",
        )


def _measure() -> Measure:
    with st.container(
        key="measure_heading", horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        title = st.empty()
        name = st.segmented_control(
            "Measure",
            list(MEASURES),
            default="p95",
            required=True,
            key="measure",
            bind="query-params",
            label_visibility="collapsed",
        )
    chosen = MEASURES[str(name or "p95")]
    title.markdown(f"**{chosen.title}**", width="content")
    return chosen


def _in_words(rows: Sequence[VersionRow], since: Mapping[str, datetime]) -> str:
    newest = rows[0]
    first = since.get(newest.version, newest.first_seen)
    calls = sum(row.spend.calls for row in rows)
    if len(rows) == 1:
        return (
            f"One version in this range: {newest.version or NONE}. "
            f"{wording.counted(newest.spend.calls, 'call')}, "
            f"{wording.share(newest.error_rate)} failed."
        )
    return (
        f"Version {newest.version or NONE}, first seen {wording.moment(first, seconds=False)} UTC, has "
        f"{wording.share(newest.spend.calls / calls, 0)} of the calls."
    )


def _columns() -> list[Column]:
    return [
        Column("Version", clip=True),
        Column("Calls", "Model calls", "right"),
        Column("Failed", "Share of calls with status error", "right"),
        Column("p50", "Median duration", "right"),
        Column("p95", "95th percentile of duration", "right"),
        Column("Tokens in", "Mean input tokens of a call", "right"),
        Column("Tokens out", "Mean output tokens of a call", "right"),
        Column("Cost, USD", "Over the priced calls", "right"),
        Column("Per call", "Mean cost of a priced call, USD", "right"),
        Column("Priced", "Share of calls with a known cost", "right"),
        Column("Flags", "Share of calls with a safety flag", "right"),
        Column("Models", clip=True),
        Column("First call, UTC", "Of all calls, in this range or before", "right"),
    ]


def _row(row: VersionRow, first: datetime, index: int, view: View) -> list[Cell]:
    series = PALETTES[mode()].series
    carried = {
        **view.parameters(*_FILTERS),
        "prompt": row.prompt or NONE,
        "version": row.version or NONE,
    }
    return [
        Cell(
            wording.name(row.version, NONE),
            sort=row.version,
            title=row.version,
            mono=bool(row.version),
            swatch=series[index] if index < _LINES else "",
        ),
        Cell(wording.exact(row.spend.calls), href=links.link(links.TRACES, carried), sort=row.spend.calls),
        Cell(
            wording.share(row.error_rate),
            href=links.link(links.TRACES, carried, {"errors": "true"}) if row.errors else "",
            sort=row.error_rate,
            tone="bad" if row.error_rate >= 0.05 and row.errors > 2 else "" if row.errors else "muted",
            title=wording.counted(row.errors, "failed call"),
        ),
        Cell(wording.duration(row.p50_ms), sort=row.p50_ms),
        Cell(wording.duration(row.p95_ms), sort=row.p95_ms),
        Cell(wording.mean(row.input_tokens_mean), sort=row.input_tokens_mean),
        Cell(wording.mean(row.output_tokens_mean), sort=row.output_tokens_mean),
        Cell(
            wording.usd(row.spend.usd),
            sort=None if row.spend.usd is None else float(row.spend.usd),
            title=f"{wording.usd_exact(row.spend.usd)}, {wording.coverage(row.spend)}",
        ),
        Cell(
            wording.usd(row.spend.per_call),
            sort=None if row.spend.per_call is None else float(row.spend.per_call),
        ),
        Cell(
            wording.share(row.spend.coverage),
            sort=row.spend.coverage,
            tone="" if row.spend.unpriced == 0 else "warn",
            title=wording.coverage(row.spend),
        ),
        Cell(
            wording.share(row.flag_rate),
            sort=row.flag_rate,
            tone="" if row.flagged else "muted",
            title=", ".join(row.flags),
        ),
        Cell(", ".join(row.models), sort=", ".join(row.models), title=", ".join(row.models)),
        Cell(wording.moment(first), sort=first.timestamp(), tone="muted"),
    ]


def _s(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
