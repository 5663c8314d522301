from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pricing.calls import Call, add, cost_of
from promptspan_server.pricing.genai import read_package
from promptspan_server.pricing.rates import ANY_INPUT, END
from promptspan_server.pricing.sync import import_prices, sync_prices

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor


def test_the_first_synchronisation_puts_the_whole_package_in_force(store: Executor) -> None:
    summary = sync_prices(store)
    assert summary.changed
    assert summary.version == f"genai-prices {read_package().version}"
    assert summary.models == len(read_package().models)
    in_force = "FROM price_rates FINAL WHERE book = {book:String}"
    assert store.rows(f"SELECT count() {in_force}", {"book": summary.hash}) == [(summary.rows,)]


def test_a_second_synchronisation_finds_nothing_to_do(store: Executor) -> None:
    first = sync_prices(store)
    second = sync_prices(store)
    assert (second.hash, second.rows, second.changed) == (first.hash, first.rows, False)
    assert store.rows("SELECT count() FROM price_books") == [(1,)]


def test_a_synchronisation_that_was_cut_off_is_done_by_the_next(store: Executor) -> None:
    whole = sync_prices(store)
    store.command("TRUNCATE TABLE price_books")
    call = Call()
    add(store, [call])
    assert cost_of(store, call)[1] == "unpriced"
    again = sync_prices(store)
    assert (again.hash, again.changed) == (whole.hash, True)
    assert cost_of(store, call)[0] == Decimal("0.0035")
    assert store.rows("SELECT count() FROM price_rates FINAL") == [(whole.rows,)]


def test_old_books_stay_so_that_a_month_can_be_computed_again(store: Executor) -> None:
    before = sync_prices(store)
    after = import_prices(store, "discounts: [{provider: openai, percent: 5}]")
    books = store.rows("SELECT DISTINCT book FROM price_rates ORDER BY book")
    assert books == sorted([(before.hash,), (after.hash,)])


def test_the_rows_of_one_price_never_overlap(store: Executor) -> None:
    import_prices(
        store,
        """
        rates:
          - provider: deepseek
            model: deepseek-v4-*
            from: 2026-08-30
            to: 2026-09-20
            usd_per_mtok: {input: 1}
          - {provider: openai, model: gpt-5.6-*, tenant: acme, input_above: 100000, usd_per_mtok: {input: 1}}
        discounts:
          - {provider: openai, percent: 5, from: 2026-08-01 10:00:00, to: 2026-08-01 11:00:00}
          - {provider: deepseek, percent: 7, from: 2026-09-01}
        """,
    )
    overlaps = store.rows(
        """
        SELECT l.price_id, l.rate_id, r.rate_id
        FROM price_rates AS l
        INNER JOIN price_rates AS r USING (book, price_id, tier, tenant)
        WHERE l.rate_id < r.rate_id
            AND l.valid_from < r.valid_to AND r.valid_from < l.valid_to
            AND l.day_from_s < r.day_to_s AND r.day_from_s < l.day_to_s
            AND l.input_from < r.input_to AND r.input_from < l.input_to
        """
    )
    assert overlaps == []


@pytest.mark.parametrize("tenant", ["", "acme"])
def test_the_rows_of_one_price_leave_no_gap(store: Executor, tenant: str) -> None:
    import_prices(
        store,
        """
        discounts:
          - {provider: openai, percent: 5, tenant: acme, from: 2026-08-01 10:00:00, to: 2026-08-01 11:00:00}
        """,
    )
    # The volume of all rows of a price is the volume of all (second, second of the day, size of input).
    gaps = store.rows(
        """
        SELECT price_id, tier
        FROM price_rates
        WHERE price_rates.tenant = {tenant:String}
        GROUP BY price_id, tier
        HAVING sum(toDecimal256(toUInt32(valid_to) - toUInt32(valid_from), 0) * (day_to_s - day_from_s)
                * (toDecimal256(input_to, 0) - toDecimal256(input_from, 0)))
            != toDecimal256({seconds:UInt64}, 0) * 86400 * toDecimal256({sizes:UInt64}, 0)
        """,
        {"tenant": tenant, "seconds": str(int(END.timestamp())), "sizes": str(ANY_INPUT)},
    )
    assert gaps == []
