"""Drift: which versions no longer do what they have been doing, since when, and who changed what."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.analysis.course import course_of
from promptspan_server.analysis.drift_words import (
    amount,
    change,
    change_of_setting,
    label,
    name,
    sentence,
    summary,
    when,
)
from promptspan_server.analysis.findings import Wanted
from promptspan_server.queries.calls import CallRow, CallSearch
from promptspan_server.queries.choices import Choices
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.queries.drift import VersionHours
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.version_history import FirstCalls
from promptspan_server.ui import cache, links, markers, panels, wording
from promptspan_server.ui.component import mode
from promptspan_server.ui.controls import NONE, View, choose, filters, now, window_controls
from promptspan_server.ui.drift_chart import against_expected
from promptspan_server.ui.frame import age_note, opening, refreshing
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.window import PARAMETER, Window, interval, read_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.analysis.findings import Finding
    from promptspan_server.analysis.observed import Observed

_DEFAULT = "7d"
_LONGEST = timedelta(days=31)
_ROWS = 50
_TRACES = 5
_GRID_S = 300
_WORST_FIRST = {"latency": "slowest", "latency_tail": "slowest", "cost": "dearest"}


def show() -> None:
    """Draw the page."""
    window = _window()
    if opening(window) is None:
        return
    choices = panels.shown(cache.ask_all(Choices(window.range))[0])
    offered = choices.rows[0] if choices else None
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        prompt = choose("prompt", offered.prompts if offered else (), "All prompts", wide=True)
        window_controls(window)
        chosen = filters(offered, "environment")
        with st.popover("Sensitivity", icon=":material/tune:", help="What counts as drift"):
            tolerated = st.number_input(
                "False alarms tolerated in a week",
                min_value=0.01,
                max_value=100.0,
                value=1.0,
                step=0.5,
                key="tolerated",
                bind="query-params",
                help="Over all series together.",
            )
            smallest = st.number_input(
                "Smallest change that matters, %",
                min_value=1.0,
                max_value=500.0,
                value=10.0,
                step=5.0,
                key="smallest",
                bind="query-params",
                help="Of latency, tokens and cost. Rates matter from five times that, shares from 0.3 of it "
                "in points.",
            )
    narrowed = Filter(prompt=prompt, environment=chosen.environment)
    wanted = Wanted(float(tolerated), float(smallest) / 100)
    refreshing(lambda: _content(View(_window(), narrowed), wanted), live=window.live)


def _window() -> Window:
    # A day says little about drift: without a choice the page judges a week.
    return read_window(st.query_params.get(PARAMETER) or _DEFAULT, now())


def _content(view: View, wanted: Wanted) -> None:
    judged = view.window.range
    if judged.length > _LONGEST:
        st.warning(
            "Drift is judged over at most 31 days: these are the last of the range.",
            icon=":material/schedule:",
        )
        judged = TimeRange(judged.end - _LONGEST, judged.end)
    # Sessions share an answer for five minutes.
    end = datetime.fromtimestamp(-(-judged.end.timestamp() // _GRID_S) * _GRID_S, timezone.utc)
    question = VersionHours(
        TimeRange(judged.start.replace(minute=0, second=0, microsecond=0), end), view.filter
    )
    answer = cache.drift(question, wanted)
    age_note(view.window, None)
    if isinstance(answer, QueryFailed):
        panels.failed(answer)
        return
    found, observed, asked_at_s = answer
    shown = [each for each in found.findings if each.verdict != "stable"][:_ROWS] or list(
        found.findings[:_ROWS]
    )
    chosen = _chosen(found.findings)
    with st.container(key="verdict"):
        st.text(summary(found))
        for each in found.drifting[:3]:
            st.text(sentence(each))
    if not found.findings:
        return
    thin = sum(each.verdict == "too little data" for each in found.findings)
    stable = sum(each.verdict == "stable" for each in found.findings)
    note = f"{len(found.drifting)} drift, {thin} with too little data, {stable} stable"
    panels.heading("Findings", asked_at_s, note)
    table(
        _columns(),
        [_row(each, view) for each in shown],
        key="findings",
        caption="Drift by version and signal",
    )
    if chosen is not None:
        _course(chosen, observed)
        _traces(chosen, view, end)


def _chosen(findings: Sequence[Finding]) -> Finding | None:
    """The finding that the address names, else the strongest."""
    signal, version = st.query_params.get("signal"), st.query_params.get("of")
    for each in findings:
        if signal == each.signal and version == _key(each):
            return each
    return next((each for each in findings if each.verdict != "too little data"), None)


def _key(finding: Finding) -> str:
    version = finding.who.version
    return f"{finding.who.prompt}@{'*' if version is None else version}"


def _columns() -> list[Column]:
    return [
        Column(
            "Verdict", "drift: differs from its own past by more than chance and by more than what matters"
        ),
        Column("Prompt", clip=True),
        Column("Version", clip=True),
        Column("Signal", clip=True),
        Column("Value", "Since the change, else over the judged time", "right"),
        Column("Expected", "What its own past makes expect in the same hours", "right"),
        Column("Change and interval", "95 %", "right"),
        Column("Since, UTC", "With its 95 % interval"),
        Column("Calls", "Since the change", "right"),
        Column("What else changed", clip=True),
    ]


def _row(each: Finding, view: View) -> list[Cell]:
    bad = each.verdict == "drift" and each.worse is not False
    href = ""
    if each.verdict != "too little data":
        href = links.link(links.DRIFT, _address(view), {"signal": each.signal, "of": _key(each)})
    since = when(each).removeprefix(" since ").replace(" UTC", "")
    changed = ", ".join(change_of_setting(one) for one in each.changed)
    if each.verdict == "drift" and not changed:
        changed = "nothing that is recorded"
    return [
        Cell(
            each.verdict,
            sort=each.verdict,
            tone="bad" if bad else "muted" if each.verdict != "drift" else "",
            strong=bad,
        ),
        Cell(each.who.prompt, sort=each.who.prompt, title=each.who.prompt),
        _version(each),
        Cell(label(each), href=href, sort=each.signal, title=sentence(each)),
        Cell(amount(each, each.value) if each.value is not None else wording.UNKNOWN, sort=each.value),
        Cell(
            amount(each, each.expected) if each.expected is not None else wording.UNKNOWN, sort=each.expected
        ),
        Cell(change(each) if each.verdict == "drift" else wording.UNKNOWN, sort=each.ratio),
        Cell(since or wording.UNKNOWN, sort=each.since_s),
        Cell(wording.count(each.n), sort=each.n),
        Cell(each.reason or changed, title=each.reason or changed, tone="muted"),
    ]


def _version(each: Finding) -> Cell:
    if each.who.version is None:
        return Cell("all versions", sort="", tone="muted")
    return Cell(each.who.version or NONE, sort=each.who.version, title=each.who.version, mono=True)


def _address(view: View) -> dict[str, str]:
    carried = view.parameters("prompt", "environment")
    for parameter in ("tolerated", "smallest"):
        value = st.query_params.get(parameter)
        if value:
            carried[parameter] = value
    return carried


def _course(finding: Finding, observed: Observed) -> None:
    course = course_of(observed, finding)
    if course is None:
        return
    [history] = cache.ask_all(FirstCalls(finding.who.prompt))
    known = panels.shown(history)
    marks = markers.of_versions(known.rows, prompt=finding.who.prompt) if known else ()
    at = [datetime.fromtimestamp(int(hour), timezone.utc) for hour in course.hours]
    scale, look = _look(finding)
    lines = {
        part: [None if value != value else float(value) * scale for value in getattr(course, part)]  # noqa: PLR0124
        for part in ("value", "expected", "low", "high")
    }
    since = None
    if finding.since_low_s is not None and finding.since_high_s is not None:
        since = (
            datetime.fromtimestamp(finding.since_low_s, timezone.utc),
            datetime.fromtimestamp(finding.since_high_s, timezone.utc),
        )
    panels.heading("Hour by hour", None, "the red stripe is when it began")
    st.text(f"{name(finding)}: {label(finding)}")
    panels.chart(
        against_expected(
            at, lines, TimeRange(at[0], at[-1] + timedelta(hours=1)), mode(), marks=marks, since=since, **look
        ),
        key="course",
        alt="Line: the series by hour, over the band in which it was expected",
    )


def _look(finding: Finding) -> tuple[float, dict[str, str]]:
    """How the axis of a signal looks, and what its values are multiplied by."""
    if finding.of_share:
        return 1.0, {"tickformat": ".1~%", "hover": "%{y:.2%}"}
    if finding.signal == "latency":
        return 0.001, {"suffix": " s", "hover": "%{y:.3~g} s"}
    if finding.signal == "cost":
        return 1.0, {"prefix": "$", "tickformat": "~g", "hover": "$%{y:.3~g}"}
    if finding.signal == "text":
        return 1.0, {"suffix": " sd", "tickformat": ".1~f", "hover": "%{y:.2f} sd"}
    return 1.0, {"hover": "%{y:,.0f} tokens"}


def _traces(finding: Finding, view: View, end: datetime) -> None:
    begin = finding.since_s if finding.since_s is not None else end.timestamp() - 86_400
    since = datetime.fromtimestamp(begin, timezone.utc)
    until = datetime.fromtimestamp(finding.until_s, timezone.utc) if finding.until_s else end
    who = replace(view.filter, prompt=finding.who.prompt, version=finding.who.version)
    affected, before = (
        Scope(TimeRange(since, until), who),
        Scope(TimeRange(since - timedelta(days=1), since), who),
    )
    flag = finding.signal.removesuffix("_rate")
    is_flag = finding.signal.endswith("_rate") and flag not in ("error", "cancelled", "incomplete")
    telling = CallSearch(
        affected,
        errors_only=finding.signal == "error_rate",
        flag=flag if is_flag else None,
        order=_WORST_FIRST.get(finding.signal, "newest"),
    )
    columns = st.columns(2)
    answers = cache.ask_all(telling, CallSearch(before))
    titles = ("Since then, the most telling", "The day before")
    for column, title, answer, scope in zip(columns, titles, answers, (affected, before), strict=True):
        with column:
            calls = panels.shown(answer)
            if calls is None:
                continue
            panels.heading(title, calls)
            if not calls.rows:
                panels.quiet("No such calls.")
                continue
            table(
                [
                    Column("Start, UTC"),
                    Column("Status"),
                    Column("Duration", align="right"),
                    Column("Model", clip=True),
                ],
                [_call(row) for row in calls.rows[:_TRACES]],
                key=f"traces_{'telling' if title == titles[0] else 'before'}",
                caption=title,
                sortable=False,
            )
            carried = {
                PARAMETER: interval(scope.range),
                "prompt": finding.who.prompt or NONE,
                "version": None if finding.who.version is None else finding.who.version or NONE,
            }
            table(
                [Column("")],
                [[Cell("all of them", href=links.link(links.TRACES, carried))]],
                key=f"all_{'telling' if title == titles[0] else 'before'}",
                caption="Link to the list of calls",
                sortable=False,
            )


def _call(row: CallRow) -> list[Cell]:
    return [
        Cell(wording.moment(row.at), href=links.trace_link(row.trace_id, row.span_id, row.at)),
        Cell(
            wording.error_name(row.error_type) or row.status,
            tone="bad" if row.status == "error" else "",
            title=row.error_type or ", ".join(row.flags),
        ),
        Cell(wording.duration(row.duration_ms)),
        Cell(row.model, title=row.model),
    ]
