"""Spend: what this month costs, where it will end, and why it is not what the last one was."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.finance.allocation import AllocationError
from promptspan_server.finance.budgets import Burn, read_burns
from promptspan_server.finance.currency import RatesError, usd_per
from promptspan_server.finance.files import load_allocation, load_budgets, load_rates
from promptspan_server.finance.ledger import LedgerTooLarge, month
from promptspan_server.finance.month_end import MonthEnd, read_month_end
from promptspan_server.finance.spend import GROUPINGS, Spend, read_spend, so_far
from promptspan_server.queries.choices import Choices
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.queries.scope import Scope
from promptspan_server.queries.series import CallsOverTime
from promptspan_server.ui import cache, charts, panels, spend_panels, spend_parts, wording
from promptspan_server.ui.component import mode
from promptspan_server.ui.controls import choose, current_window, filters
from promptspan_server.ui.frame import amounts, opening
from promptspan_server.ui.tiles import Note, Tile, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.finance.allocation import Allocation
    from promptspan_server.finance.currency import ExchangeRates
    from promptspan_server.finance.forecast import TooLittle
    from promptspan_server.finance.table_files import Part
    from promptspan_server.queries.scope import Filter, TimeRange

FILTERS = ("feature", "environment", "service")
_MONTHS = 13
_PARTS = ("Groups", "Not known", "Unit cost", "Waste", "What if")


def show() -> None:
    """Draw the page."""
    if opening(current_window()) is None:
        return
    now = datetime.now(timezone.utc)
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        chosen = choose("month", _months(now), f"{now:%Y-%m}", label="Month (UTC)")
        by = choose("by", GROUPINGS, "feature", label="Shown by") or "feature"
        try:
            whole = month(chosen or f"{now:%Y-%m}")
            current, _ = so_far(whole, now)
        except ValueError as error:
            st.warning("The address holds a month that cannot be shown.", icon=":material/calendar_month:")
            st.text(str(error))
            return
        choices = panels.shown(cache.ask_all(Choices(current))[0])
        narrowed = filters(choices.rows[0] if choices else None, *FILTERS)
    if by not in GROUPINGS:
        st.warning("The address asks for a grouping that is not known; this is by feature.")
        by = "feature"
    try:
        allocation = load_allocation()
    except AllocationError as error:
        panels.heading("The allocation rules cannot be taken; nothing is shown without them")
        st.text(str(error))
        return
    _content(whole, now, by, narrowed, allocation)


def _content(whole: TimeRange, now: datetime, by: str, narrowed: Filter, allocation: Allocation) -> None:
    where = [(name, value) for name in FILTERS if (value := getattr(narrowed, name)) is not None]
    current, _ = so_far(whole, now)
    key = repr((current, by, where, allocation))
    try:
        found, asked_at_s = _spend(whole, now, by, where=where, allocation=allocation, key=key)
    except LedgerTooLarge as error:
        panels.heading("This month has too many groups to be shown so")
        st.text(str(error))
        return
    _caption(found, asked_at_s)
    if not found.total.now.calls and not found.total.before.calls:
        panels.quiet("No model calls in this month, nor in the one before, that match the filters.")
        return
    running = current.end < whole.end
    end = _month_end(whole, now, where, key) if running else None
    burns = _burns(allocation, now)
    with st.container(key="verdict"):
        st.text(spend_panels.in_words(found, end))
    _numbers(found, end, burns, running=running)
    left, right = st.columns([2, 3])
    with left:
        panels.heading("Why it changed, USD", asked_at_s, "against as much of the month before")
        spend_panels.reasons(found)
    with right:
        _days(Scope(current, narrowed))
    if burns:
        spend_panels.budgets(burns)
    spend_parts.downloads(found, _parts(found, Scope(current, narrowed), asked_at_s, where))


def _spend(
    whole: TimeRange,
    now: datetime,
    by: str,
    *,
    where: Sequence[tuple[str, str]],
    allocation: Allocation,
    key: str,
) -> tuple[Spend, float]:
    """Read the month, in US dollars alone if the exchange rates cannot be taken, which is said."""

    def found(exchange: ExchangeRates | None) -> tuple[Spend, float]:
        return cache.computed(
            f"spend {exchange.sha256 if exchange else ''} {key}",
            lambda: read_spend(cache, whole, now, by, allocation, where=where, exchange=exchange),
        )

    try:
        return found(load_rates())
    except RatesError as error:
        panels.heading("The reporting currency cannot be shown; amounts are in US dollars alone")
        st.text(str(error))
    return found(None)


def _parts(found: Spend, scope: Scope, asked_at_s: float, where: Sequence[tuple[str, str]]) -> Part | None:
    shown: Part | None = None
    parts = st.tabs(_PARTS, key="part", on_change="rerun", bind="query-params")
    draw = (
        lambda: spend_panels.groups(found, asked_at_s),
        lambda: spend_parts.unknown(found, asked_at_s),
        lambda: spend_parts.unit_cost(found, scope),
        lambda: spend_parts.waste(found, scope),
        lambda: spend_parts.what_else(found, where),
    )
    for part, drawn in zip(parts, draw, strict=True):
        # Only what is looked at is asked for: some of it reads every call of the month.
        if part.open:
            with part:
                shown = drawn()
    return shown


def _caption(found: Spend, asked_at_s: float) -> None:
    st.caption(
        f"**{found.range.start:%Y-%m-%d} \u2013 {_until(found.range, asked_at_s)} UTC** · ledger "
        f"{panels.as_of(asked_at_s)} · compared with {found.before_range.start:%Y-%m-%d} \u2013 "
        f"{found.before_range.end:%Y-%m-%d %H:%M} · {amounts()}"
    )


def _until(time_range: TimeRange, asked_at_s: float) -> str:
    """When a range ends; of the hour that runs, as much as has passed."""
    asked_at = datetime.fromtimestamp(asked_at_s, timezone.utc)
    if asked_at < time_range.end:
        return f"{asked_at:%Y-%m-%d %H:%M} so far,"
    return f"{time_range.end:%Y-%m-%d %H:%M}"


def _numbers(found: Spend, end: MonthEnd | TooLittle | None, burns: Sequence[Burn], *, running: bool) -> None:
    now, before = found.total.now, found.total.before
    change = found.total.drivers.change
    shown = [
        Tile(
            "Month to date, USD" if running else f"{found.range.start:%Y-%m}, USD",
            wording.usd(now.cost_usd),
            [
                *([Note(spend_panels.converted(found))] if found.reporting else []),
                Note(spend_panels.coverage(now), "warn" if now.unpriced else ""),
            ],
            f"{wording.usd_exact(now.cost_usd)} exactly: the ledger's sum. Calls without a known cost are "
            f"left out, never counted as zero: {wording.exact(now.unpriced)} without a price, "
            f"{wording.exact(now.no_usage)} without usage.",
        ),
        Tile(
            "Change, USD",
            spend_panels.signed(change) if before.cost_usd is not None else wording.UNKNOWN,
            [Note(f"{wording.usd(before.cost_usd)} in as much of the month before")],
            "Against the same stretch of the month before; a month that is over against the whole one.",
        ),
    ]
    if running:
        shown.append(_end_tile(end))
    worst = max(burns, key=lambda burn: (burn.state == "over", burn.used or 0), default=None)
    if worst is not None:
        shown.append(
            Tile(
                "Fullest budget",
                wording.UNKNOWN if worst.used is None else f"{worst.used:.0f}\u202f%",
                [Note(f"{worst.budget.name}: {worst.state}", "bad" if worst.state == "over" else "")],
                f"{wording.usd_exact(worst.spent_usd)} of {wording.usd_exact(worst.amount_usd)} in its "
                f"{worst.budget.period}, of which {wording.share(worst.elapsed)} has passed.",
            )
        )
    shown.append(
        Tile(
            "Per call, USD",
            wording.usd(spend_panels.per_call(found.total)),
            [Note(f"{wording.usd(spend_panels.per_thousand(found.total))} per thousand")],
            "Mean over the calls with a known cost.",
        )
    )
    tiles(shown, key="numbers")


def _end_tile(end: MonthEnd | TooLittle | None) -> Tile:
    if not isinstance(end, MonthEnd):
        reason = end.reason if end is not None else "it could not be asked"
        return Tile("By the month's end, USD", wording.UNKNOWN, [Note("too little history")], f"{reason}.")
    return Tile(
        "By the month's end, USD",
        wording.usd(end.mean),
        [Note(f"90\u202f%: {wording.usd(end.low)} to {wording.usd(end.high)}")],
        f"Forecast by the {end.basis}, from at most eight weeks of hours. It knows no growth: a level that "
        "keeps rising ends above it.",
    )


def _month_end(
    whole: TimeRange, now: datetime, where: Sequence[tuple[str, str]], key: str
) -> MonthEnd | TooLittle | None:
    try:
        return cache.computed(f"end {key}", lambda: read_month_end(cache, whole, now, where))[0]
    except QueryFailed as error:
        panels.failed(error)
        return None


def _burns(allocation: Allocation, now: datetime) -> Sequence[Burn]:
    try:
        budgets = load_budgets()
        # Rates are of use to budgets in another currency alone: wrong ones are told once, by the amounts.
        foreign = any(each.currency != "USD" for each in budgets.budgets)
        rates = load_rates() if foreign else None
        key = f"burns {budgets!r} {allocation!r} {rates.sha256 if rates else ''} {now:%Y-%m-%d %H}"
        worth = usd_per(rates, now.date())
        return cache.computed(key, lambda: read_burns(cache, budgets, allocation, now, worth))[0]
    except (ValueError, LedgerTooLarge) as error:
        panels.heading("The budgets cannot be shown")
        st.text(str(error))
    except QueryFailed as error:
        panels.failed(error)
    return ()


def _days(scope: Scope) -> None:
    points = panels.shown(cache.ask_all(CallsOverTime(scope))[0])
    if points is None:
        return
    step = wording.step(scope.range.step_s)
    panels.heading(f"Cost per {step}, USD", points, "of the priced calls")
    panels.chart(
        charts.cost(points.rows, scope.range, mode()),
        key="cost_chart",
        alt=f"Bars: cost of the priced calls per {step}, in US dollars",
    )


def _months(now: datetime) -> list[str]:
    months = [now.replace(day=1)]
    while len(months) < _MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return [f"{each:%Y-%m}" for each in months]
