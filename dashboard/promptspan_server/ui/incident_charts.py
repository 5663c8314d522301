"""The charts of an incident: failures and durations, with the alert's time and what happened when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.incident import STEPS_PER_OCTAVE
from promptspan_server.queries.series import buckets
from promptspan_server.ui import wording
from promptspan_server.ui.charts import bars, escaped, framed, plotly_time
from promptspan_server.ui.theme import PALETTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from promptspan_server.queries.incident import HeatCell
    from promptspan_server.queries.scope import TimeRange
    from promptspan_server.ui.charts import Chart
    from promptspan_server.ui.theme import Mode


def failures(
    cells: Sequence[HeatCell],
    time_range: TimeRange,
    mode: Mode,
    band: TimeRange,
    markers: Sequence[tuple[datetime, str]],
) -> Chart:
    """Draw failed and other calls a bucket, the time of an alert shaded, and what happened when.

    Args:
        cells: Calls by time and duration.
        time_range: What is shown.
        mode: The theme.
        band: The alert's time.
        markers: When something happened, and what: data, which is escaped here.
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
    return framed(
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
        **_marked(mode, time_range, band, markers),
    )


def latency_heat(
    cells: Sequence[HeatCell],
    time_range: TimeRange,
    mode: Mode,
    band: TimeRange,
    markers: Sequence[tuple[datetime, str]],
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
        **_marked(mode, time_range, band, markers),
    )
    chart["layout"]["yaxis"] |= {
        "rangemode": "normal",
        "range": [lowest, highest + 1],
        "tickvals": ticks,
        "ticktext": [wording.duration(_edge(row)) for row in ticks],
    }
    return chart


def _edge(row: int) -> float:
    return 2.0 ** (row / STEPS_PER_OCTAVE)


def _marked(
    mode: Mode, time_range: TimeRange, band: TimeRange, markers: Sequence[tuple[datetime, str]]
) -> dict[str, Any]:
    palette = PALETTES[mode]
    # The band lies below what is drawn and has edges: it must be seen on a busy chart and in grey, too.
    shapes: list[Chart] = [
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
    ]
    annotations: list[Chart] = []
    inside = [each for each in markers if time_range.start <= each[0] < time_range.end]
    for number, (at, text) in enumerate(inside[:8]):
        shapes.append(
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": plotly_time(at),
                "x1": plotly_time(at),
                "y0": 0,
                "y1": 1,
                "line": {"color": palette.text, "width": 1.5, "dash": "dot"},
            }
        )
        late = at > time_range.start + time_range.length * 0.6
        annotations.append(
            {
                "xref": "x",
                "yref": "paper",
                "x": plotly_time(at),
                "y": 1 - 0.13 * (number % 4),
                "xanchor": "right" if late else "left",
                "yanchor": "top",
                "text": escaped(wording.clipped(text, 36)),
                "showarrow": False,
                "bgcolor": palette.ground,
                "opacity": 0.92,
                "font": {"color": palette.text, "size": 11},
            }
        )
    return {"shapes": shapes, "annotations": annotations}
