"""Our own elements: a style sheet and a script of ours, to which data travels as data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
import streamlit.components.v2 as components

from promptspan_server.ui.theme import PALETTES

if TYPE_CHECKING:
    from promptspan_server.ui.theme import Mode

_ASSETS = Path(__file__).with_name("assets")


def mode() -> Mode:
    """Return the theme that the reader's browser shows."""
    return "dark" if st.context.theme.type == "dark" else "light"


@cache
def component(name: str, theme: Mode) -> Any:
    """Return the element called `name`, made of `assets/{name}.js` and `.css`, in the colours of a theme."""
    palette = PALETTES[theme]
    colours = {
        "muted": palette.muted,
        "ok": palette.ok,
        "bad": palette.bad,
        "warn": palette.warn,
        "good": palette.good,
    }
    variables = "".join(f"--{colour}: {value};" for colour, value in colours.items())
    return components.component(
        f"promptspan.{name}.{theme}",
        html='<div class="root"></div>',
        css=f":host {{ {variables} }}\n{(_ASSETS / f'{name}.css').read_text()}",
        js=(_ASSETS / f"{name}.js").read_text(),
    )
