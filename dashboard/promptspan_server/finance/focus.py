"""FOCUS 1.2: one charge a day, meter and allocation key, from groups of the ledger.

    https://focus.finops.org/focus-specification/v1-2/

Where a price made the cost, quantity x unit price is the cost, exactly. The ledger rounds each call to a
billionth of a dollar; what that adds up to in a group is a charge of its own (category Adjustment), so that
the charges add up to the ledger to its last digit. A cost that the provider returned is a charge whose
quantity is that cost. Calls without a cost are no charges: FOCUS knows no unknown amount, and zero would be a
lie. They go to a list of their own (`Uncharged`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.currency import EXACT
from promptspan_server.pricing.meters import METER_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from promptspan_server.finance.currency import Conversion
    from promptspan_server.finance.ledger import LedgerRow

GROUPING: Final = (
    "day",
    "provider",
    "model",
    "price_id",
    "rate_id",
    "price_status",
    "tier",
    "service",
    "feature",
    "prompt",
    "version",
    "environment",
    "tenant",
    "tags",
)
"""How the ledger is grouped for charges."""

TAGGED: Final = ("feature", "service", "environment", "tenant", "tags", "team", "cost_centre", "product")
"""Keys of a group that are tags, where they are set; the last three come from allocation rules."""

_MILLION: Final = 6
_DAY: Final = timedelta(days=1)
_NOTHING: Final = Decimal(0)
_ONE: Final = Decimal(1)
_REASONS: Final = {
    "unpriced": "usage without a price in the price book",
    "no_usage": "usage not known",
}


@dataclass(frozen=True, slots=True)
class RateRecord:
    """A price that made costs.

    Attributes:
        rate_id: `price_rates.rate_id`.
        price_id: `provider/model`.
        tier: Service tier, empty for the standard one.
        input_from: Tokens of input from which it applies.
        day_from_s: Second of the UTC day from which it applies.
        usd_per_mtok: Contracted price of each meter, None where none is known.
        list_usd_per_mtok: Public price of each meter.
        request_usd: Price of a call besides its tokens.
        contract: The rule of the user's price file, empty for the public price.
    """

    rate_id: str
    price_id: str
    tier: str
    input_from: int
    day_from_s: int
    usd_per_mtok: tuple[Decimal | None, ...]
    list_usd_per_mtok: tuple[Decimal | None, ...]
    request_usd: Decimal
    contract: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What all charges of an export have in common.

    Attributes:
        start: Of the month, UTC.
        end: Of the month, UTC, exclusive.
        price_book: Its version, for people.
        currency: The reporting currency, empty for none.
        convert: Converts into it, None for none.
        revision: Of a closed month, None while it is open.
    """

    start: datetime
    end: datetime
    price_book: str
    currency: str = ""
    convert: Conversion | None = None
    revision: int | None = None


class Charges:
    """Turns groups of the ledger into rows of charges, and keeps what it added up.

    Attributes:
        billed: Sum of BilledCost so far, exactly.
        ledger: Sum of the ledger's cost so far; the same once a day is complete.
        calls: Calls so far.
        uncharged_calls: Those of them without a cost.
        reporting: Sum of x_ReportingCost so far.
    """

    def __init__(self, rates: Mapping[str, RateRecord], terms: Terms) -> None:
        self._rates = rates
        self._terms = terms
        self._correction = terms.revision is not None and terms.revision > 1
        self.billed = _NOTHING
        self.ledger = _NOTHING
        self.reporting = _NOTHING
        self.calls = 0
        self.uncharged_calls = 0
        self.uncharged: list[tuple[Any, ...]] = []

    def of(self, rows: Iterable[LedgerRow]) -> Iterator[tuple[Any, ...]]:
        """Yield rows in the order of `COLUMNS`, for groups by `GROUPING` in the order of days.

        `uncharged` is filled on the way, in the order of `UNCHARGED_COLUMNS`.
        """
        for _, day in groupby(rows, key=_day):
            yield from self.of_day(day)

    def of_day(self, rows: Iterable[LedgerRow]) -> Iterator[tuple[Any, ...]]:
        """As `of`, for the groups of one day, all of them."""
        rest: dict[tuple[Any, ...], tuple[_Group, Decimal]] = {}
        for row in rows:
            self.calls += row.calls
            if row.keys["price_status"] in _REASONS:
                self._leave_out(row)
                continue
            cost = row.cost_usd or _NOTHING
            self.ledger = EXACT.add(self.ledger, cost)
            group = _Group(row, self._tags(row))
            charged = _NOTHING
            requests: int | None = row.calls
            for charge in self._metered(row, group):
                charged = EXACT.add(charged, charge.billed)
                yield self._row(group, charge, requests)
                requests = None
            if charged != cost:
                _, before = rest.get(group.key, (group, _NOTHING))
                rest[group.key] = group, EXACT.add(before, EXACT.subtract(cost, charged))
        yield from self._roundings(rest)

    def _metered(self, row: LedgerRow, group: _Group) -> Iterator[_Charge]:
        if row.keys["price_status"] == "reported":
            cost = row.cost_usd or _NOTHING
            if cost or row.calls:
                yield _reported(row, group, cost)
            return
        rate = self._rates.get(row.keys["rate_id"])
        if rate is None:
            return  # answered by a cache of the application: nothing was bought
        for bit, name in enumerate(METER_NAMES):
            tokens: int = getattr(row, name)
            price = rate.usd_per_mtok[bit]
            if tokens and price is not None:
                yield _tokens(rate, name, tokens, price, rate.list_usd_per_mtok[bit])
        if rate.request_usd and row.calls:
            yield _requests(rate, row.calls)

    def _roundings(self, rest: Mapping[Any, tuple[_Group, Decimal]]) -> Iterator[tuple[Any, ...]]:
        for group, amount in rest.values():
            if amount:
                yield self._row(group, _rounding(amount), None)

    def _row(self, group: _Group, charge: _Charge, requests: int | None) -> tuple[Any, ...]:
        terms = self._terms
        self.billed = EXACT.add(self.billed, charge.billed)
        rate = amount = None
        if terms.convert is not None:
            rate, amount = terms.convert(charge.billed, group.day)
            self.reporting = EXACT.add(self.reporting, amount)
        return (
            charge.billed,
            group.vendor,
            group.vendor,
            "USD",
            terms.end,
            terms.start,
            charge.category,
            "Correction" if self._correction else None,
            charge.description,
            "Usage-Based" if charge.category == "Usage" else "One-Time",
            group.day + _DAY,
            group.day,
            None,
            charge.consumed,
            charge.consumed_unit,
            charge.billed,
            charge.unit_price,
            charge.billed,
            None,
            group.vendor,
            charge.list_cost,
            charge.list_unit_price,
            "Standard" if charge.category == "Usage" else None,
            "USD",
            charge.unit_price,
            charge.billed,
            charge.list_unit_price,
            charge.quantity,
            charge.unit,
            group.vendor,
            group.vendor,
            "AI and Machine Learning",
            f"{group.vendor} API",
            "Generative AI",
            charge.sku,
            charge.meter,
            charge.details,
            charge.price_id,
            None,
            None,
            group.tags,
            charge.basis,
            rate,
            terms.price_book,
            group.prompt or None,
            group.version or None,
            charge.rate_id,
            amount,
            terms.currency or None,
            requests,
            terms.revision,
        )

    def _leave_out(self, row: LedgerRow) -> None:
        self.uncharged_calls += row.calls
        self.uncharged.append(
            (
                row.at,
                row.keys["provider"] or "unknown",
                row.keys["model"] or None,
                _REASONS[row.keys["price_status"]],
                row.calls,
                *(getattr(row, name) for name in METER_NAMES),
                row.keys["prompt"] or None,
                row.keys["version"] or None,
                self._tags(row),
            )
        )

    @staticmethod
    def _tags(row: LedgerRow) -> str:
        return _json({name: value for name in TAGGED if (value := row.keys.get(name))})


def _day(row: LedgerRow) -> datetime | None:
    return row.at


class _Group:
    """What the charges of one group of the ledger have in common."""

    __slots__ = ("day", "key", "model", "prompt", "tags", "vendor", "version")

    def __init__(self, row: LedgerRow, tags: str) -> None:
        if row.at is None:
            raise ValueError("charges are made of days")
        keys = row.keys
        vendor, _, model = keys["price_id"].partition("/")
        self.day: datetime = row.at
        self.vendor = vendor or keys["provider"] or "unknown"
        self.model = model or keys["model"] or "unknown"
        self.prompt = keys["prompt"]
        self.version = keys["version"]
        self.tags = tags
        self.key = (self.vendor, self.prompt, self.version, tags)


@dataclass(frozen=True, slots=True)
class _Charge:
    category: str
    description: str
    basis: str
    billed: Decimal
    list_cost: Decimal
    quantity: Decimal | None = None
    unit: str | None = None
    unit_price: Decimal | None = None
    list_unit_price: Decimal | None = None
    consumed: Decimal | None = None
    consumed_unit: str | None = None
    sku: str | None = None
    meter: str | None = None
    price_id: str | None = None
    details: str | None = None
    rate_id: str | None = None


def _tokens(rate: RateRecord, meter: str, tokens: int, price: Decimal, public: Decimal | None) -> _Charge:
    # A model of the user's own has no public price: what was agreed is the only one.
    listed = price if public is None else public
    consumed = Decimal(tokens)
    quantity = EXACT.scaleb(consumed, -_MILLION)
    name = meter.replace("_", " ")
    return _Charge(
        "Usage",
        f"{rate.price_id}: {name} tokens",
        "priced",
        EXACT.multiply(quantity, price),
        EXACT.multiply(quantity, listed),
        quantity,
        "1000000 Tokens",
        price,
        listed,
        consumed,
        "Tokens",
        f"{rate.price_id}/{meter}",
        f"{name.capitalize()} tokens",
        _price_id(rate, meter),
        _details(rate),
        rate.rate_id,
    )


def _requests(rate: RateRecord, calls: int) -> _Charge:
    quantity = Decimal(calls)
    cost = EXACT.multiply(quantity, rate.request_usd)
    return _Charge(
        "Usage",
        f"{rate.price_id}: requests",
        "priced",
        cost,
        cost,
        quantity,
        "Requests",
        rate.request_usd,
        rate.request_usd,
        quantity,
        "Requests",
        f"{rate.price_id}/request",
        "Requests",
        _price_id(rate, "request"),
        _details(rate),
        rate.rate_id,
    )


def _reported(row: LedgerRow, group: _Group, cost: Decimal) -> _Charge:
    sku = f"{group.vendor}/{group.model}/reported"
    return _Charge(
        "Usage",
        f"{group.vendor}/{group.model}: cost as the provider returned it with each answer",
        "reported",
        cost,
        cost,
        cost,
        "USD as reported",
        _ONE,
        _ONE,
        Decimal(row.calls),
        "Requests",
        sku,
        "Reported cost",
        sku,
        None,
        None,
    )


def _rounding(amount: Decimal) -> _Charge:
    return _Charge(
        "Adjustment",
        "Rounding: each call is booked to a billionth of a dollar, quantity x price is not",
        "rounding",
        amount,
        amount,
    )


def _price_id(rate: RateRecord, meter: str) -> str:
    parts = [rate.price_id, meter, rate.tier or "standard"]
    if rate.input_from:
        parts.append(f"from-{rate.input_from}-tokens")
    if rate.day_from_s:
        parts.append(f"from-{rate.day_from_s}-seconds")
    return "/".join(parts)


def _details(rate: RateRecord) -> str:
    details: dict[str, Any] = {"x_ServiceTier": rate.tier or "standard"}
    if rate.input_from:
        details["x_InputTokensFrom"] = rate.input_from
    if rate.day_from_s:
        details["x_SecondOfDayFrom"] = rate.day_from_s
    if rate.contract:
        details["x_Contract"] = rate.contract
    return _json(details)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
