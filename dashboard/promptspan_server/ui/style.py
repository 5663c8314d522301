"""What the theme cannot say: spacing, and sizes of our own headings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.ui.component import mode
from promptspan_server.ui.theme import PALETTES

if TYPE_CHECKING:
    from promptspan_server.ui.theme import Mode

_ASSETS = Path(__file__).with_name("assets")
ICON = str(_ASSETS / "icon.svg")


def apply() -> None:
    """Add the style sheet to the page. It is a constant of ours: no data ever enters markup."""
    st.html(_sheet(mode()))


@cache
def _sheet(mode: Mode) -> str:
    palette = PALETTES[mode]
    colours = {"good": palette.good, "bad": palette.bad, "text": palette.text, "line": palette.grid}
    variables = "".join(f"--promptspan-{name}: {value};" for name, value in colours.items())
    return f"<style>:root {{ {variables} }}\n{(_ASSETS / 'page.css').read_text()}</style>"
