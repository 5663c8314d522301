"""Prompts: all of them, or one with its versions side by side."""

from __future__ import annotations

import streamlit as st

from promptspan_server.queries.choices import Choices
from promptspan_server.queries.markers import Markers
from promptspan_server.queries.prompts import PromptRow, Prompts
from promptspan_server.queries.scope import Filter
from promptspan_server.queries.series import CallsOverTime
from promptspan_server.queries.templates import Templates
from promptspan_server.queries.version_history import FirstCallRow, FirstCalls
from promptspan_server.queries.versions import Versions
from promptspan_server.ui import cache, links, markers, panels, version_panels, wording
from promptspan_server.ui.controls import NONE, View, choose, current_window, filters, window_controls
from promptspan_server.ui.frame import age_note, no_calls, opening, refreshing
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.template_diff import draw_templates

_FILTERS = ("feature", "environment", "model")


def show() -> None:
    """Draw the page."""
    window = current_window()
    if opening(window) is None:
        return
    choices = panels.shown(cache.ask_all(Choices(window.range))[0])
    offered = choices.rows[0] if choices else None
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        prompt = choose("prompt", offered.prompts if offered else (), "All prompts", wide=True)
        window_controls(window)
        chosen = filters(offered, *_FILTERS)
    narrowed = Filter(prompt, None, chosen.feature, chosen.environment, None, chosen.model)
    if prompt is None:
        refreshing(lambda: _list(View(current_window(), narrowed)), live=window.live)
        return
    refreshing(lambda: _one(prompt, View(current_window(), narrowed)), live=window.live)
    # Outside of what refreshes: reading a difference should not be interrupted.
    templates = panels.shown(cache.ask_all(Templates(prompt))[0])
    if templates is not None:
        draw_templates(templates)


def _one(prompt: str, view: View) -> None:
    versions, series, templates, history, noted = cache.ask_all(
        Versions(view.scope),
        CallsOverTime(view.scope, by_version=True),
        Templates(prompt),
        FirstCalls(prompt),
        Markers(view.window.range, environment=view.filter.environment, prompt=prompt),
    )
    known = panels.shown(templates)
    with st.container(key="headline"):
        st.text(prompt or "Calls without a prompt")
    about = next((row for row in known.rows if row.owner or row.description), None) if known else None
    if about is not None:
        st.text(
            " · ".join(
                part for part in (about.description, f"owner: {about.owner}" if about.owner else "") if part
            )
        )
    found = panels.shown(versions)
    age_note(view.window, found)
    if found is None:
        return
    if not found.rows:
        no_calls(links.PROMPT)
        return
    first_calls = panels.shown(history)
    since = {row.version: row.first_call for row in first_calls.rows} if first_calls else {}
    notes = panels.shown(noted)
    marks = markers.of_notes(notes.rows) if notes else ()
    version_panels.draw(found, panels.shown(series), since, view, marks)


def _list(view: View) -> None:
    found, history = cache.ask_all(Prompts(view.scope), FirstCalls())
    prompts, first_calls = panels.shown(found), panels.shown(history)
    age_note(view.window, prompts)
    if prompts is None:
        return
    if not prompts.rows:
        no_calls(links.PROMPT)
        return
    newest: dict[str, FirstCallRow] = {}
    for row in first_calls.rows if first_calls else ():
        if row.first_call < view.window.range.end:
            newest.setdefault(row.prompt, row)
    panels.heading("Prompts", prompts, "choose one to see its versions")
    table(
        [
            Column("Prompt", clip=True),
            Column("Versions", "Versions that ran in this range", "right"),
            Column("Newest version", clip=True),
            Column("Since, UTC", "First call of the newest version"),
            Column("Calls", "Model calls", "right"),
            Column("Failed", "Share of calls with status error", "right"),
            Column("p50", "Median duration", "right"),
            Column("p95", "95th percentile of duration", "right"),
            Column("Cost, USD", "Over the priced calls", "right"),
            Column("Priced", "Share of calls with a known cost", "right"),
            Column("Last call, UTC", "", "right"),
        ],
        [_row(row, newest.get(row.prompt), view) for row in prompts.rows],
        key="prompts_table",
        caption="Prompts with calls, failures, latency and cost",
    )


def _row(row: PromptRow, newest: FirstCallRow | None, view: View) -> list[Cell]:
    version = newest.version if newest else ""
    return [
        Cell(
            wording.name(row.prompt, "(no prompt)"),
            href=links.link(links.PROMPT, view.parameters(*_FILTERS), {"prompt": row.prompt or NONE}),
            sort=row.prompt,
            title=row.prompt,
        ),
        Cell(wording.exact(row.versions), sort=row.versions),
        Cell(wording.name(version, NONE), sort=version, title=version, mono=bool(version)),
        Cell(
            wording.moment(newest.first_call if newest else None),
            sort=newest.first_call.timestamp() if newest else None,
            tone="muted",
        ),
        Cell(wording.exact(row.spend.calls), sort=row.spend.calls),
        Cell(
            wording.share(row.error_rate),
            sort=row.error_rate,
            tone="bad" if row.error_rate >= 0.05 and row.errors > 2 else "" if row.errors else "muted",
        ),
        Cell(wording.duration(row.p50_ms), sort=row.p50_ms),
        Cell(wording.duration(row.p95_ms), sort=row.p95_ms),
        Cell(
            wording.usd(row.spend.usd),
            sort=None if row.spend.usd is None else float(row.spend.usd),
            title=f"{wording.usd_exact(row.spend.usd)}, {wording.coverage(row.spend)}",
        ),
        Cell(
            wording.share(row.spend.coverage),
            sort=row.spend.coverage,
            tone="" if row.spend.unpriced == 0 else "warn",
            title=wording.coverage(row.spend),
        ),
        Cell(wording.moment(row.last_seen), sort=row.last_seen.timestamp(), tone="muted"),
    ]
