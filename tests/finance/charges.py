"""Groups of a ledger and the prices that made their costs, for tests that need no store."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from promptspan_server.finance.focus import GROUPING, Charges, RateRecord, Terms
from promptspan_server.finance.ledger import LedgerRow
from promptspan_server.pricing.meters import METER_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.finance.currency import ExchangeRates

START = datetime(2026, 10, 1, tzinfo=timezone.utc)
END = datetime(2026, 11, 1, tzinfo=timezone.utc)
TERMS = Terms(START, END, "genai-prices 0.2.3")
NANO = Decimal("0.000000001")
_WIDE = Context(prec=60)

RATES = {
    rate.rate_id: rate
    for rate in (
        RateRecord(
            "r-public",
            "openai/gpt-4o",
            "",
            0,
            0,
            (*map(Decimal, ("2.5", "1.25", "2.5", "2.5", "40", "10", "10", "80")),),
            (*map(Decimal, ("2.5", "1.25", "2.5", "2.5", "40", "10", "10", "80")),),
            Decimal(0),
            "",
        ),
        RateRecord(
            "r-contract",
            "anthropic/claude-sonnet-4-5",
            "batch",
            200_001,
            0,
            (*map(Decimal, ("2.787654321", "0.27", "3.375", "5.4", "2.7", "13.5", "13.5", "13.5")),),
            (*map(Decimal, ("3", "0.3", "3.75", "6", "3", "15", "15", "15")),),
            Decimal("0.00012345"),
            "anthropic: 10 % off",
        ),
        RateRecord(
            "r-own",
            "own/llama",
            "",
            0,
            64_800,
            (Decimal("0.000000000000000001"), None, None, None, None, Decimal("0.1234567891234"), None, None),
            (None,) * 8,
            Decimal(0),
            "own/llama: contracted rate",
        ),
    )
}


def group(day: int = 0, status: str = "priced", rate: str = "r-public", **values: object) -> LedgerRow:
    """A group of calls whose cost is what the ledger books: that of each call, rounded to nine places."""
    keys = dict.fromkeys(GROUPING, "")
    del keys["day"]
    record = RATES.get(rate) if status == "priced" else None
    price_id = record.price_id if record else "openai/gpt-4o"
    keys |= {
        "price_status": status,
        "rate_id": record.rate_id if record else "",
        "price_id": price_id if status == "priced" else "",
        "provider": price_id.partition("/")[0],
        "model": price_id.partition("/")[2],
        "feature": "inbox",
        "service": "mail",
        "environment": "production",
    }
    keys |= {name: str(values.pop(name)) for name in list(values) if name in {*keys, "team"}}
    row = LedgerRow(keys, START + timedelta(days=day), **{"calls": 1, **values})  # type: ignore[arg-type]
    if record is not None and row.cost_usd is None:
        row = _priced(row, record)
    return row


def _priced(row: LedgerRow, record: RateRecord) -> LedgerRow:
    from dataclasses import replace

    # All calls of the group are alike, but for the rest of the division, which the first one has.
    cost = Decimal(0)
    for first, calls in ((True, 1), (False, row.calls - 1)):
        exact = Fraction(record.request_usd)
        for bit, name in enumerate(METER_NAMES):
            each, rest = divmod(getattr(row, name), max(row.calls, 1))
            tokens = each + rest * first
            if tokens:
                exact += Fraction(tokens) * Fraction(record.usd_per_mtok[bit] or 0) / 1_000_000
        rounded = (Decimal(exact.numerator) / Decimal(exact.denominator)) if exact else Decimal(0)
        cost += calls * rounded.quantize(NANO, rounding=ROUND_HALF_UP)
    return replace(row, priced=row.calls, cost_usd=cost if row.calls else None)


_TOKENS = st.integers(0, 3_000_000)
_TEXT = st.sampled_from(["", "inbox", "=HYPERLINK(1)", "+1", 'a"b,c', "ü\r\n", "@SUM(1)", "-2"])


@st.composite
def groups(draw: st.DrawFn) -> LedgerRow:
    """A group of any kind."""
    status = draw(st.sampled_from(["priced", "priced", "priced", "reported", "unpriced", "no_usage"]))
    rate = draw(st.sampled_from(sorted(RATES)))
    names = METER_NAMES if rate != "r-own" else ("input", "output")
    values: dict[str, object] = {name: draw(_TOKENS) for name in names}
    if status == "reported":
        values |= {"cost_usd": draw(st.decimals(0, 100, places=9)), "reported": 1}
    return group(
        draw(st.integers(0, 30)),
        status,
        rate,
        calls=draw(st.integers(1, 40)),
        feature=draw(_TEXT),
        prompt=draw(_TEXT),
        tenant=draw(_TEXT),
        **values,
    )


LEDGERS = st.lists(groups(), max_size=12).map(lambda rows: sorted(rows, key=lambda row: row.at or START))


def charges_of(
    rows: Sequence[LedgerRow], rates: ExchangeRates | None = None
) -> tuple[Charges, list[dict[str, object]]]:
    """The charges of some groups, as rows by name, and what made them."""
    from dataclasses import replace

    from promptspan_server.finance.currency import Conversion
    from promptspan_server.finance.focus_columns import COLUMNS

    terms = TERMS if rates is None else replace(TERMS, currency=rates.currency, convert=Conversion(rates))
    made = Charges(RATES, terms)
    return made, [dict(zip(COLUMNS, row, strict=True)) for row in made.of(rows)]
