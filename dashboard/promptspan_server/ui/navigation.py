"""The pages, and the way between them. The time window travels along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.ui import links
from promptspan_server.ui.controls import current_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.navigation.page import StreamlitPage


def pages() -> dict[str, StreamlitPage]:
    """Build the pages by the path of their address, in the order of the menu."""
    from promptspan_server.ui.views import health, overview, prompt, trace, traces

    return {
        path: _page(show, title, path)
        for path, title, show in (
            (links.OVERVIEW, "Overview", overview.show),
            (links.PROMPT, "Prompts", prompt.show),
            (links.TRACES, "Traces", traces.show),
            (links.TRACE, "Trace", trace.show),
            (links.HEALTH, "Health", health.show),
        )
    }


def bar(known: dict[str, StreamlitPage], current: StreamlitPage) -> None:
    """Draw the menu. Streamlit's own clears the address; this one keeps the time window."""
    st.html(f'<h1 class="promptspan-title">promptspan: {current.title}</h1>')
    parameters = current_window().navigation()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="menu"):
        st.markdown("**promptspan**", width="content")
        for path, page in known.items():
            # One call is reached from a list, not from the menu.
            if path != links.TRACE:
                st.page_link(page, query_params=parameters)


def _page(show: Callable[[], None], title: str, path: str) -> StreamlitPage:
    return st.Page(show, title=title, url_path=path or "overview", default=path == links.OVERVIEW)
