"""A series over the band in which it was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptspan_server.ui.charts import Chart, framed, line, plotly_time
from promptspan_server.ui.theme import PALETTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import TimeRange
    from promptspan_server.ui.markers import Mark
    from promptspan_server.ui.theme import Mode


def against_expected(
    at: Sequence[datetime],
    lines: Mapping[str, Sequence[float | None]],
    time_range: TimeRange,
    mode: Mode,
    *,
    marks: Sequence[Mark] = (),
    since: tuple[datetime, datetime] | None = None,
    suffix: str = "",
    prefix: str = "",
    tickformat: str = "",
    hover: str = "%{y:.3~g}",
) -> Chart:
    """Draw a series over the band in which it was expected.

    Args:
        at: Starts of the hours.
        lines: `value`, `expected`, `low` and `high`, as long as `at`.
        time_range: What the axis shows.
        mode: Theme.
        marks: Versions and the like.
        since: The interval in which a change began.
        suffix: After the numbers of the axis.
        prefix: Before them.
        tickformat: D3 format of the axis.
        hover: D3 template of the hover text.
    """
    palette = PALETTES[mode]
    x = [plotly_time(moment) for moment in at]
    edge: Chart = {"type": "scatter", "mode": "lines", "x": x, "line": {"width": 0}, "hoverinfo": "skip"}
    band = [
        {**edge, "y": list(lines["low"]), "showlegend": False},
        {
            **edge,
            "y": list(lines["high"]),
            "fill": "tonexty",
            "fillcolor": f"{palette.ok}59",
            "name": "expected range of an hour",
        },
    ]
    drawn = [
        *band,
        line(at, lines["expected"], "expected", palette.muted, 1, hover),
        line(at, lines["value"], "observed", palette.series[0], 0, hover),
    ]
    drawn[2]["mode"] = "lines"
    chart = framed(
        drawn,
        mode,
        time_range,
        suffix=suffix,
        prefix=prefix,
        tickformat=tickformat,
        marks=marks,
    )
    if since is not None:
        # Where it began, as an interval: behind the lines.
        chart["layout"]["shapes"].append(
            {
                "type": "rect",
                "x0": plotly_time(since[0]),
                "x1": plotly_time(since[1]),
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"width": 0},
                "fillcolor": palette.bad,
                "opacity": 0.3,
                "layer": "below",
            }
        )
    return chart
