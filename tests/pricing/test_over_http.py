from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from e2e.running import Store, start_store
from pricing.calls import NOON, Call, add, cost_of
from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import import_prices
from promptspan_server.store.executor import ClientExecutor

if TYPE_CHECKING:
    from pathlib import Path


def test_prices_and_ledger_are_kept_over_clickhouse_http_as_in_the_engine(tmp_path: Path) -> None:
    store = start_store(tmp_path)
    try:
        client = Store(store).client()
        executor = ClientExecutor(client)
        tenant = "a'b\\c\n"
        discount = f'discounts: [{{provider: openai, percent: 10, tenant: "{_quoted(tenant)}"}}]'
        import_prices(executor, discount)
        calls = [Call(), Call(tenant=tenant)]
        add(executor, calls)
        assert [cost_of(executor, call)[0] for call in calls] == [Decimal("0.0035"), Decimal("0.00315")]
        while recompute(executor, settle_s=0, interval_s=0).more:
            pass
        ledger = "SELECT hour, tenant, calls, cost_usd, duration_hist FROM llm_hourly ORDER BY tenant"
        assert executor.rows(ledger) == [
            (NOON, "", 1, Decimal("0.0035"), {63: 1}),
            (NOON, tenant, 1, Decimal("0.00315"), {63: 1}),
        ]
        client.close()
    finally:
        store.stop()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
