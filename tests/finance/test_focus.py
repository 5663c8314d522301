"""Charges: every one is quantity x price, and together they are the ledger."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hypothesis import given

from finance.charges import LEDGERS, RATES, TERMS, charges_of, group
from promptspan_server.finance.currency import parse_rates
from promptspan_server.finance.focus import Charges
from promptspan_server.finance.focus_columns import COLUMNS

if TYPE_CHECKING:
    from promptspan_server.finance.ledger import LedgerRow

EUR = parse_rates("currency: EUR\nrates:\n  2026-10: 0.9234567891\n  2026-10-05: 0.93\n")


def exact(values: Any) -> Fraction:
    return sum((Fraction(value) for value in values), Fraction(0))


@given(LEDGERS)
def test_charges_add_up_to_the_ledger_and_each_is_quantity_times_price(rows: list[LedgerRow]) -> None:
    made, charges = charges_of(rows, EUR)
    spent = exact(row.cost_usd for row in rows if row.cost_usd is not None)
    for name in ("BilledCost", "ContractedCost", "EffectiveCost"):
        assert exact(charge[name] for charge in charges) == spent
    assert Fraction(made.billed) == Fraction(made.ledger) == spent
    for charge in charges:
        if charge["ChargeCategory"] == "Adjustment":
            assert charge["PricingQuantity"] is charge["ContractedUnitPrice"] is charge["SkuId"] is None
            assert charge["ListCost"] == charge["BilledCost"]
            continue
        quantity = Fraction(charge["PricingQuantity"])  # type: ignore[arg-type]
        assert quantity * Fraction(charge["ContractedUnitPrice"]) == Fraction(charge["BilledCost"])  # type: ignore[arg-type]
        assert quantity * Fraction(charge["ListUnitPrice"]) == Fraction(charge["ListCost"])  # type: ignore[arg-type]
        if charge["ConsumedUnit"] == "Tokens":
            assert quantity * 1_000_000 == charge["ConsumedQuantity"]


@given(LEDGERS)
def test_every_call_is_counted_once_as_charged_or_uncharged(rows: list[LedgerRow]) -> None:
    made, charges = charges_of(rows)
    assert made.calls == sum(row.calls for row in rows)
    assert made.uncharged_calls == sum(
        row.calls for row in rows if row.keys["price_status"] in ("unpriced", "no_usage")
    )
    assert sum(row[4] for row in made.uncharged) == made.uncharged_calls
    charged = sum(int(charge["x_Requests"] or 0) for charge in charges)  # type: ignore[call-overload]
    # A call without a single token has no meter, and so no charge to be counted on.
    assert charged <= made.calls - made.uncharged_calls


@given(LEDGERS)
def test_the_reporting_currency_adds_up_to_the_exact_sum_rounded_once(rows: list[LedgerRow]) -> None:
    made, charges = charges_of(rows, EUR)
    wanted = exact(
        Fraction(row.cost_usd) * Fraction(EUR.on(row.at))
        for row in rows
        if row.cost_usd is not None and row.at is not None
    )
    reported = exact(charge["x_ReportingCost"] for charge in charges)
    assert reported == Fraction(made.reporting)
    assert abs(reported - wanted) <= Fraction(1, 2 * 10**12)
    for charge in charges:
        amount = Fraction(charge["BilledCost"]) * Fraction(charge["x_FxRate"])  # type: ignore[arg-type]
        assert abs(Fraction(charge["x_ReportingCost"]) - amount) <= Fraction(1, 10**12)  # type: ignore[arg-type]


def test_a_contract_shows_beside_the_public_price() -> None:
    _, charges = charges_of([group(rate="r-contract", calls=2, input=1_000_000, cache_write_1h=500_000)])
    first, second, third, rounding = charges
    assert (first["SkuId"], first["SkuMeter"]) == ("anthropic/claude-sonnet-4-5/input", "Input tokens")
    assert first["SkuPriceId"] == "anthropic/claude-sonnet-4-5/input/batch/from-200001-tokens"
    assert (first["ContractedUnitPrice"], first["ListUnitPrice"]) == (Decimal("2.787654321"), Decimal(3))
    assert (first["ContractedCost"], first["ListCost"]) == (Decimal("2.787654321"), Decimal(3))
    assert (first["PricingQuantity"], first["PricingUnit"]) == (Decimal(1), "1000000 Tokens")
    assert (first["ConsumedQuantity"], first["ConsumedUnit"]) == (Decimal(1_000_000), "Tokens")
    assert first["x_Requests"] == 2
    assert second["SkuMeter"] == "Cache write 1h tokens"
    assert second["x_Requests"] is None
    assert (third["SkuMeter"], third["BilledCost"]) == ("Requests", Decimal("0.0002469"))
    assert rounding["ChargeCategory"] == "Adjustment"
    assert '"x_Contract":"anthropic: 10 % off"' in str(first["SkuPriceDetails"])


def test_a_cost_that_the_provider_returned_is_charged_as_it_is() -> None:
    _, (charge,) = charges_of(
        [group(status="reported", calls=3, cost_usd=Decimal("0.1234"), reported=3, input=10)]
    )
    assert charge["BilledCost"] == charge["PricingQuantity"] == Decimal("0.1234")
    assert (charge["ContractedUnitPrice"], charge["ConsumedQuantity"]) == (Decimal(1), Decimal(3))
    assert charge["x_CostBasis"] == "reported"


def test_what_has_no_price_is_listed_apart_and_is_no_charge_of_zero() -> None:
    made, charges = charges_of(
        [group(status="unpriced", calls=3, input=7), group(status="no_usage", calls=2)]
    )
    assert charges == []
    assert [(row[3], row[4], row[5]) for row in made.uncharged] == [
        ("usage without a price in the price book", 3, 7),
        ("usage not known", 2, 0),
    ]


def test_an_answer_from_the_applications_cache_was_not_bought() -> None:
    made, charges = charges_of([group(rate="", calls=4, input=100, cost_usd=Decimal(0), priced=4)])
    assert (charges, made.calls, made.uncharged_calls) == ([], 4, 0)


def test_a_cost_whose_price_is_gone_is_still_in_the_sum() -> None:
    made, (charge,) = charges_of([group(rate="gone", calls=4, cost_usd=Decimal("1.5"), priced=4)])
    assert (made.billed, charge["ChargeCategory"]) == (Decimal("1.5"), "Adjustment")


def test_roundings_of_a_day_and_key_are_one_charge() -> None:
    rows = [group(rate="r-own", input=1), group(rate="r-own", input=2), group(1, rate="r-own", input=3)]
    _, charges = charges_of(rows)
    assert [charge["ChargeCategory"] for charge in charges] == [
        "Usage",
        "Usage",
        "Adjustment",
        "Usage",
        "Adjustment",
    ]


def test_a_row_has_a_value_for_every_column() -> None:
    (row,) = list(Charges(RATES, TERMS).of([group(input=10)]))
    assert len(row) == len(COLUMNS)
