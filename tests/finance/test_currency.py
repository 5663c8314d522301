from __future__ import annotations

from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.finance.currency import Conversion, RatesError, convert, parse_rates

YAML = "version: 1\ncurrency: EUR\nrates:\n  2026-10: 0.9234\n  2026-10-31: 0.9301\n"
CSV = "period,currency,rate\n2026-10,EUR,0.9234\n2026-10-31,EUR,0.9301\n"


@pytest.mark.parametrize(("text", "name"), [(YAML, "rates.yaml"), (CSV, "rates.csv")])
def test_a_day_wins_over_its_month(text: str, name: str) -> None:
    rates = parse_rates(text, name)
    assert rates.currency == "EUR"
    assert rates.on(date(2026, 10, 30)) == Decimal("0.9234")
    assert rates.on(date(2026, 10, 31)) == Decimal("0.9301")


def test_a_missing_rate_says_what_to_add() -> None:
    with pytest.raises(RatesError) as raised:
        parse_rates(YAML).on(date(2026, 11, 1))
    assert str(raised.value) == (
        "no EUR rate for 2026-11-01: add a line `2026-11: <EUR for one USD>` to rates.yaml"
    )


@given(st.lists(st.tuples(st.decimals(-100, 100, places=24), st.integers(28, 31)), max_size=20))
def test_parts_add_up_to_the_whole_rounded_once(amounts: list[tuple[Decimal, int]]) -> None:
    rates = parse_rates(YAML)
    one_by_one = Conversion(rates)
    # Whatever precision the caller works with.
    with localcontext(prec=5):
        parts = [one_by_one(usd, date(2026, 10, day))[1] for usd, day in amounts]
        whole = convert(((date(2026, 10, day), usd) for usd, day in amounts), rates)
    assert sum(map(Fraction, parts)) == Fraction(whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("currency: euro\nrates: {2026-10: 1}", "no code of ISO 4217"),
        ("currency: EUR\nrates: {2026-10: 0}", "is no rate"),
        ("currency: EUR\nrates: {2026-10: -1}", "is no rate"),
        ("currency: EUR\nrates: {2026-10: 1e3}", "is no rate"),
        ("currency: EUR\nrates: {October: 1}", "neither a month"),
        ("currency: EUR", "has no rates"),
        ("currency: EUR\nrates: [1]", "periods and rates are expected"),
        ("version: 2\ncurrency: EUR", "version: 1 is the one"),
        ("rate: 3", "and nothing else"),
        ("currency: EUR\nrates:\n  2026-10: 0.9\n  2026-10: 0.8", "rates.yaml:4: 2026-10 is there twice"),
        ("a: [", "rates.yaml"),
    ],
)
def test_a_wrong_file_is_said_in_a_line(text: str, said: str) -> None:
    with pytest.raises(RatesError, match=said):
        parse_rates(text)


def test_a_table_has_one_currency_and_each_period_once() -> None:
    with pytest.raises(RatesError, match="one reporting currency"):
        parse_rates("period,currency,rate\n2026-10,EUR,1\n2026-11,CHF,1\n", "rates.csv")
    with pytest.raises(RatesError, match="twice"):
        parse_rates("period,currency,rate\n2026-10,EUR,1\n2026-10,EUR,2\n", "rates.csv")
    with pytest.raises(RatesError, match="columns period, currency and rate"):
        parse_rates("a,b\n1,2\n", "rates.csv")
