"""Traces: the list of single calls, searched and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.queries.calls import MAX_ROWS, CallRow, CallSearch
from promptspan_server.queries.choices import Choices
from promptspan_server.queries.scope import Filter
from promptspan_server.queries.versions import Versions
from promptspan_server.ui import cache, links, panels, wording
from promptspan_server.ui.controls import NONE, View, choose, current_window, filters, window_controls
from promptspan_server.ui.frame import age_note, no_calls, opening, refreshing
from promptspan_server.ui.table import Cell, Column, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.choices import ChoicesRow
    from promptspan_server.ui.window import Window

_ORDERS = ("newest", "slowest", "dearest")
_SLOW = {"1s": 1_000.0, "2s": 2_000.0, "5s": 5_000.0, "10s": 10_000.0, "30s": 30_000.0, "60s": 60_000.0}
_WHY_NO_COST = {"unpriced": "no price for this model", "no_usage": "no usage reported"}


def show() -> None:
    """Draw the page."""
    window = current_window()
    if opening(window) is None:
        return
    choices = panels.shown(cache.ask_all(Choices(window.range))[0])
    offered = choices.rows[0] if choices else None
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        window_controls(window)
        chosen = _filters(offered, window)
    with st.container(horizontal=True, vertical_alignment="center", key="search"):
        errors_only = st.toggle("Failed only", key="errors", bind="query-params")
        flag = choose("flag", offered.flags if offered else (), "Any safety flag")
        slow = choose("slow", tuple(_SLOW), "Any duration")
        identifier = st.text_input(
            "Trace, span or response id",
            key="id",
            bind="query-params",
            placeholder="Trace, span or response id",
            label_visibility="collapsed",
            width=260,
        )
        # Words of a prompt stay out of the address: it is copied, logged and kept in histories.
        words = st.text_input(
            "Words in the captured prompt",
            key="words",
            placeholder="Words in the captured prompt",
            label_visibility="collapsed",
            width=230,
        )
        order = st.segmented_control(
            "Order",
            _ORDERS,
            default="newest",
            required=True,
            key="order",
            bind="query-params",
            label_visibility="collapsed",
        )

    def content() -> None:
        view = View(current_window(), chosen)
        search = CallSearch(
            view.scope,
            errors_only=errors_only,
            flag=flag,
            slower_than_ms=_SLOW.get(slow or ""),
            identifier=(identifier or "").strip() or None,
            words=(words or "").strip() or None,
            order=str(order or "newest"),
        )
        _list(search, view)

    refreshing(content, live=window.live)


def _filters(offered: ChoicesRow | None, window: Window) -> Filter:
    prompt = choose("prompt", offered.prompts if offered else (), "All prompts")
    version = None
    if prompt is not None:
        versions = panels.shown(cache.ask_all(Versions(View(window, Filter(prompt=prompt)).scope))[0])
        version = choose(
            "version", [row.version for row in versions.rows] if versions else (), "All versions"
        )
    rest = filters(offered, "feature", "environment", "model")
    return Filter(prompt, version, rest.feature, rest.environment, None, rest.model)


def _list(search: CallSearch, view: View) -> None:
    calls = panels.shown(cache.ask_all(search)[0])
    age_note(view.window, calls)
    if calls is None:
        return
    if not calls.rows:
        no_calls(links.TRACES)
        return
    rows = calls.rows[:MAX_ROWS]
    more = len(calls.rows) > MAX_ROWS
    panels.heading(
        f"{'The first ' if more else ''}{wording.counted(len(rows), 'call')}",
        calls,
        "there are more: narrow the filters or the range" if more else "",
    )
    draw_calls(rows, key="calls_table")


def draw_calls(rows: Sequence[CallRow], *, key: str) -> None:
    """Draw a table of calls, each leading to its trace."""
    table(
        [
            Column("Start, UTC"),
            Column("Prompt", clip=True),
            Column("Version", clip=True),
            Column("Feature", clip=True),
            Column("Model", clip=True),
            Column("Status"),
            Column("Duration", "", "right"),
            Column("Tokens in", "Input tokens, all kinds", "right"),
            Column("Tokens out", "Output tokens, all kinds", "right"),
            Column("Cost, USD", "", "right"),
            Column("Flags", clip=True),
        ],
        [_row(row) for row in rows],
        key=key,
        caption="Model calls, each leading to its trace",
    )


def _row(row: CallRow) -> list[Cell]:
    return [
        Cell(
            wording.precise(row.at),
            href=links.trace_link(row.trace_id, row.span_id, row.at),
            sort=row.at.timestamp(),
            title=f"Trace {row.trace_id}",
        ),
        Cell(
            wording.name(row.prompt, "(no prompt)"),
            sort=row.prompt,
            tone="" if row.prompt else "muted",
            title=row.prompt,
        ),
        Cell(wording.name(row.version, NONE), sort=row.version, mono=bool(row.version), title=row.version),
        Cell(
            wording.name(row.feature, NONE),
            sort=row.feature,
            tone="" if row.feature else "muted",
            title=row.feature,
        ),
        Cell(row.model or wording.UNKNOWN, sort=row.model, title=row.model),
        Cell(
            f"{row.status}: {wording.error_name(row.error_type)}" if row.error_type else row.status,
            sort=row.status,
            tone="bad" if row.status == "error" else "warn" if row.status != "ok" else "muted",
            title=row.error_type,
        ),
        Cell(wording.duration(row.duration_ms), sort=row.duration_ms),
        Cell(wording.exact(row.input_tokens), sort=row.input_tokens),
        Cell(wording.exact(row.output_tokens), sort=row.output_tokens),
        Cell(
            wording.usd(row.cost_usd),
            sort=None if row.cost_usd is None else float(row.cost_usd),
            title=wording.usd_exact(row.cost_usd)
            if row.cost_usd is not None
            else _WHY_NO_COST.get(row.price_status, ""),
        ),
        Cell(
            ", ".join(row.flags),
            sort=", ".join(row.flags),
            tone="warn" if row.flags else "",
            title=", ".join(row.flags),
        ),
    ]
