from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from pricing.calls import NOON
from promptspan_server.pricing.catalogue import book_in_force, list_prices, show_price
from promptspan_server.pricing.sync import import_prices, sync_prices

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor


def test_before_the_first_synchronisation_there_is_no_book(store: Executor) -> None:
    assert book_in_force(store) is None
    assert list_prices(store, at=NOON) == []


def test_the_list_shows_the_prices_of_a_moment(store: Executor) -> None:
    summary = sync_prices(store)
    book = book_in_force(store)
    assert book is not None
    assert (book.version, book.hash, book.rows) == (summary.version, summary.hash, summary.rows)
    early, late = datetime(2026, 8, 1, tzinfo=timezone.utc), datetime(2026, 10, 1, tzinfo=timezone.utc)
    found = [
        (line.input_from, line.usd_per_mtok["input"])
        for at in (early, late)
        for line in list_prices(store, search="OPENAI/gpt-5.6-sol", at=at)
        if (line.price_id, line.tier) == ("openai/gpt-5.6-sol", "")
    ]
    assert found == [(0, Decimal(5)), (272_001, Decimal(10)), (0, Decimal(4)), (272_001, Decimal(8))]
    assert len(list_prices(store, at=NOON, limit=7)) == 7


def test_a_price_is_shown_with_all_its_dates_and_its_contract(store: Executor) -> None:
    import_prices(store, "rates: [{provider: vllm, model: m, from: 2026-01-01, usd_per_mtok: {input: 1.5}}]")
    before, since = show_price(store, "vllm/m")
    assert (before.valid_to, before.usd_per_mtok["input"]) == (
        datetime(2026, 1, 1, tzinfo=timezone.utc),
        None,
    )
    assert (since.usd_per_mtok["input"], since.usd_per_mtok["output"]) == (Decimal("1.5"), None)
    assert (since.source, since.contract) == ("prices.yaml", "vllm/m: contracted rate")
