"""Rows of a ledger for tests that need no store."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from promptspan_server.finance.ledger import DIMENSIONS, LedgerRow, dollars

_NAMES = st.sampled_from(["", "inbox", "inbox-summary", "search", "=cmd()", "ü"])
_COUNT = st.integers(0, 5_000)


@st.composite
def ledger_rows(draw: st.DrawFn) -> LedgerRow:
    """One row: some calls priced, some not, with costs of any nine places."""
    priced, unpriced, no_usage = draw(_COUNT), draw(_COUNT), draw(_COUNT)
    return LedgerRow(
        keys={
            name: draw(_NAMES) if name in {"service", "feature", "tenant", "model"} else ""
            for name in DIMENSIONS
        },
        calls=priced + unpriced + no_usage,
        priced=priced,
        unpriced=unpriced,
        no_usage=no_usage,
        retries=draw(st.integers(0, priced)),
        input=draw(st.integers(0, 10**12)),
        output=draw(st.integers(0, 10**9)),
        cost_usd=dollars(draw(st.integers(0, 10**20))) if priced else None,
        retries_cost_usd=dollars(draw(st.integers(0, 10**6))) if priced else Decimal(0),
    )


LEDGERS = st.lists(ledger_rows(), max_size=12)
