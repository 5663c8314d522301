"""The panels of an incident's page: what changed, how bad, where, examples, the way back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.queries.connection import QueryFailed
from promptspan_server.ui import incident_charts, links, panels, wording
from promptspan_server.ui.component import mode
from promptspan_server.ui.controls import filter_parameters
from promptspan_server.ui.markers import Mark
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.template_diff import unified_diff
from promptspan_server.ui.tiles import Note, Tile, tiles
from promptspan_server.ui.views.traces import draw_calls
from promptspan_server.ui.window import interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from promptspan_server.queries.calls import CallRow
    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.incident import ChangeRow, HeatCell, IncidentRow
    from promptspan_server.queries.templates import TemplateRow
    from promptspan_server.store.markers import Marker
    from promptspan_server.ui.incident import Incident

WHAT = {
    "prompt_version": "new version",
    "response_model": "new answering model",
    "provider": "new provider",
    "price": "new price",
}
_USUAL = "the day before"
# They come with a new version, and would hide its mark.
_ONLY_LISTED = {WHAT["response_model"], WHAT["provider"]}
_FILTERS = ("prompt", "version", "feature", "environment", "service", "model")


def happened(changes: Sequence[ChangeRow], markers: Sequence[Marker]) -> list[tuple[datetime, str, str, str]]:
    """Join what the calls show and what people noted: time, kind, what, by whom; in order of time."""
    rows = [
        (
            change.at,
            WHAT.get(change.what, change.what),
            change.value,
            "" if change.calls is None else wording.counted(change.calls, "call"),
        )
        for change in changes
    ]
    rows += [(marker.at, marker.kind, marker.text, marker.author) for marker in markers]
    return sorted(rows, key=lambda row: row[0])


def changed(incident: Incident, rows: Sequence[tuple[datetime, str, str, str]]) -> None:
    """Draw what changed within half an hour of the beginning."""
    panels.heading(
        "What changed within 30 minutes", note="of its beginning: what precedes it may have caused it"
    )
    near = [row for row in rows if incident.around.start <= row[0] < incident.around.end]
    if not near:
        panels.quiet(
            "No new version, answering model, provider or price, and nobody noted anything."
            ' Deployments can be noted: promptspan mark "what" --kind deploy.'
        )
        return
    began = incident.during.start
    table(
        [
            Column("At, UTC"),
            Column("To its beginning", "", "right"),
            Column("What"),
            Column("Which", clip=True),
            Column("By", "Who noted it, or how many calls have it", clip=True),
        ],
        [
            [
                Cell(wording.moment(at), sort=at.timestamp()),
                Cell(_distance((at - began).total_seconds()), sort=at.timestamp(), tone="muted"),
                Cell(kind),
                Cell(text, title=text, strong=True),
                Cell(more, tone="muted"),
            ]
            for at, kind, text, more in near
        ],
        key="changes",
        caption="What changed within 30 minutes of the beginning",
        sortable=False,
    )


def numbers(incident: Incident, now: IncidentRow, usual: IncidentRow) -> None:
    """Draw five numbers against the baseline."""
    tiles([number for number, _, _ in five(incident, now, usual)], key="numbers")


def five(incident: Incident, now: IncidentRow, usual: IncidentRow) -> list[tuple[Tile, str, str]]:
    """The five numbers: as tiles, and as text of what is and what is usual."""
    hours, hours_before = (each.length.total_seconds() / 3600 for each in (incident.during, incident.before))
    rate, rate_before = now.calls / hours, usual.calls / hours_before
    cost = None if now.usd is None else float(now.usd) / now.priced
    cost_before = None if usual.usd is None else float(usual.usd) / usual.priced
    failed, failed_before = _share(now.errors, now.calls), _share(usual.errors, usual.calls)
    flagged, flagged_before = _share(now.flagged, now.calls), _share(usual.flagged, usual.calls)

    def one(
        label: str, value: str, before: str, change: str | None, *, worse: bool, help_: str
    ) -> tuple[Tile, str, str]:
        note = f"{before} {_USUAL}" + (f", {change}" if change else "")
        return Tile(label, value, [Note(note, "bad" if worse else "")], help_), value, before

    return [
        one(
            "Calls an hour",
            wording.mean(rate),
            wording.mean(rate_before),
            # Before, all versions shared the calls.
            "all versions" if incident.version else wording.change(rate, rate_before),
            worse=False,
            help_=f"{wording.exact(now.calls)} calls from {wording.moment(incident.during.start)} UTC on",
        ),
        one(
            "Failed",
            wording.share(failed),
            wording.share(failed_before),
            wording.change(failed, failed_before),
            worse=_worse(failed, failed_before, 1.5),
            help_=wording.counted(now.errors, "failed call"),
        ),
        one(
            "p95",
            wording.duration(now.p95_ms),
            wording.duration(usual.p95_ms),
            wording.change(now.p95_ms, usual.p95_ms),
            worse=_worse(now.p95_ms, usual.p95_ms, 1.2),
            help_="95th percentile of the duration of calls",
        ),
        one(
            "Cost per call, USD",
            wording.measure(cost, "USD"),
            wording.measure(cost_before, "USD"),
            wording.change(cost, cost_before),
            worse=_worse(cost, cost_before, 1.25),
            help_=f"Over the priced calls: {wording.exact(now.priced)} of {wording.exact(now.calls)}",
        ),
        one(
            "Flagged",
            wording.share(flagged),
            wording.share(flagged_before),
            wording.change(flagged, flagged_before),
            worse=_worse(flagged, flagged_before, 1.5),
            help_="Share of calls with a safety flag",
        ),
    ]


def hit(row: IncidentRow) -> str:
    """Say who is hit."""
    parts = [f"{wording.counted(row.calls, 'call')}, {wording.exact(row.errors)} of them failed"]
    if row.users:
        parts.append(wording.counted(row.users, "user"))
    if row.tenants:
        parts.append(wording.counted(row.tenants, "tenant"))
    return "Hit since then: " + ", ".join(parts) + "."


def over_time(
    incident: Incident, answer: Answer[HeatCell], rows: Sequence[tuple[datetime, str, str, str]]
) -> None:
    """Draw failures and latency over time, with what happened and the alert's band."""
    marks = [
        # A label has room for a word or two, and which prompt it is about is known here.
        Mark(at, _without_prompt(text, incident.prompt), f"{kind}: {text} ({wording.moment(at)} UTC)")
        for at, kind, text, _ in rows
        if kind not in _ONLY_LISTED
    ]
    step = wording.step(incident.shown.step_s)
    left, right = st.columns(2)
    with left:
        every = "of all versions" if incident.version else ""
        panels.heading(f"Calls per {step}, failed at the foot", answer, every)
        panels.chart(
            incident_charts.failures(answer.rows, incident.shown, mode(), incident.during, marks),
            key="incident_failures",
            alt=f"Bars: failed and succeeded calls per {step}; the alert's time is shaded",
        )
    with right:
        panels.heading(
            "Durations",
            answer,
            "darker: more calls took so long" if mode() == "light" else "brighter: more calls took so long",
        )
        panels.chart(
            incident_charts.latency_heat(answer.rows, incident.shown, mode(), incident.during, marks),
            key="incident_latency",
            alt="Heat map: how many calls took how long over time; the alert's time is shaded",
        )


def where(said: tuple[str, ...] | QueryFailed) -> None:
    """Draw where it is."""
    if isinstance(said, QueryFailed):
        panels.failed(said)
        return
    if said:
        panels.heading("Where it is", note="not what caused it")
        with st.container(key="whereabouts"):
            st.text("\n".join(said))


def traces(incident: Incident, bad: Answer[CallRow] | None, good: Answer[CallRow] | None) -> None:
    """Draw five calls that show it and five that went well, and the way to all of them."""
    for answer, title, key in (
        (bad, "Calls that show it", "bad_calls"),
        (good, "Calls that went as they should", "good_calls"),
    ):
        if answer is None:
            continue
        panels.heading(title, answer, "each leads to its text")
        if answer.rows:
            draw_calls(answer.rows, key=key)
        else:
            panels.quiet("None in its time.")
    carried = {
        "range": interval(incident.during),
        **filter_parameters(incident.filter, *_FILTERS),
        **({"errors": "true"} if incident.alert.kind == "errors" else {}),
    }
    table(
        [Column("All of them")],
        [[Cell("All calls of its time", href=links.link(links.TRACES, carried))]],
        key="all_calls",
        caption="The way to all calls of its time",
        sortable=False,
    )


def way_back(incident: Incident, previous: str, calls: int, templates: Sequence[TemplateRow]) -> None:
    """Draw the previous good version, its difference, and the command that brings it back."""
    panels.heading("The way back")
    st.text(
        f"Before it, version {previous or '(none)'} of {incident.prompt} did"
        f" {wording.counted(calls, 'call')} in a day."
    )
    old = next((row for row in templates if row.version == previous and row.template), None)
    new = next((row for row in templates if row.version == incident.version and row.template), None)
    if old is None:
        panels.quiet("The store has no template of it: it comes with Prompt(...) or Prompt.from_file(...).")
        return
    if new is not None:
        difference = unified_diff(old, new)
        st.caption("From that version to the one that the alert is about")
        st.code(difference or "(the templates are equal)", language="diff", wrap_lines=True)
    st.caption("Brings its text back, as a file for Prompt.from_file; then deploy")
    st.code(rollback_command(incident.prompt, previous), language="bash")


def rollback_command(prompt: str, version: str) -> str:
    """The command that writes the template of a version."""
    name, file = shlex.quote(prompt), shlex.quote(f"{prompt}.md")
    return f"promptspan template {name} {shlex.quote(version)} > {file}"


def _without_prompt(text: str, prompt: str) -> str:
    return text.removeprefix(prompt).lstrip(" :") or text if prompt else text


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _worse(now: float | None, before: float | None, times: float) -> bool:
    return now is not None and before is not None and now > before * times


def _distance(seconds: float) -> str:
    side = "after" if seconds >= 0 else "before"
    return f"{wording.duration(abs(seconds) * 1000)} {side}"
