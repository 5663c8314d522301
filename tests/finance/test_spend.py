from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.rows import LEDGERS
from finance.test_allocation import RULES
from promptspan_server.finance.currency import RatesError, parse_rates
from promptspan_server.finance.ledger import COUNTS, LedgerRow, month, nanos, total
from promptspan_server.finance.spend import GROUPINGS, so_far, spend
from promptspan_server.finance.spend_table import spend_rows, spend_table
from promptspan_server.finance.what_if import PriceNow, what_if

OCTOBER, NOVEMBER = month("2026-10"), month("2026-11")
RANGES = (NOVEMBER, OCTOBER)


@given(LEDGERS, LEDGERS, st.sampled_from(GROUPINGS))
def test_groups_by_anything_sum_to_the_ledger_in_every_column(
    rows: list[LedgerRow], before: list[LedgerRow], by: str
) -> None:
    found = spend(rows, before, {}, RULES, by=by, ranges=RANGES)
    for side, ledger in (("now", rows), ("before", before)):
        whole = total(ledger)
        parts = total(getattr(group, side) for group in found.groups)
        assert parts == total([getattr(found.total, side)]) == whole
    changes = sum(nanos(group.drivers.change) for group in found.groups)
    assert changes == nanos(found.total.drivers.change)


RATES = parse_rates("currency: EUR\nrates: {2026-10: 0.3333333333, 2026-10-31: 0.7}")
DAYS = [OCTOBER.start + timedelta(days=day) for day in (0, 14, 30)]


@given(LEDGERS, st.sampled_from(GROUPINGS))
def test_amounts_in_the_reporting_currency_sum_to_the_ledgers_sum_rounded_once(
    rows: list[LedgerRow], by: str
) -> None:
    dated = [replace(row, at=DAYS[index % 3]) for index, row in enumerate(rows)]
    found = spend(dated, [], {}, RULES, by=by, ranges=RANGES, exchange=RATES)
    assert found.reporting is not None
    costs = [(row.at, row.cost_usd) for row in dated if row.at and row.cost_usd is not None]
    amounts = [amount for amount in found.reporting.by_group.values() if amount is not None]
    if not costs:
        assert (found.reporting.total, amounts) == (None, [])
        return
    exact = sum(Fraction(cost) * Fraction(RATES.on(at.date())) for at, cost in costs)
    assert sum(map(Fraction, amounts)) == Fraction(found.reporting.total or 0)
    assert Fraction(found.reporting.total or 0) * 10**12 == round(exact * 10**12)
    table = spend_table(found)
    assert [row[-2:] for row in spend_rows(found)] == [
        (amount, "EUR") for amount in found.reporting.by_group.values()
    ]
    assert list(table.columns)[-2:] == ["reporting_cost", "reporting_currency"]


def test_a_day_without_a_rate_says_which_line_to_add() -> None:
    november = replace(row("1"), at=NOVEMBER.start)
    with pytest.raises(RatesError, match="2026-11: <EUR for one USD>"):
        spend([november], [], {}, RULES, by="model", ranges=RANGES, exchange=RATES)


def row(cost: str | None, status: str = "ok", calls: int = 1, **tokens: int) -> LedgerRow:
    keys = dict.fromkeys(("service", "feature", "tenant", "model"), "") | {"status": status}
    usd = None if cost is None else Decimal(cost)
    counted = LedgerRow(keys, calls=calls, priced=0 if usd is None else calls, cost_usd=usd)
    return replace(counted, **tokens)


def test_waste_counts_each_call_once_and_unknown_cost_stays_unknown() -> None:
    retried = LedgerRow(
        {**row("1").keys}, calls=9, retries=2, priced=9, cost_usd=Decimal(5), retries_cost_usd=Decimal(1)
    )
    failed_retry = LedgerRow(
        {**row("1", "cancelled").keys},
        calls=1,
        retries=1,
        priced=1,
        cost_usd=Decimal(2),
        retries_cost_usd=Decimal(2),
    )
    found = spend([retried, failed_retry, row(None, "error", 3)], [], {}, RULES, by="model", ranges=RANGES)
    assert [(each.kind, each.calls, each.usd) for each in found.waste] == [
        ("Failed", 3, None),
        ("Cancelled or abandoned", 1, Decimal(2)),
        ("Second and later tries that succeeded", 2, Decimal(1)),
    ]


def test_a_month_that_runs_is_compared_with_as_much_of_the_one_before() -> None:
    at = datetime(2026, 11, 19, 10, 30, tzinfo=timezone.utc)
    current, past = so_far(NOVEMBER, at)
    assert (current.end, past.end) == (at.replace(minute=0, hour=11), at.replace(minute=0, hour=11, month=10))
    assert so_far(OCTOBER, at) == (OCTOBER, month("2026-09"))
    late = so_far(month("2026-03"), datetime(2026, 3, 30, 5, tzinfo=timezone.utc))[1]
    assert late == month("2026-02")
    with pytest.raises(ValueError, match="2026-12 has not begun"):
        so_far(month("2026-12"), at)


def price(*usd: str | None, request: str = "0") -> PriceNow:
    return PriceNow("p/m", tuple(None if each is None else Decimal(each) for each in usd), Decimal(request))


def test_the_same_tokens_at_another_price() -> None:
    rows = [row("3", calls=2, input=1_000_000, output=500_000), row(None, calls=7, input=10**9)]
    found = what_if(rows, price("0.5", None, None, None, None, "2", None, None, request="0.01"))
    assert (found.calls, found.usd, found.other_usd) == (2, 3, Decimal("1.52"))


def test_a_bucket_without_a_price_makes_the_other_cost_unknown() -> None:
    found = what_if([row("3", input=5, reasoning=1)], price("1", *[None] * 4, "2", None, None))
    assert (found.other_usd, found.missing) == (None, ("reasoning",))


def test_a_grouping_that_is_not_known_is_refused() -> None:
    from promptspan_server.finance.spend import ledger_of

    with pytest.raises(ValueError, match="not by 'colour'"):
        ledger_of(NOVEMBER, "colour", RULES)
    assert set(COUNTS) >= {"calls", "input", "output"}
