"""Closing a month from its page, and freezing what changed since.

Written as the user of `PROMPTSPAN_CLOSE_URL` (see `writing`), by the files that the dashboard's environment
names: what the spend page shows is what is frozen. Without such a user the page shows the command alone.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.finance.allocation import AllocationError
from promptspan_server.finance.closing import CloseError, Wishes, close_month
from promptspan_server.finance.currency import RatesError
from promptspan_server.finance.files import read_basis
from promptspan_server.finance.ledger import LedgerTooLarge
from promptspan_server.queries.connection import QueryFailed, StoreUnreachable, connect
from promptspan_server.store.executor import ClientExecutor
from promptspan_server.ui.writing import writer

if TYPE_CHECKING:
    from promptspan_server.queries.scope import TimeRange

WRITER_VARIABLE = "PROMPTSPAN_CLOSE_URL"


def draw(name: str, time_range: TimeRange, *, revise: bool = False) -> None:
    """Draw the form that closes a month, or makes a revision of one that is closed."""
    if writer(WRITER_VARIABLE) is None:
        return
    with st.form("close", border=False):
        note = st.text_input("Note", max_chars=500, placeholder="optional: goes into the pack")
        unpriced = st.checkbox("Although calls have usage and no price: the pack says how many")
        sent = st.form_submit_button(f"{'Revise' if revise else 'Close'} {name}", type="primary")
    if sent:
        _close(name, time_range, Wishes(revise=revise, note=note.strip(), with_unpriced=unpriced))


def _close(name: str, time_range: TimeRange, wishes: Wishes) -> None:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    store = writer(WRITER_VARIABLE)
    if store is None:
        return
    try:
        with st.spinner(f"Freezing {name}"), closing(connect(store.dsn)) as client:
            wishes = replace(wishes, texts=read_basis().texts)
            done = close_month(store, ClientExecutor(client), time_range, wishes)
    except (
        AllocationError,
        ClickHouseError,
        CloseError,
        LedgerTooLarge,
        QueryFailed,
        RatesError,
        StoreUnreachable,
    ) as error:
        st.error("Nothing was frozen.", icon=":material/lock_open:")
        # Names of models are in it: text, not markup.
        st.text(str(error))
        return
    st.cache_data.clear()
    st.toast("Nothing has changed since it was frozen." if done is None else f"{name} is frozen.")
    st.rerun()
