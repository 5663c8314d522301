"""Alerts: what fires first, then what is pending, blind or over; silences; whether anybody watches."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.alerts.memory import Silences, States
from promptspan_server.alerts.silences import Silence, muted_by
from promptspan_server.queries.alerts import MAX_ALERTS, Alerts, SilencesNow, Watch
from promptspan_server.ui import alert_actions, cache, links, panels, wording
from promptspan_server.ui.frame import refreshing
from promptspan_server.ui.incident import about
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.writing import writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from promptspan_server.queries.alerts import AlertRow, SilenceRow, WatchRow
    from promptspan_server.ui.table import Tone

# Rules are evaluated every few seconds; a minute of silence is not normal, five are an outage of ours.
LATE_S = 300
_MAX_ROWS = 50
_TONES: dict[str, Tone] = {"firing": "bad", "recovering": "warn", "pending": "warn"}


def show() -> None:
    """Draw the page."""
    cache.freshness()  # a store that does not answer is one panel, not one a part
    refreshing(_content, live=True)
    silences = panels.shown(cache.ask_all(SilencesNow())[0])
    if silences is not None:
        _silences(silences.rows)


def _content() -> None:
    asked = cache.ask_all(Alerts(), Watch(), States(active=True), Silences())
    alerts, watch, states, silences = (panels.shown(each) for each in asked)
    if watch is not None:
        draw_watch(watch.rows[0])
    if alerts is None:
        return
    firing = [row for row in alerts.rows if row.fires]
    with st.container(key="verdict"):
        st.text(in_words(alerts.rows))
    panels.heading("Alerts", alerts, "firing first; each leads to its incident")
    if not alerts.rows:
        panels.quiet("No rule has found anything.")
        return
    rows = [*firing, *(row for row in alerts.rows if not row.fires)][:_MAX_ROWS]
    untold: Mapping[str, str] = {}
    if states is not None and silences is not None:
        untold = muted_by(states.rows, silences.rows, (), datetime.now(timezone.utc))
    draw_alerts(rows, key="alerts_table", untold=untold)
    if len(alerts.rows) > _MAX_ROWS:
        least = "at least " if len(alerts.rows) == MAX_ALERTS else ""
        panels.quiet(f"{least}{len(alerts.rows) - _MAX_ROWS} more: promptspan alerts list shows all.")


def in_words(rows: Sequence[AlertRow]) -> str:
    """Say what there is to look at."""
    firing = [row for row in rows if row.fires]
    if not firing:
        return "Nothing fires."
    pages = sum(row.severity == "page" for row in firing)
    parts = [
        wording.counted(number, word)
        for number, word in ((pages, "page"), (len(firing) - pages, "ticket"))
        if number
    ]
    new = [row for row in firing if not row.acked_by]
    of_them = "them" if len(new) == len(firing) else f"{wording.count(len(new))} of them"
    waiting = f"; nobody is on {of_them}" if new else "; somebody is on all of them"
    return f"{' and '.join(parts)} firing{waiting}."


def draw_alerts(rows: Sequence[AlertRow], *, key: str, untold: Mapping[str, str] | None = None) -> None:
    """Draw a table of alerts, each leading to its incident.

    Args:
        rows: The alerts.
        key: Unique on the page.
        untold: By fingerprint, why nobody is told of it.
    """
    table(
        [
            Column("State"),
            Column("Alert"),
            Column("About", clip=True),
            Column("Value", "", "right"),
            Column("Against", "The threshold", "right"),
            Column("Since, UTC"),
            Column("On it", clip=True),
            Column("What", clip=True),
        ],
        [_row(row, (untold or {}).get(row.fingerprint, "")) for row in rows],
        key=key,
        caption="Alerts, each leading to its incident",
    )


def draw_watch(watch: WatchRow) -> None:
    """Say it if nobody watches, or if what watches cannot see: an empty list would look like peace."""
    if watch.newest is None:
        st.warning(
            "No rule has been evaluated here yet. Start it: promptspan alerts run.",
            icon=":material/visibility_off:",
        )
        return
    if watch.wrong_files:
        st.error(
            "**Files of rules or destinations are wrong.** What was said before holds until each is mended.",
            icon=":material/rule:",
        )
        _as_it_is(watch.wrong_files)
    age_s = (datetime.now(timezone.utc) - watch.newest).total_seconds()
    if age_s > LATE_S:
        st.error(
            f"Nobody watches: the newest evaluation is {wording.age(age_s)} old. What is shown may be over,"
            " and what has begun since is missing.",
            icon=":material/visibility_off:",
        )
    elif watch.blind:
        st.warning(
            f"{wording.counted(len(watch.blind), 'rule')} of {watch.rules} cannot see the data:"
            " silence says nothing there.",
            icon=":material/visibility_off:",
        )
        _as_it_is("\n".join(f"{rule}: {why}" for rule, why in watch.blind.items()))


def _as_it_is(text: str) -> None:
    # Names of files and what a store answers are no markup.
    st.code(text, language=None, wrap_lines=True)


def _row(row: AlertRow, untold: str) -> list[Cell]:
    since = row.starts_at or row.active_since
    lasts_s = (
        (datetime.now(timezone.utc) - since).total_seconds() if since is not None and row.fires else None
    )
    state = f"{row.phase}, {row.blind.replace('_', ' ')}" if row.blind else row.phase
    return [
        Cell(state, sort=state, tone=_TONES.get(row.phase, "muted"), strong=row.fires, sub=untold),
        Cell(row.rule, href=links.incident_link(row.fingerprint), sort=row.rule, sub=row.severity),
        Cell(about(row), sort=about(row), title=about(row)),
        Cell(wording.measure(row.value, row.unit), sort=row.value),
        Cell(wording.measure(row.threshold, row.unit), sort=row.threshold, tone="muted"),
        Cell(
            wording.moment(since),
            sort=(since or row.began).timestamp(),
            sub="" if lasts_s is None else f"{wording.age(lasts_s)} ago",
        ),
        Cell(row.acked_by, sort=row.acked_by, title=row.ack_comment),
        Cell(row.summary, title=row.summary, tone="muted"),
    ]


def _silences(rows: Sequence[SilenceRow]) -> None:
    panels.heading("Silences", note="what is not told, by whom, until when")
    if rows:
        table(
            [
                Column("Mutes", clip=True),
                Column("From, UTC"),
                Column("Until, UTC"),
                Column("By"),
                Column("Why", clip=True),
                Column("Id"),
            ],
            [
                [
                    Cell(_matchers(row), title=_matchers(row)),
                    Cell(wording.moment(row.starts_at), sort=row.starts_at.timestamp()),
                    Cell(wording.moment(row.ends_at), sort=row.ends_at.timestamp()),
                    Cell(row.author),
                    Cell(row.comment, title=row.comment),
                    Cell(row.id, mono=True),
                ]
                for row in rows[:_MAX_ROWS]
            ],
            key="silences_table",
            caption="Silences",
        )
    else:
        panels.quiet("Nothing is silenced.")
    if rows and writer(alert_actions.WRITER_VARIABLE) is not None:
        _end_one(rows)


def _end_one(rows: Sequence[SilenceRow]) -> None:
    by_id = {row.id: row for row in rows}
    with st.popover("End a silence", icon=":material/notifications_active:"), st.form("end", border=False):
        chosen = st.selectbox("Silence", list(by_id))
        sent = st.form_submit_button("End it now")
    if sent and chosen:
        row = by_id[str(chosen)]
        alert_actions.end_silence(
            Silence(row.id, row.matchers, row.starts_at, row.ends_at, row.author, row.comment)
        )


def _matchers(row: SilenceRow) -> str:
    return ", ".join(f"{name} = {value}" for name, value in row.matchers.items())
