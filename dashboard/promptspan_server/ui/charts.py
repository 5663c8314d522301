"""Charts, as the plain dictionaries that Plotly draws. Pure: rows in, figure out.

Building dictionaries instead of `Figure` objects skips their validation and their pickling (31 ms a chart).
Colour never stands alone: lines differ in dash and marker too. Names from data go through `escaped`, because
Plotly reads a few HTML tags in text.
"""

from __future__ import annotations

import html
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.series import buckets
from promptspan_server.ui import wording
from promptspan_server.ui.markers import drawn as drawn_marks
from promptspan_server.ui.theme import DASHES, FONT, MARKERS, PALETTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import TimeRange
    from promptspan_server.queries.series import Point
    from promptspan_server.ui.markers import Mark
    from promptspan_server.ui.theme import Mode

Chart = dict[str, Any]
HEIGHT = 210
# No mode bar: it has eight tab stops a chart. Panning and zooming a dashboard by accident helps nobody.
_BAR_GAP = 0.16
CONFIG: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}


def calls_and_errors(
    points: Sequence[Point], time_range: TimeRange, mode: Mode, marks: Sequence[Mark] = ()
) -> Chart:
    """Draw calls a bucket as bars, the failed ones at the foot where they can be compared."""
    palette = PALETTES[mode]
    by_time = {point.at: point for point in points}
    at = buckets(time_range)
    errors = [by_time[t].errors if t in by_time else 0 for t in at]
    good = [by_time[t].calls - by_time[t].errors if t in by_time else 0 for t in at]
    hover = "%{x|%d %b %H:%M} UTC · <b>%{y:,}</b> "
    return framed(
        [
            bars(
                at,
                errors,
                name="failed",
                colour=palette.bad,
                hover=hover + "failed<extra></extra>",
                step_s=time_range.step_s,
                pattern="/",
            ),
            bars(
                at,
                good,
                name="succeeded",
                colour=palette.ok,
                hover=hover + "succeeded<extra></extra>",
                step_s=time_range.step_s,
            ),
        ],
        mode,
        time_range,
        marks=marks,
        barmode="stack",
    )


def latency(points: Sequence[Point], time_range: TimeRange, mode: Mode, marks: Sequence[Mark] = ()) -> Chart:
    """Draw median and 95th percentile of the duration a bucket."""
    palette = PALETTES[mode]
    by_time = {point.at: point for point in points}
    at = buckets(time_range)
    lines = [
        line(at, [_seconds(by_time.get(t), which) for t in at], name, colour, index, "%{y:.3~g} s")
        for index, (which, name, colour) in enumerate(
            (("p95_ms", "p95", palette.series[0]), ("p50_ms", "p50", palette.series[2]))
        )
    ]
    return framed(lines, mode, time_range, suffix=" s", marks=marks)


def by_version(
    points: Sequence[Point],
    versions: Sequence[str],
    time_range: TimeRange,
    mode: Mode,
    value: Callable[[Point], float | None],
    *,
    suffix: str = "",
    tickformat: str = "",
    hover: str = "%{y:.3~g}",
    prefix: str = "",
    whole_buckets: bool = False,
    marks: Sequence[Mark] = (),
) -> Chart:
    """Draw one line a version. Its place in `versions` gives a version its colour, in every chart.

    With `whole_buckets` the first and last bucket are left out where the range cuts them: a count over part
    of a bucket reads as a drop.
    """
    palette = PALETTES[mode]
    at = buckets(time_range)
    cells = {(point.version, point.at): point for point in points}
    step = timedelta(seconds=time_range.step_s)
    whole = {t for t in at if t >= time_range.start and t + step <= time_range.end}
    lines: list[Chart] = []
    for index, version in enumerate(versions):
        values = [
            value(cells[version, t]) if (version, t) in cells and (not whole_buckets or t in whole) else None
            for t in at
        ]
        colour = palette.series[index % len(palette.series)]
        lines.append(line(at, values, escaped(version or "(no version)"), colour, index, hover))
    return framed(lines, mode, time_range, suffix=suffix, tickformat=tickformat, prefix=prefix, marks=marks)


def calls_by_minute(at: Sequence[datetime], calls: Sequence[int], time_range: TimeRange, mode: Mode) -> Chart:
    """Draw calls a minute as bars."""
    hover = "%{x|%H:%M} UTC · <b>%{y:,}</b> calls<extra></extra>"
    drawn = bars(at, calls, name="calls", colour=PALETTES[mode].ok, hover=hover, step_s=60)
    return framed([drawn], mode, time_range, legend=False)


def cost(points: Sequence[Point], time_range: TimeRange, mode: Mode, marks: Sequence[Mark] = ()) -> Chart:
    """Draw the cost of the priced calls a bucket as bars."""
    by_time = {point.at: point.cost_usd for point in points}
    at = buckets(time_range)
    hover = "%{x|%d %b %H:%M} UTC · <b>$%{y:.3~g}</b><extra></extra>"
    # Only here, on the way to pixels, does money become a float.
    values = [float(by_time.get(t) or 0) for t in at]
    drawn = bars(
        at, values, name="cost", colour=PALETTES[mode].series[0], hover=hover, step_s=time_range.step_s
    )
    return framed([drawn], mode, time_range, legend=False, prefix="$", tickformat="~g", marks=marks)


def escaped(text: str) -> str:
    """Make data safe for Plotly's text, which knows links and line breaks."""
    return html.escape(wording.clipped(text, 60))


def _seconds(point: Point | None, which: str) -> float | None:
    value = None if point is None else getattr(point, which)
    return None if value is None else value / 1000


def bars(
    x: Sequence[datetime],
    y: Sequence[float],
    *,
    name: str,
    colour: str,
    hover: str,
    step_s: int,
    pattern: str = "",
) -> Chart:
    """Build bars, one a bucket of `step_s` seconds; `name` is what the legend says."""
    return {
        "type": "bar",
        "x": [plotly_time(t) for t in x],
        "y": list(y),
        # A bar covers its bucket: it begins where the bucket begins.
        "offset": step_s * _BAR_GAP / 2 * 1000,
        "width": step_s * (1 - _BAR_GAP) * 1000,
        "name": name,
        "hovertemplate": hover,
        "marker": {
            "color": colour,
            "line": {"width": 0},
            # A pattern beside the colour, for those who see no difference in colour.
            "pattern": {"shape": pattern, "solidity": 0.2, "fgcolor": "#FFFFFF", "bgcolor": colour}
            if pattern
            else {},
        },
    }


def line(  # noqa: PLR0917
    x: Sequence[datetime], y: Sequence[float | None], name: str, colour: str, index: int, hover: str
) -> Chart:
    """Draw a line; its index gives it dash and marker beside the colour."""
    # A point without neighbours has no line: its marker shows it.
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [plotly_time(t) for t in x],
        "y": list(y),
        "name": name,
        "connectgaps": False,
        "line": {"color": colour, "width": 2, "dash": DASHES[index % len(DASHES)]},
        "marker": {"color": colour, "size": 4.5, "symbol": MARKERS[index % len(MARKERS)]},
        "hovertemplate": hover,
    }


def framed(
    traces: list[Chart],
    mode: Mode,
    time_range: TimeRange,
    *,
    suffix: str = "",
    prefix: str = "",
    tickformat: str = "",
    legend: bool = True,
    marks: Sequence[Mark] = (),
    **layout: Any,
) -> Chart:
    """Build the figure around traces: axes of time and value, in the colours of the theme."""
    palette = PALETTES[mode]
    shapes, annotations = drawn_marks(marks, time_range, palette)
    # Whole buckets: the last one is as wide as the others, though its end may be still to come.
    at = buckets(time_range)
    axis: Mapping[str, Any] = {
        "gridcolor": palette.grid,
        "linecolor": palette.grid,
        "zeroline": False,
        "tickfont": {"color": palette.muted, "size": 12},
        "fixedrange": True,
    }
    return {
        "data": traces,
        "layout": {
            "height": HEIGHT,
            "margin": {"l": 8, "r": 8, "t": 30 if legend else 8, "b": 8},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 12, "color": palette.text},
            "hovermode": "x unified",
            "hoverlabel": {
                "bgcolor": palette.ground,
                "bordercolor": palette.grid,
                "font": {"color": palette.text, "size": 12},
            },
            "showlegend": legend,
            "legend": {
                "orientation": "h",
                "x": 1,
                "xanchor": "right",
                "yref": "container",
                "y": 1,
                "yanchor": "top",
                "font": {"color": palette.text, "size": 12},
                "itemclick": "toggleothers",
            },
            "xaxis": {
                **axis,
                "type": "date",
                "showgrid": False,
                "range": [plotly_time(at[0]), plotly_time(at[-1] + timedelta(seconds=time_range.step_s))],
                "tickformatstops": [
                    {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
                    {"dtickrange": [60_000, 86_400_000], "value": "%H:%M\n%d %b"},
                    {"dtickrange": [86_400_000, None], "value": "%d %b"},
                ],
                "hoverformat": "%d %b %Y %H:%M UTC",
                "automargin": True,
                "nticks": 7,
            },
            "yaxis": {
                **axis,
                "rangemode": "tozero",
                "ticksuffix": suffix,
                "tickprefix": prefix,
                "tickformat": tickformat,
                "automargin": True,
                "nticks": 5,
            },
            "shapes": shapes,
            "annotations": annotations,
            **layout,
        },
    }


def plotly_time(moment: datetime) -> str:
    """Write a time as Plotly takes it."""
    # Plotly draws what it is given; a zone would be shifted to the reader's.
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
