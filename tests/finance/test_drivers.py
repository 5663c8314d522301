from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from finance.rows import LEDGERS
from promptspan_server.finance.drivers import cells, drivers
from promptspan_server.finance.focus import RateRecord
from promptspan_server.finance.ledger import LedgerRow, nanos, total

if TYPE_CHECKING:
    from collections.abc import Sequence


def rate(name: str, input_usd: str, output_usd: str) -> RateRecord:
    prices = (Decimal(input_usd), None, None, None, None, Decimal(output_usd), None, None)
    return RateRecord(name, "openai/x", "", 0, 0, prices, prices, Decimal(0), "")


RATES = {
    each.rate_id: each for each in (rate("old", "2", "10"), rate("new", "3", "10"), rate("small", "0.5", "1"))
}


def row(model: str, rate_id: str, calls: int, input_tokens: int, output_tokens: int) -> LedgerRow:
    """Calls with so many tokens each, billed at a rate."""
    prices = RATES[rate_id].usd_per_mtok
    assert prices[0] is not None
    assert prices[5] is not None
    usd = (prices[0] * input_tokens + prices[5] * output_tokens) * calls / 1_000_000
    return LedgerRow(
        {"model": model, "rate_id": rate_id},
        calls=calls,
        priced=calls,
        input=input_tokens * calls,
        output=output_tokens * calls,
        cost_usd=usd,
    )


def explained(before: Sequence[LedgerRow], now: Sequence[LedgerRow]) -> tuple[float, ...]:
    found = drivers(*(cells(((each.keys["model"], each) for each in rows), RATES) for rows in (before, now)))
    return tuple(float(part) for part in (found.volume, found.mix, found.tokens, found.price))


BEFORE = [row("big", "old", 1000, 1000, 100), row("little", "small", 1000, 1000, 100)]


def test_twice_the_calls_are_volume_alone() -> None:
    now = [row("big", "old", 2000, 1000, 100), row("little", "small", 2000, 1000, 100)]
    assert explained(BEFORE, now) == (3.6, 0, 0, 0)


def test_more_of_the_dear_model_is_mix_alone() -> None:
    now = [row("big", "old", 1500, 1000, 100), row("little", "small", 500, 1000, 100)]
    assert explained(BEFORE, now) == (0, 1.2, 0, 0)


def test_longer_answers_are_tokens_at_the_price_of_answers() -> None:
    now = [row("big", "old", 1000, 1000, 150), row("little", "small", 1000, 1000, 100)]
    assert explained(BEFORE, now) == (0, 0, 0.5, 0)


def test_a_dearer_price_is_price_alone() -> None:
    now = [row("big", "new", 1000, 1000, 100), row("little", "small", 1000, 1000, 100)]
    assert explained(BEFORE, now) == (0, 0, 0, 1)


def test_a_new_model_is_volume_and_mix() -> None:
    before = [row("little", "small", 1000, 1000, 100)]
    assert explained(before, BEFORE) == (0.6, 2.4, 0, 0)


def test_without_a_month_before_all_is_volume_and_said_to_be_incomparable() -> None:
    found = drivers({}, cells((("m", each) for each in BEFORE), RATES))
    assert (found.volume, found.comparable) == (Decimal("3.6"), False)


@given(LEDGERS, LEDGERS, st.sampled_from(["feature", "model", "tenant"]))
def test_the_parts_sum_to_the_change_to_the_last_digit(
    before: list[LedgerRow], now: list[LedgerRow], by: str
) -> None:
    found = drivers(*(cells(((each.keys[by], each) for each in rows), RATES) for rows in (before, now)))
    costs = [nanos(total(rows).cost_usd or Decimal(0)) for rows in (before, now)]
    assert nanos(found.change) == costs[1] - costs[0]
