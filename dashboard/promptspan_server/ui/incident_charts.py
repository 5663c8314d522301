"""The charts of an incident: failures and durations, with the alert's time and what happened when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from promptspan_server.queries.incident import STEPS_PER_OCTAVE
from promptspan_server.queries.series import buckets
from promptspan_server.ui import wording
from promptspan_server.ui.charts import bars, framed, plotly_time
from promptspan_server.ui.theme import PALETTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.incident import HeatCell
    from promptspan_server.queries.scope import TimeRange
    from promptspan_server.ui.charts import Chart
    from promptspan_server.ui.markers import Mark
    from promptspan_server.ui.theme import Mode


def failures(
    cells: Sequence[HeatCell],
    time_range: TimeRange,
    mode: Mode,
    band: TimeRange,
    marks: Sequence[Mark],
) -> Chart:
    """Draw failed and other calls a bucket, the time of an alert shaded, and what happened when.

    Args:
        cells: Calls by time and duration.
        time_range: What is shown.
        mode: The theme.
        band: The alert's time.
        marks: What happened when.
    """
    palette = PALETTES[mode]
    at = buckets(time_range)
    errors = dict.fromkeys(at, 0)
    good = dict.fromkeys(at, 0)
    for cell in cells:
        if cell.at in errors:
            errors[cell.at] += cell.errors
            good[cell.at] += cell.calls - cell.errors
    hover = "%{x|%d %b %H:%M} UTC · <b>%{y:,}</b> "
    step_s = time_range.step_s
    chart = framed(
        [
            bars(
                at,
                list(errors.values()),
                name="failed",
                colour=palette.bad,
                hover=hover + "failed<extra></extra>",
                step_s=step_s,
                pattern="/",
            ),
            bars(
                at,
                list(good.values()),
                name="succeeded",
                colour=palette.ok,
                hover=hover + "succeeded<extra></extra>",
                step_s=step_s,
            ),
        ],
        mode,
        time_range,
        barmode="stack",
        marks=marks,
    )
    return _shaded(chart, band, time_range, mode)


def latency_heat(
    cells: Sequence[HeatCell],
    time_range: TimeRange,
    mode: Mode,
    band: TimeRange,
    marks: Sequence[Mark],
) -> Chart:
    """Draw how many calls took how long, on a logarithmic axis; arguments as of `failures`."""
    at = buckets(time_range)
    rows = [cell.row for cell in cells] or [0]
    lowest, highest = min(rows), max(rows)
    column = {t: number for number, t in enumerate(at)}
    calls: list[list[int | None]] = [[None] * len(at) for _ in range(highest - lowest + 1)]
    notes = [[""] * len(at) for _ in range(highest - lowest + 1)]
    for cell in cells:
        if cell.at in column:
            calls[cell.row - lowest][column[cell.at]] = cell.calls
            notes[cell.row - lowest][column[cell.at]] = (
                f"{wording.duration(_edge(cell.row))} to {wording.duration(_edge(cell.row + 1))}"
                f" · <b>{cell.calls:,}</b> calls, {cell.errors:,} failed"
            )
    half = timedelta(seconds=time_range.step_s / 2)
    every = max(1, (highest - lowest + 2) // 6)
    ticks = list(range(lowest, highest + 2, every))
    chart = framed(
        [
            {
                "type": "heatmap",
                "x": [plotly_time(t + half) for t in at],
                "y": [row + 0.5 for row in range(lowest, highest + 1)],
                "z": calls,
                "text": notes,
                "hovertemplate": "%{x|%d %b %H:%M} UTC · %{text}<extra></extra>",
                "colorscale": "Cividis",
                "reversescale": mode == "light",
                "showscale": False,
                "hoverongaps": False,
                "xgap": 1,
                "ygap": 1,
            }
        ],
        mode,
        time_range,
        legend=False,
        hovermode="closest",
        marks=marks,
    )
    chart["layout"]["yaxis"] |= {
        "rangemode": "normal",
        "range": [lowest, highest + 1],
        "tickvals": ticks,
        "ticktext": [wording.duration(_edge(row)) for row in ticks],
    }
    return _shaded(chart, band, time_range, mode)


def _edge(row: int) -> float:
    return 2.0 ** (row / STEPS_PER_OCTAVE)


def _shaded(chart: Chart, band: TimeRange, time_range: TimeRange, mode: Mode) -> Chart:
    palette = PALETTES[mode]
    # Below what is drawn and with edges: it must be seen on a busy chart and in grey, too.
    chart["layout"].setdefault("shapes", []).append(
        {
            "type": "rect",
            "layer": "below",
            "xref": "x",
            "yref": "paper",
            "x0": plotly_time(max(band.start, time_range.start)),
            "x1": plotly_time(min(band.end, time_range.end)),
            "y0": 0,
            "y1": 1,
            "fillcolor": palette.warn,
            "opacity": 0.3,
            "line": {"color": palette.warn, "width": 1},
        }
    )
    return chart
