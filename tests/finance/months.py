"""Months of calls in the live store, each test's its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pricing.test_ledger import let_five_minutes_pass, settle
from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.store.executor import ClientExecutor

if TYPE_CHECKING:
    from queries.live_store import LiveStore


def at(month: str, day: int, hour: int = 12) -> datetime:
    year, number = map(int, month.split("-"))
    return datetime(year, number, day, hour, 30, tzinfo=timezone.utc)


def fill(live: LiveStore, *calls: dict[str, Any]) -> None:
    """Add calls and settle the ledger: as if minutes had passed."""
    for _, alike in groupby(sorted(calls, key=_columns), key=_columns):
        live.insert("llm_calls", *alike)
    executor = ClientExecutor(live.writer)
    sync_prices(executor)
    settle(executor)
    let_five_minutes_pass(executor)
    while recompute(executor, interval_s=0).more:
        pass


def _columns(call: dict[str, Any]) -> list[str]:
    return sorted(call)


def month_of_calls(live: LiveStore, month: str) -> list[dict[str, Any]]:
    """Calls of every kind on three days of a month."""
    calls = [
        live.call(
            at(month, day, hour),
            feature=feature,
            tenant=tenant,
            prompt_name=prompt,
            prompt_version="7",
            input_tokens=1_000 + 7 * hour,
            cache_read_tokens=300,
            reasoning_tokens=11,
        )
        for day in (1, 15, 28)
        for hour in (0, 9, 23)
        for feature, tenant, prompt in (("inbox", "acme", "=cmd()"), ("search", "", "sum"), ("", "", ""))
    ]
    calls += [
        live.call(at(month, 15), feature="inbox", request_model="nobody-knows", response_model=""),
        live.call(at(month, 15), feature="inbox", input_tokens=None, output_tokens=None, status="error"),
        live.call(at(month, 16), feature="inbox", reported_cost_usd="0.123456789"),
        live.call(at(month, 16), feature="inbox", cached=True),
        live.call(at(month, 16), feature="inbox", request_model="gpt-5-nano", response_model=""),
    ]
    before = at(month, 1) - timedelta(days=1)
    return [*calls, live.call(before, feature="inbox")]
