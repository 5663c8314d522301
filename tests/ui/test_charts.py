from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import plotly.graph_objects as go
import pytest

from promptspan_server.queries.incident import HeatCell
from promptspan_server.queries.scope import TimeRange
from promptspan_server.queries.series import Point
from promptspan_server.store.markers import Marker
from promptspan_server.ui import charts, incident_charts
from promptspan_server.ui.drift_chart import against_expected
from promptspan_server.ui.markers import Mark, of_notes
from promptspan_server.ui.theme import PALETTES
from promptspan_server.ui.version_panels import MEASURES
from ui.seed import HOSTILE

START = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
HOUR = TimeRange(START, START + timedelta(hours=1))


def point(minute: int, version: str = "", calls: int = 10, cost: str | None = "0.5") -> Point:
    at = START + timedelta(minutes=minute)
    priced = 0 if cost is None else calls
    return Point(at, version, calls, 2, 1, 400.0, 1_500.0, None if cost is None else Decimal(cost), priced)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_chart_is_a_figure_that_plotly_accepts(mode: str) -> None:
    theme = "dark" if mode == "dark" else "light"
    points = [point(0, "v1"), point(20, "v2")]
    drawn = [
        charts.calls_and_errors(points, HOUR, theme),
        charts.latency(points, HOUR, theme),
        charts.cost(points, HOUR, theme),
        charts.calls_by_minute([START], [3], HOUR, theme),
        against_expected(
            [START, START + timedelta(minutes=30)],
            {"value": [1.0, None], "expected": [None, 1.0], "low": [None, 0.5], "high": [None, 2.0]},
            HOUR,
            theme,
            marks=[Mark(START + timedelta(minutes=20), "v2", "first call of v2")],
            since=(START, START + timedelta(minutes=10)),
        ),
        *(charts.by_version(points, ["v1", "v2"], HOUR, theme, one.value) for one in MEASURES.values()),
    ]
    for chart in drawn:
        assert go.Figure(chart).to_dict()["data"]


def test_versions_are_marked_where_they_first_ran_and_those_close_together_share_a_mark() -> None:
    marks = [
        Mark(START + timedelta(minutes=minute), version, f"first call of {version}")
        for minute, version in ((-5, "v0"), (20, HOSTILE), (21, "v2"), (40, "v3"), (60, "v4"))
    ]
    layout = charts.latency([point(0)], HOUR, "light", marks)["layout"]
    assert [shape["x0"][11:16] for shape in layout["shapes"]] == ["12:20", "12:40"]
    first, second = layout["annotations"]
    assert first["text"].endswith(" +1")
    assert "first call of v2" in first["hovertext"]
    assert "<img" not in first["text"] + first["hovertext"]
    assert second["text"] == "v3"


def test_failed_and_succeeded_calls_add_up_to_the_calls() -> None:
    failed, succeeded = charts.calls_and_errors([point(20)], HOUR, "light")["data"]
    assert sum(failed["y"]) == 2
    assert sum(succeeded["y"]) == 8
    assert len(failed["x"]) == 60


def test_a_bucket_without_calls_is_a_gap_in_a_line_and_not_a_zero() -> None:
    p95, _ = charts.latency([point(0), point(30)], HOUR, "light")["data"]
    assert p95["y"][0] == p95["y"][30] == 1.5
    assert p95["y"][1] is None
    assert p95["connectgaps"] is False


def test_versions_differ_by_dash_and_marker_beside_colour() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    lines = charts.by_version(
        [point(0, name) for name in names], names, HOUR, "light", lambda one: one.calls
    )["data"]
    for what in ("dash", "color"):
        assert len({line["line"][what] for line in lines}) == 6
    assert len({line["marker"]["symbol"] for line in lines}) == 6


def test_an_unknown_cost_is_not_drawn_as_zero() -> None:
    value = MEASURES["cost"].value
    assert value(point(0, cost=None)) is None
    assert value(point(0, calls=10, cost="0.5")) == pytest.approx(0.05)


def test_names_reach_plotly_without_its_markup() -> None:
    (line,) = charts.by_version([point(0, HOSTILE)], [HOSTILE], HOUR, "light", lambda one: one.calls)["data"]
    assert "<" not in line["name"]
    assert line["y"][0] == 10


def test_counts_over_part_of_a_bucket_are_left_out_where_asked() -> None:
    cut = TimeRange(START + timedelta(seconds=30), START + timedelta(minutes=60))
    (line,) = charts.by_version(
        [point(0, "v"), point(1, "v")], ["v"], cut, "light", lambda one: one.calls, whole_buckets=True
    )["data"]
    assert line["y"][:2] == [None, 10]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, by WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_marks_stand_out_from_the_ground(mode: str) -> None:
    palette = PALETTES["dark" if mode == "dark" else "light"]
    for text in (palette.text, palette.muted, palette.bad, palette.warn, palette.good):
        assert contrast(text, palette.ground) >= 4.5
    for colour in (palette.ok, *palette.series):
        assert contrast(colour, palette.ground) >= 3


def test_notes_are_text_on_the_chart_whatever_they_say() -> None:
    note = Marker("1", HOUR.start + timedelta(minutes=5), "deploy", HOSTILE)
    chart = charts.latency([point(0)], HOUR, "light", of_notes([note]))
    [drawn] = chart["layout"]["annotations"]
    assert "<" not in drawn["text"]
    assert "<img" not in drawn["hovertext"]


def test_a_heat_map_has_a_row_for_every_duration_and_the_alerts_time_shaded() -> None:
    cells = [HeatCell(HOUR.start, 4, 3, 1), HeatCell(HOUR.start, 9, 1, 0)]
    chart = incident_charts.latency_heat(cells, HOUR, "dark", HOUR, [])
    [heat] = chart["data"]
    assert len(heat["z"]) == 6
    assert [row[0] for row in heat["z"]] == [3, None, None, None, None, 1]
    assert chart["layout"]["shapes"][0]["type"] == "rect"
    assert incident_charts.latency_heat([], HOUR, "dark", HOUR, [])["data"]
    failed, succeeded = incident_charts.failures(cells, HOUR, "light", HOUR, [])["data"]
    assert (failed["y"][0], succeeded["y"][0]) == (1, 3)
