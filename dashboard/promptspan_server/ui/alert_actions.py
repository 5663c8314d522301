"""What people say to an alert from its page: I am on it; be quiet until then.

Written as the user of `PROMPTSPAN_ALERTS_URL` (see `writing`); without one the command is shown instead.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.alerts import memory
from promptspan_server.alerts.silences import Ack, Silence, new_id
from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
from promptspan_server.ui import wording
from promptspan_server.ui.writing import writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from promptspan_server.queries.alerts import AlertRow
    from promptspan_server.queries.connection import Store

WRITER_VARIABLE = "PROMPTSPAN_ALERTS_URL"
_LENGTHS = {
    "30 minutes": timedelta(minutes=30),
    "2 hours": timedelta(hours=2),
    "8 hours": timedelta(hours=8),
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
}


def draw(alert: AlertRow) -> None:
    """Draw the choices for one alert."""
    if writer(WRITER_VARIABLE) is None:
        st.text(f"This dashboard only reads. Set {WRITER_VARIABLE} for it, or say it on the command line:")
        print_ = shlex.quote(alert.fingerprint)
        st.code(
            f"promptspan alerts ack {print_}\npromptspan alerts silence --fingerprint {print_}",
            language="bash",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", key="actions"):
        if alert.fires:
            with st.popover("Acknowledge", icon=":material/front_hand:"):
                _acknowledge(alert)
        with st.popover("Silence", icon=":material/notifications_off:"):
            silence_form(
                {"rule": alert.rule, **{name: value for name, value in alert.labels.items() if value}},
                key="silence_one",
            )
        if alert.runbook:
            # An address of the rule file's author; http(s) by the schema of rules.
            st.link_button("Runbook", alert.runbook, icon=":material/menu_book:")


def _acknowledge(alert: AlertRow) -> None:
    with st.form("ack", border=False):
        author = _author("ack_author")
        comment = st.text_input("What you are doing", max_chars=500, placeholder="optional")
        sent = st.form_submit_button("I am on it", type="primary")
    if not sent:
        return
    if not author.strip():
        st.error("Say who you are.")
        return
    assert alert.starts_at is not None
    ack = Ack(alert.fingerprint, alert.starts_at, author.strip(), comment.strip(), _now())
    _write(lambda store: memory.acknowledge(store, ack), "Acknowledged: no reminders of this firing.")


def silence_form(matchers: Mapping[str, str], *, key: str) -> None:
    """Draw the form that silences what matches.

    Args:
        matchers: Labels (or rule, severity) and their values, shown and silenced as they are.
        key: Unique on the page.
    """
    with st.form(key, border=False):
        st.text("Mutes: " + ", ".join(f"{name} = {value}" for name, value in matchers.items()))
        author = _author(f"{key}_author")
        length = st.selectbox("For", list(_LENGTHS), index=1)
        comment = st.text_input("Why", max_chars=500)
        sent = st.form_submit_button("Silence", type="primary")
    if not sent:
        return
    if not author.strip() or not comment.strip():
        st.error("Say who you are, and why: others will wonder.")
        return
    now = _now()
    end = now + _LENGTHS[str(length)]
    silenced = Silence(new_id(), dict(matchers), now, end, author.strip(), comment.strip())
    _write(lambda store: memory.silence(store, silenced, now), f"Silent until {wording.moment(end)} UTC.")


def end_silence(silence: Silence) -> None:
    """End a silence now."""
    now = _now()
    _write(lambda store: memory.silence(store, replace(silence, ends_at=now), now), "The silence has ended.")


def _author(key: str) -> str:
    # Whoever wrote it once in this session need not again.
    known = st.session_state.get("author", "")
    given = st.text_input("You", value=known, max_chars=100, key=key, placeholder="name")
    if given:
        st.session_state["author"] = given
    return given or ""


def _write(write: Callable[[Store], None], said: str) -> None:
    store = writer(WRITER_VARIABLE)
    if store is None:
        return
    try:
        write(store)
    except (QueryFailed, StoreUnreachable) as error:
        st.error(str(error))
        return
    st.cache_data.clear()
    st.toast(said)
    st.rerun()


def _now() -> datetime:
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
