"""Close: a frozen month, what it rests on, and what has changed since."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.finance.adjustments import differences
from promptspan_server.finance.closed import Revisions, frozen_basis
from promptspan_server.finance.ledger import Ledger, LedgerTooLarge, month
from promptspan_server.finance.reconciled import Reconciliations
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.ui import cache, close_actions, close_panels, panels
from promptspan_server.ui.controls import choose, current_window
from promptspan_server.ui.frame import opening

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from promptspan_server.finance.closed import Revision
    from promptspan_server.queries.scope import TimeRange

_DIMENSIONS = ("feature", "model")
_MONTHS = 24


def show() -> None:
    """Draw the page."""
    if opening(current_window()) is None:
        return
    answer = panels.shown(cache.ask_all(Revisions())[0])
    if answer is None:
        return
    found: Sequence[Revision] = answer.rows
    over = _months_before(datetime.now(timezone.utc))
    names = sorted({one.name for one in found} | set(over), reverse=True)
    newest = max((one.name for one in found), default=over[0])
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        name = choose("month", names, newest, label="Month (UTC)") or newest
        of_month = [one for one in found if one.name == name]
        numbers = [str(one.number) for one in reversed(of_month)]
        rev = choose("rev", numbers, "latest", label="Revision")
    try:
        time_range = month(name)
    except ValueError as error:
        st.warning("The address holds a month that cannot be shown.", icon=":material/calendar_month:")
        st.text(str(error))
        return
    if not of_month:
        _open(name, time_range)
        return
    if rev is not None and rev not in numbers:
        st.warning("The address asks for a revision that does not exist; this is the latest.")
        rev = None
    _closed(time_range, of_month, of_month[-1].number if rev is None else int(rev))


def _closed(time_range: TimeRange, found: Sequence[Revision], number: int) -> None:
    chain = [one for one in found if one.number <= number]
    shown = chain[-1]
    ledger, reconciled = cache.ask_all(Ledger(time_range), Reconciliations(time_range.start.date()))
    now, bills = panels.shown(ledger), panels.shown(reconciled)
    moved: Decimal | None = None
    if now is not None and now.rows:
        moved = (now.rows[0].cost_usd or 0) - found[-1].cost_usd
    st.caption(
        f"**{shown.name}, revision {shown.number} of {found[-1].number}** · locked"
        f" {shown.closed_at:%Y-%m-%d %H:%M:%S} UTC · amounts in USD by the price book frozen with it"
    )
    with st.container(key="verdict"):
        st.text(close_panels.in_words(chain, found[-1].number, moved))
    close_panels.numbers(chain, bills.rows if bills else ())
    close_panels.downloads(time_range, chain)
    close_panels.revisions(found, number)
    if number > 1:
        _adjustments(time_range, chain)
    if bills is not None:
        close_panels.reconciliation(bills.rows, bills.asked_at_s, shown.name)
    close_panels.files(shown)
    if moved:
        with st.container(border=True, key="revise"):
            st.markdown("**The ledger has moved since.** A revision freezes the difference, and why.")
            close_actions.draw(shown.name, time_range, revise=True)


def _adjustments(time_range: TimeRange, chain: Sequence[Revision]) -> None:
    closes = [one.close_id for one in chain]
    try:
        # What is frozen does not change: as fresh as the question.
        asked_at_s = datetime.now(timezone.utc).timestamp()
        rules = frozen_basis(cache, chain[-2]).allocation, frozen_basis(cache, chain[-1]).allocation
        parts = differences(
            cache, time_range, before=closes[:-1], after=closes[-1:], by=_DIMENSIONS, rules=rules
        )
    except QueryFailed as error:
        panels.failed(error)
        return
    except LedgerTooLarge as error:
        panels.heading("Too much differs to be shown here")
        st.text(str(error))
        return
    close_panels.adjustments(parts, chain[-1].number, asked_at_s)


def _open(name: str, time_range: TimeRange) -> None:
    with st.container(border=True, key="not_closed"):
        st.markdown("**This month is not closed.** Closing freezes its ledger, prices, rules and rates.")
        st.code(
            f"promptspan export focus --month {name} --output {name}.csv   # look at it first\n"
            f"promptspan close {name} --output {name}.zip",
            language="bash",
        )
        close_actions.draw(name, time_range)


def _months_before(moment: datetime) -> list[str]:
    """The months of two years that are over, the newest first."""
    found: list[str] = []
    for _ in range(_MONTHS):
        moment = moment.replace(day=1) - timedelta(days=1)
        found.append(f"{moment:%Y-%m}")
    return found
