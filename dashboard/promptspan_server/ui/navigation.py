"""The pages, and the way between them. The time window travels along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from promptspan_server.ui import links
from promptspan_server.ui.controls import current_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.navigation.page import StreamlitPage


def pages() -> dict[str, StreamlitPage]:
    """Build the pages by the path of their address, in the order of the menu."""
    titles = {
        links.OVERVIEW: "Overview",
        links.ALERTS: "Alerts",
        links.INCIDENT: "Incident",
        links.PROMPT: "Prompts",
        links.DRIFT: "Drift",
        links.TRACES: "Traces",
        links.TRACE: "Trace",
        links.SPEND: "Spend",
        links.CLOSE: "Close",
        links.HEALTH: "Health",
    }
    views = _views()
    return {
        path: st.Page(views[path], title=title, url_path=path or "overview", default=path == links.OVERVIEW)
        for path, title in titles.items()
    }


def is_unknown(known: dict[str, StreamlitPage], current: StreamlitPage) -> bool:
    """Tell whether the address names a page that does not exist; Streamlit shows the first one then."""
    context = get_script_run_ctx()
    named = (context.pages_manager.intended_page_name or "") if context is not None else ""
    return current is known[links.OVERVIEW] and named.strip("/") not in {links.OVERVIEW, "overview"}


def show(page: StreamlitPage) -> None:
    """Draw a page.

    Not by `page.run()`: that ties a filter to its page, and Streamlit takes a parameter that is tied to the
    page one comes from out of the address of the page one goes to. Filters of one name are one filter here.
    """
    _views()[page.url_path]()


def bar(known: dict[str, StreamlitPage], current: StreamlitPage) -> None:
    """Draw the menu. Streamlit's own clears the address; this one keeps the time window."""
    st.html(f'<h1 class="promptspan-title">promptspan: {current.title}</h1>')
    parameters = current_window().navigation()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="menu"):
        st.markdown("**promptspan**", width="content")
        for path, page in known.items():
            # One call and one incident are reached from a list, not from the menu.
            if path not in {links.TRACE, links.INCIDENT}:
                st.page_link(page, query_params=parameters)


def _views() -> dict[str, Callable[[], None]]:
    from promptspan_server.ui.views import (
        alerts,
        close,
        drift,
        health,
        incident,
        overview,
        prompt,
        spend,
        trace,
        traces,
    )

    return {
        links.OVERVIEW: overview.show,
        links.ALERTS: alerts.show,
        links.INCIDENT: incident.show,
        links.PROMPT: prompt.show,
        links.DRIFT: drift.show,
        links.TRACES: traces.show,
        links.TRACE: trace.show,
        links.SPEND: spend.show,
        links.CLOSE: close.show,
        links.HEALTH: health.show,
    }
