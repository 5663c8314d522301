"""Colours and sizes, once for Streamlit's own elements and once for charts, in both themes.

Every pair of text and ground has a contrast of at least 4.5 to 1. The categorical colours stay apart for
colour-blind readers on white (Okabe-Ito does not); charts add dashes and markers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["light", "dark"]

FONT = "Source Sans, system-ui, sans-serif"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme.

    Attributes:
        text: Text.
        muted: Secondary text.
        ground: Page.
        grid: Lines of a chart.
        ok: Calls that went well, a quiet mark.
        bad: Errors.
        warn: Flags and caution.
        good: Better than before.
        series: Categories, in the order of use.
    """

    text: str
    muted: str
    ground: str
    grid: str
    ok: str
    bad: str
    warn: str
    good: str
    series: tuple[str, ...]


PALETTES: dict[Mode, Palette] = {
    "light": Palette(
        text="#111111",
        muted="#4A5160",
        ground="#FFFFFF",
        grid="#E3E7EC",
        ok="#7E8CA6",
        bad="#B3261E",
        warn="#8A5300",
        good="#1B6E3C",
        series=("#31347E", "#741D00", "#28A865", "#BA81AF", "#8F81EE", "#563142"),
    ),
    "dark": Palette(
        text="#ECEFF4",
        muted="#AAB3C2",
        ground="#0F141B",
        grid="#262E3A",
        ok="#7F8DA8",
        bad="#FF8A80",
        warn="#F2B45C",
        good="#7BD89B",
        series=("#A8C7FA", "#F3A27E", "#5FD39A", "#E6B3DC", "#B9A8FF", "#D8C08A"),
    ),
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "x")


def theme_options() -> dict[str, str | int]:
    """Return Streamlit's theme options by name, for its command line."""
    light, dark = PALETTES["light"], PALETTES["dark"]
    options: dict[str, str | int] = {
        "theme.baseFontSize": 14,
        "theme.metricValueFontSize": "1.65rem",
        "theme.baseRadius": "0.4rem",
        "theme.paddingTop": "0.6rem",
        "theme.paddingBottom": "2rem",
        "theme.codeFontSize": "0.9rem",
        "theme.headingFontSizes": "1.4rem",
    }
    sides: dict[str, dict[str, str]] = {
        "light": {
            "primaryColor": "#0B57D0",
            "backgroundColor": light.ground,
            "secondaryBackgroundColor": "#F4F6F9",
            "textColor": light.text,
            "borderColor": "#D5DAE1",
            "linkColor": "#0B57D0",
        },
        "dark": {
            "primaryColor": "#A8C7FA",
            "backgroundColor": dark.ground,
            "secondaryBackgroundColor": "#19212B",
            "textColor": dark.text,
            "borderColor": "#323C4A",
            "linkColor": "#A8C7FA",
        },
    }
    for side, values in sides.items():
        options.update({f"theme.{side}.{name}": value for name, value in values.items()})
    return options
