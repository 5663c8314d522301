"""Incident: where every alert's link leads, in the order of the first minute's questions."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.queries.alerts import Alerts
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.ui import alert_actions, cache, incident_panels, links, panels, wording
from promptspan_server.ui.frame import amounts, refreshing
from promptspan_server.ui.incident import Incident, verdict
from promptspan_server.ui.incident_report import report
from promptspan_server.ui.template_diff import unified_diff

if TYPE_CHECKING:
    from promptspan_server.queries.alerts import AlertRow
    from promptspan_server.queries.query import Query

_ID_CHARACTERS = 64


def show() -> None:
    """Draw the page."""
    cache.freshness()  # a store that does not answer is one panel, not one a part
    fingerprint = st.query_params.get("id", "").strip()[:_ID_CHARACTERS]
    found = panels.shown(cache.ask_all(Alerts(fingerprint=fingerprint))[0]) if fingerprint else None
    if found is None or not found.rows:
        _nothing(fingerprint)
        return
    live = found.rows[0].fires

    def asked() -> tuple[AlertRow, float] | None:
        answer = panels.shown(cache.ask_all(Alerts(fingerprint=fingerprint))[0])
        return (answer.rows[0], answer.asked_at_s) if answer is not None and answer.rows else None

    def first_line() -> None:
        answer = asked()
        if answer is not None:
            with st.container(key="headline"):
                st.text(verdict(answer[0]))

    def content() -> None:
        answer = asked()
        if answer is not None:
            _draw(Incident.of(answer[0], datetime.now(timezone.utc)), answer[1])

    refreshing(first_line, live=live)
    # Between the two, as a form that is drawn anew every 15 s forgets what was typed.
    alert_actions.draw(found.rows[0])
    refreshing(content, live=live)


def _draw(incident: Incident, asked_at_s: float) -> None:
    alert = incident.alert
    hit, notes = st.empty(), st.container()
    with notes:
        if alert.acked_by:
            st.text(f"{alert.acked_by} is on it. {alert.ack_comment}".strip())
        owner = f"{alert.owner} answers for {alert.labels.get('prompt_name', 'it')}." if alert.owner else ""
        said = [part for part in (alert.summary, alert.description, owner) if part]
        if said:
            st.text("\n".join(said))
        parts = [
            f"**{wording.moment(incident.during.start)} \u2013 {wording.moment(incident.during.end)} UTC**",
            alert.severity,
            "live, every 15 s" if alert.fires else "over",
            f"data {panels.as_of(asked_at_s)}",
            f"judged {wording.moment(alert.evaluated_at)} UTC",
            amounts(),
        ]
        st.caption(" · ".join(parts))
    asked = cache.ask_all(*incident.numbers(), *incident.changes())
    now, usual, first_seen, prices, markers = (panels.shown(each) for each in asked)
    if now is not None:
        with hit, st.container(key="verdict"):
            st.text(incident_panels.hit(now.rows[0]))
    changes = [row for each in (first_seen, prices) if each is not None for row in each.rows]
    rows = incident_panels.happened(changes, markers.rows if markers is not None else ())
    incident_panels.changed(incident, rows)
    five: list[tuple[str, str, str]] = []
    if now is not None and usual is not None:
        incident_panels.numbers(incident, now.rows[0], usual.rows[0])
        five = [
            (tile.label, value, before)
            for tile, value, before in incident_panels.five(incident, now.rows[0], usual.rows[0])
        ]
    questions: list[Query[Any]] = [incident.heat(), *incident.examples()]
    if incident.prompt:
        questions += incident.history()
    heat, bad, good, *history = (panels.shown(each) for each in cache.ask_all(*questions))
    if heat is not None:
        incident_panels.over_time(incident, heat, rows)
    before = history[0].rows[0] if history and history[0] is not None and history[0].rows else None
    where = incident.whereabouts(before[0] if before else None)
    incident_panels.where(where)
    incident_panels.traces(incident, bad, good)
    difference = ""
    if before is not None and history[1] is not None:
        previous, calls = before
        templates = history[1].rows
        incident_panels.way_back(incident, previous, calls, templates)
        versions = {row.version: row for row in reversed(templates) if row.template}
        if previous in versions and incident.version in versions:
            difference = unified_diff(versions[previous], versions[incident.version])
    said = () if isinstance(where, QueryFailed) else where
    near = [row for row in rows if incident.shown.start <= row[0] < incident.shown.end]
    st.download_button(
        "Export as Markdown",
        # Made when it is asked for: a file of every rerun would be gone while its link is still shown.
        partial(
            report,
            incident,
            numbers=five,
            happened=near,
            where=said,
            calls=bad.rows if bad is not None else (),
            difference=difference,
        ),
        file_name=f"incident-{alert.rule}-{incident.during.start:%Y%m%dT%H%MZ}.md",
        mime="text/markdown",
        key="download_report",
        icon=":material/download:",
        on_click="ignore",
    )


def _nothing(fingerprint: str) -> None:
    from promptspan_server.ui.navigation import pages

    with st.container(border=True, key="nothing"):
        if fingerprint:
            st.markdown(
                "**There is no such alert.** Alerts are kept for 90 days after they were last judged."
            )
            st.text(f"id {fingerprint}")
        else:
            st.markdown("**Which incident?** Every alert's link leads to its own.")
        st.page_link(pages()[links.ALERTS], label="To the alerts", icon=":material/notifications:")
