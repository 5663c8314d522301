"""Overview: is anything wrong, how much, and which prompt version."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.queries.alerts import Alerts, Watch
from promptspan_server.queries.choices import Choices
from promptspan_server.queries.markers import Markers
from promptspan_server.queries.scope import TimeRange
from promptspan_server.queries.series import CallsOverTime
from promptspan_server.queries.totals import Totals, TotalsRow
from promptspan_server.queries.version_history import FirstCalls
from promptspan_server.queries.versions import MAX_ROWS, VersionRow, Versions
from promptspan_server.ui import cache, charts, links, markers, panels, wording
from promptspan_server.ui.component import mode
from promptspan_server.ui.controls import View, current_window, filter_parameters, filters, window_controls
from promptspan_server.ui.frame import age_note, no_calls, opening, refreshing
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.tiles import Note, Tile, tiles
from promptspan_server.ui.views.alerts import draw_alerts, draw_watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.series import Point
    from promptspan_server.ui.markers import Mark
    from promptspan_server.ui.window import Window

_ENOUGH_CALLS = 100
_FEW_CALLS = 20
_MUCH_SLOWER = 1.2
_FILTERS = ("feature", "environment", "model")
_MOST_ALERTS = 5
CALLS_HELP = (
    "Model calls: billable spans. The span of the decorated function around a call, agents, tools and "
    "HTTP spans are the same work seen from outside and are not counted again."
)


def show() -> None:
    """Draw the page."""
    window = current_window()
    fresh = opening(window)
    if fresh is None:
        return
    choices = panels.shown(cache.ask_all(Choices(window.range))[0])
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        window_controls(window)
        chosen = filters(choices.rows[0] if choices else None, *_FILTERS)
    refreshing(lambda: _content(View(current_window(), chosen)), live=window.live)


def _content(view: View) -> None:
    scope, window = view.scope, view.window
    _firing(window)
    today = _day_so_far(window.range.end)
    totals, before, spent_today, series, versions, history, notes = cache.ask_all(
        Totals(scope),
        Totals(scope.over(window.range.previous)),
        Totals(scope.over(today)),
        CallsOverTime(scope),
        Versions(scope),
        FirstCalls(),
        Markers(window.range, environment=view.filter.environment),
    )
    first_calls = panels.shown(history)
    marks = markers.of_versions(first_calls.rows) if first_calls else ()
    noted = panels.shown(notes)
    marks += markers.of_notes(noted.rows) if noted else ()
    now, past, day = panels.shown(totals), panels.shown(before), panels.shown(spent_today)
    age_note(window, now)
    if now is None or past is None or day is None:
        return
    if not now.rows[0].calls:
        no_calls(links.OVERVIEW)
        return
    found = panels.shown(versions)
    with st.container(key="verdict"):
        st.text(_in_words(now.rows[0], past.rows[0], found.rows if found else (), view))
    _numbers(now.rows[0], past.rows[0], day.rows[0], view, today)
    points = panels.shown(series)
    if points is not None:
        _charts(points, view, marks)
    if found is not None:
        _versions(found, view)
    if points is not None:
        _cost(points, view, marks)


def _firing(window: Window) -> None:
    """Draw what fires now, whatever range the page shows: it is what one has to know first."""
    alerts, watch = (panels.shown(each) for each in cache.ask_all(Alerts(firing_only=True), Watch()))
    if watch is not None and watch.rows[0].newest is not None:
        draw_watch(watch.rows[0])
    if alerts is None or not alerts.rows:
        return
    panels.heading(
        wording.counted(len(alerts.rows), "alert") + " firing",
        alerts,
        "" if window.live else "now, not in the range of this page",
    )
    draw_alerts(alerts.rows[:_MOST_ALERTS], key="firing")
    if len(alerts.rows) > _MOST_ALERTS:
        more = len(alerts.rows) - _MOST_ALERTS
        panels.quiet(f"{more} more {'is' if more == 1 else 'are'} on the page Alerts.")


def _in_words(now: TotalsRow, past: TotalsRow, versions: Sequence[VersionRow], view: View) -> str:
    length = view.window.length_words
    sentences = [
        f"{wording.counted(now.calls, 'model call')} in {length}, "
        + (f"{wording.share(now.error_rate)} failed" if now.errors else "none failed")
        + (
            f" ({wording.share(past.error_rate)} in the {view.window.before_words})."
            if _comparable(now, past)
            else "."
        )
    ]
    worst = _standing_out(now, versions)
    if worst is not None:
        others = (now.errors - worst.errors) / (now.calls - worst.spend.calls)
        sentences.append(
            f"{_named(worst)} fails {wording.share(worst.error_rate)} of the time, all other calls "
            f"{wording.share(others)}."
        )
    dearest = max(versions, key=lambda row: row.spend.usd or 0, default=None)
    if dearest is not None and dearest.spend.usd and now.spend.usd and len(versions) > 1:
        sentences.append(
            f"{_named(dearest)} is {wording.share(float(dearest.spend.usd / now.spend.usd), 0)} of the cost."
        )
    return " ".join(sentences)


def _standing_out(now: TotalsRow, versions: Sequence[VersionRow]) -> VersionRow | None:
    # At least five failures and twice the rate of everything else: worth a look, not yet a verdict.
    candidates = [
        row
        for row in versions
        if row.errors >= 5
        and now.calls > row.spend.calls
        and row.error_rate > 2 * (now.errors - row.errors) / (now.calls - row.spend.calls)
    ]
    return max(
        candidates, key=lambda row: row.errors - row.spend.calls * (now.errors / now.calls), default=None
    )


def _named(row: VersionRow) -> str:
    return (
        f"\u201c{row.prompt} {row.version}\u201d".replace(" \u201d", "\u201d")
        if row.prompt
        else "What has no prompt name"
    )


def _numbers(now: TotalsRow, past: TotalsRow, day: TotalsRow, view: View, today: TimeRange) -> None:
    length = view.window.length_words
    tiles(
        [
            Tile(
                "Model calls",
                wording.exact(now.calls),
                [_calls_note(now, past, view.window.before_words)],
                CALLS_HELP,
            ),
            Tile(
                "Failed",
                wording.share(now.error_rate, 2),
                [_rate_note(now, past)],
                f"Model calls with status error: {wording.exact(now.errors)} of {wording.exact(now.calls)}. "
                f"Cancelled: {wording.exact(now.cancelled)}. Cut short: {wording.exact(now.incomplete)}. "
                "Coloured where it differs from before by more than noise usually makes.",
            ),
            Tile(
                "Latency p95",
                wording.duration(now.p95_ms),
                [_latency_note(now, past)],
                f"95 % of the calls were faster. Median {wording.duration(now.p50_ms)}; median time to "
                f"the first chunk of streamed calls {wording.duration(now.ttft_p50_ms)}.",
            ),
            _cost_tile(f"Cost in {length}, USD", now),
            _cost_tile(_day_label(today), day),
        ],
        key="numbers",
    )


def _comparable(now: TotalsRow, past: TotalsRow) -> bool:
    # Beside a handful of calls, or a trickle, every change looks large.
    return past.calls >= _FEW_CALLS and past.calls * _FEW_CALLS >= now.calls


def _calls_note(now: TotalsRow, past: TotalsRow, before: str) -> Note:
    if not _comparable(now, past):
        return Note(f"{wording.exact(past.calls) if past.calls else 'none'} in the {before}")
    return Note(f"{wording.change(now.calls, past.calls)} on the {before}")


def _rate_note(now: TotalsRow, past: TotalsRow) -> Note:
    if now.error_rate is None or past.error_rate is None or not _comparable(now, past):
        return Note(f"{wording.counted(now.errors, 'call')} failed")
    before = f"was {wording.share(past.error_rate, 2)} before"
    # Three standard errors of a difference of shares: a hint for the eye, not a test.
    pooled = (now.errors + past.errors) / (now.calls + past.calls)
    noise = (pooled * (1 - pooled) * (1 / now.calls + 1 / past.calls)) ** 0.5
    difference = now.error_rate - past.error_rate
    if noise and abs(difference) > 3 * noise:
        return Note(
            f"{wording.UP if difference > 0 else wording.DOWN} {before}", "bad" if difference > 0 else "good"
        )
    return Note(before)


def _latency_note(now: TotalsRow, past: TotalsRow) -> Note:
    if now.p95_ms is None or past.p95_ms is None or not _comparable(now, past):
        return Note(f"median {wording.duration(now.p50_ms)}")
    before = f"was {wording.duration(past.p95_ms)} before"
    if min(now.calls, past.calls) >= _ENOUGH_CALLS and past.p95_ms:
        ratio = now.p95_ms / past.p95_ms
        if ratio > _MUCH_SLOWER:
            return Note(f"{wording.UP} {before}", "bad")
        if ratio < 1 / _MUCH_SLOWER:
            return Note(f"{wording.DOWN} {before}", "good")
    return Note(before)


def _cost_tile(label: str, totals: TotalsRow) -> Tile:
    spend = totals.spend
    return Tile(
        label,
        wording.usd(spend.usd) if spend.calls else wording.UNKNOWN,
        [Note(wording.short_coverage(spend), "warn" if spend.unpriced else ""), *_wasted(totals)],
        f"{wording.usd_exact(spend.usd)} exactly; {wording.coverage(spend)}. Calls without a known cost are "
        "left out, never counted as zero. Wasted is what calls without a good end cost: failed, "
        "cancelled, cut short.",
    )


def _wasted(totals: TotalsRow) -> list[Note]:
    return [Note(f"{wording.usd(totals.wasted_usd)} of it wasted")] if totals.wasted_usd else []


def _charts(points: Answer[Point], view: View, marks: Sequence[Mark]) -> None:
    step = wording.step(view.window.range.step_s)
    left, right = st.columns(2)
    with left:
        panels.heading(f"Model calls per {step}", points, "failed at the foot")
        panels.chart(
            charts.calls_and_errors(points.rows, view.window.range, mode(), marks),
            key="calls_chart",
            alt=f"Bars: model calls per {step}, failed and succeeded",
        )
    with right:
        panels.heading("Latency, seconds", points, f"per {step}")
        panels.chart(
            charts.latency(points.rows, view.window.range, mode(), marks),
            key="latency_chart",
            alt=f"Lines: 95th percentile and median of the duration per {step}, in seconds",
        )


def _cost(points: Answer[Point], view: View, marks: Sequence[Mark]) -> None:
    step = wording.step(view.window.range.step_s)
    panels.heading(f"Cost per {step}, USD", points, "of the priced calls")
    panels.chart(
        charts.cost(points.rows, view.window.range, mode(), marks),
        key="cost_chart",
        alt=f"Bars: cost of the priced calls per {step}, in US dollars",
    )


def _versions(versions: Answer[VersionRow], view: View) -> None:
    rows = versions.rows
    panels.heading(
        "By prompt and version", versions, f"the busiest {MAX_ROWS}" if len(rows) == MAX_ROWS else ""
    )
    most = max(row.spend.calls for row in rows)
    table(
        [
            Column("Prompt", clip=True),
            Column("Version", clip=True),
            Column("Calls", CALLS_HELP, "right"),
            Column("Failed", "Share of calls with status error", "right"),
            Column("p50", "Median duration", "right"),
            Column("p95", "95th percentile of duration", "right"),
            Column("Cost, USD", "Over the priced calls", "right"),
            Column("Priced", "Share of calls with a known cost", "right"),
            Column("Per call", "Mean cost of a priced call, USD", "right"),
            Column("Flags", "Share of calls with a safety flag", "right"),
            Column("Last call, UTC", "", "right"),
        ],
        [_row(row, view, most) for row in rows],
        key="versions_table",
        caption="Prompt versions with calls, failures, latency and cost",
    )


def _row(row: VersionRow, view: View, most: int) -> list[Cell]:
    home = links.link(links.PROMPT, view.window.parameters(), {"prompt": row.prompt or "(none)"})
    carried = {
        **view.window.parameters(),
        **filter_parameters(view.filter, *_FILTERS),
        "prompt": row.prompt or "(none)",
        "version": row.version or "(none)",
    }
    failing = links.link(links.TRACES, carried, {"errors": "true"})
    return [
        Cell(
            wording.name(row.prompt, "(no prompt)"),
            href=home,
            sort=row.prompt,
            tone="" if row.prompt else "muted",
            title=row.prompt,
        ),
        Cell(
            wording.name(row.version, "(none)"),
            sort=row.version,
            title=", ".join(row.models),
            mono=bool(row.version),
        ),
        Cell(
            wording.exact(row.spend.calls),
            href=links.link(links.TRACES, carried),
            sort=row.spend.calls,
            bar=row.spend.calls / most,
        ),
        Cell(
            wording.share(row.error_rate),
            href=failing if row.errors else "",
            sort=row.error_rate,
            tone="bad" if row.error_rate >= 0.05 and row.errors > 2 else "" if row.errors else "muted",
            title=wording.counted(row.errors, "failed call"),
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
        Cell(
            wording.usd(row.spend.per_call),
            sort=None if row.spend.per_call is None else float(row.spend.per_call),
        ),
        Cell(
            wording.share(row.flag_rate),
            sort=row.flag_rate,
            tone="" if row.flagged else "muted",
            title=", ".join(row.flags),
        ),
        Cell(wording.moment(row.last_seen), sort=row.last_seen.timestamp(), tone="muted"),
    ]


def _day_so_far(end: datetime) -> TimeRange:
    last = end - timedelta(microseconds=1)
    return TimeRange(datetime.combine(last.date(), time(), timezone.utc), end)


def _day_label(day: TimeRange) -> str:
    is_today = day.start.date() == datetime.now(timezone.utc).date()
    return "Cost today (UTC), USD" if is_today else f"Cost on {day.start:%d %b} (UTC), USD"
