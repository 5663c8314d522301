from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pricing.calls import Call, add, cost_of
from promptspan_server.pricing.contracts import PriceFileError
from promptspan_server.pricing.names import current_book, match_remembered
from promptspan_server.pricing.sync import import_prices
from promptspan_server.pricing.trial import try_prices

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

THIS_MONTH = datetime.now(timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
LAST_MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)
OWN = "rates: [{provider: openai, model: in-house, usd_per_mtok: {input: 1, output: 2}}]"


@pytest.fixture
def store(priced_store: Executor) -> Executor:
    """Two months of calls of a known and of an unknown model."""
    add(
        priced_store,
        [
            Call(ts=THIS_MONTH),
            Call(ts=THIS_MONTH, provider="anthropic", request_model="claude-3-5-haiku-latest"),
            Call(ts=LAST_MONTH + timedelta(days=3)),
            Call(ts=LAST_MONTH + timedelta(days=4)),
            Call(ts=THIS_MONTH, request_model="in-house"),
        ],
    )
    match_remembered(priced_store, current_book(priced_store))
    return priced_store


def test_a_discount_shows_by_month_and_model_to_the_last_digit(store: Executor) -> None:
    trial = try_prices(store, "discounts: [{provider: openai, percent: 10}]")
    assert not trial.same
    assert [(c.month, c.model, c.calls, c.before_usd, c.after_usd) for c in trial.changes] == [
        (THIS_MONTH, "gpt-4o", 1, Decimal("0.0035"), Decimal("0.00315")),
        (LAST_MONTH, "gpt-4o", 2, Decimal("0.007"), Decimal("0.0063")),
    ]
    before, after = trial.totals
    assert before is not None
    assert after is not None
    assert before - after == Decimal("0.00105")


def test_a_price_that_was_missing_shows_as_such_and_not_as_dollars_saved_or_spent(store: Executor) -> None:
    [change] = try_prices(store, OWN).changes
    assert (change.model, change.before_usd, change.after_usd) == ("in-house", None, Decimal("0.0012"))
    assert (change.unpriced_before, change.unpriced_after) == (1, 0)


def test_a_trial_changes_nothing_that_anybody_reads(store: Executor) -> None:
    book = current_book(store)
    call = Call(ts=THIS_MONTH)
    add(store, [call])
    before = cost_of(store, call)
    try_prices(store, "discounts: [{provider: openai, percent: 90}]")
    assert current_book(store) == book
    assert cost_of(store, call) == before
    assert store.rows("SELECT count() FROM price_files") == [(0,)]


def test_what_a_trial_says_is_what_taking_the_file_does(store: Executor) -> None:
    content = "discounts: [{provider: openai, percent: 12.5}]"
    trial = try_prices(store, content)
    import_prices(store, content)
    total = store.rows("SELECT sum(cost_usd) FROM llm_costs WHERE billable")[0][0]
    assert total == trial.totals[1]
    assert try_prices(store, content).same


def test_months_further_back_are_looked_at_when_asked_for(store: Executor) -> None:
    content = "discounts: [{provider: openai, percent: 10}]"
    assert {c.month for c in try_prices(store, content, months=1).changes} == {THIS_MONTH}
    with pytest.raises(ValueError, match="1 to 36"):
        try_prices(store, content, months=0)


def test_a_wrong_file_is_refused_before_anything_is_written(store: Executor) -> None:
    rows = store.rows("SELECT count() FROM price_rates")
    with pytest.raises(PriceFileError, match=r"mine\.yaml:1"):
        try_prices(store, "discounts: [{provider: openai, percent: 110}]", "mine.yaml")
    assert store.rows("SELECT count() FROM price_rates") == rows
