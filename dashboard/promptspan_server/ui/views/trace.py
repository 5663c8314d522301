"""Trace: one call, told in the order in which questions come."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.queries.call import CallDetail, CallDetailRow
from promptspan_server.queries.scope import TimeRange
from promptspan_server.queries.trace import CallScores, CallText, TraceSpans
from promptspan_server.ui import cache, call_panels, links, panels, wording
from promptspan_server.ui.frame import amounts
from promptspan_server.ui.waterfall import draw_waterfall
from promptspan_server.ui.window import read_stamp

if TYPE_CHECKING:
    from promptspan_server.queries.connection import Answer

# A trace rarely lasts longer; `at` is the start of one of its calls.
_AROUND = timedelta(hours=6)
_WITHOUT_TIME = timedelta(days=31)
_ID_CHARACTERS = 64


def show() -> None:
    """Draw the page."""
    trace_id = st.query_params.get("trace", "").strip().lower()[:_ID_CHARACTERS]
    span_id = st.query_params.get("span", "").strip().lower()[:_ID_CHARACTERS]
    if not trace_id:
        _ask_for_one()
        return
    where = _where(st.query_params.get("at", ""))
    found, spans = cache.ask_all(CallDetail(trace_id, span_id, where), TraceSpans(trace_id, where))
    call, trace = panels.shown(found), panels.shown(spans)
    row = call.rows[0] if call is not None and call.rows else None
    if row is None and (trace is None or not trace.rows):
        _nothing(trace_id, where)
        return
    if row is not None and call is not None:
        _headline(row, call)
        call_panels.numbers(row)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if trace is not None:
            draw_waterfall(trace, row.span_id if row else span_id)
        if row is not None:
            _said(row, where)
    with right:
        if row is not None:
            call_panels.tokens(row)
            _judged(row, where)
            call_panels.facts(row)


def _headline(row: CallDetailRow, call: Answer[CallDetailRow]) -> None:
    with st.container(key="headline"):
        st.text(call_panels.verdict(row))
    st.caption(f"started **{wording.precise(row.at)} UTC** · data {panels.as_of(call)} · {amounts()}")


def _said(row: CallDetailRow, where: TimeRange) -> None:
    texts = panels.shown(cache.ask_all(CallText(row.trace_id, row.span_id, where))[0])
    if texts is not None:
        call_panels.conversation(texts)


def _judged(row: CallDetailRow, where: TimeRange) -> None:
    scores = panels.shown(cache.ask_all(CallScores(row.trace_id, row.span_id, row.response_id, where))[0])
    if scores is not None:
        call_panels.scores(scores)


def _where(at: str) -> TimeRange:
    try:
        moment = read_stamp(at)
    except ValueError:
        end = datetime.now(timezone.utc).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return TimeRange(end - _WITHOUT_TIME, end)
    return TimeRange(moment - _AROUND, moment + _AROUND)


def _ask_for_one() -> None:
    st.title("Which trace?", anchor=False)
    st.markdown("A trace is opened from a list, or by its id.")
    given = st.text_input("Trace id", placeholder="32 hexadecimal digits", width=360)
    if given:
        st.query_params["trace"] = given.strip()
        st.rerun()
    with st.container(horizontal=True):
        from promptspan_server.ui.navigation import pages

        st.page_link(pages()[links.TRACES], label="To the list of calls")


def _nothing(trace_id: str, where: TimeRange) -> None:
    with st.container(border=True, key="nothing"):
        st.markdown("**No span of this trace is in the store.**")
        st.text(f"Trace {trace_id}")
        st.text(
            f"Looked from {wording.moment(where.start)} to {wording.moment(where.end)} UTC. "
            "Spans are kept for two weeks, calls for longer; what was just sent arrives within seconds."
        )
