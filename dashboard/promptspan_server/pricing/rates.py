"""Price rows: what one model cost, from when to when, per million tokens of each bucket.

A row is valid for a half-open time [valid_from, valid_to), for a part of the UTC day [day_from_s, day_to_s)
(off-peak prices) and for calls with an inclusive input of [input_from, input_to) tokens (context tiers: the
whole call is billed at the tier that its input reaches). For one (price_id, tier, tenant) the rows never
overlap, so a call meets at most one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise

from promptspan_server.pricing.meters import METERS

BEGIN = datetime(1970, 1, 1, tzinfo=timezone.utc)
END = datetime(2106, 1, 1, tzinfo=timezone.utc)
"""The ends of time for a price: what a ClickHouse `DateTime` holds."""
DAY_S = 86_400
ANY_INPUT = 2**64 - 1
"""No upper limit of a context tier, in tokens."""

_SCALE = Decimal(1).scaleb(-18)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Prices:
    """The prices in force at one moment for one size of input.

    Attributes:
        by_meter: USD per million tokens by meter name, only what the source states.
        request_usd: USD for the call itself.
        contract: The user's rule behind these prices, empty for public ones.
    """

    by_meter: Mapping[str, Decimal]
    request_usd: Decimal = Decimal(0)
    contract: str = ""


PriceLookup = Callable[[str, datetime, int], Prices]
"""Prices of a model by (tier, moment, inclusive input tokens)."""


@dataclass(frozen=True)
class PricedModel:
    """A model that can be billed, and every boundary at which its price may change.

    Attributes:
        tiers: Service tiers with prices of their own, the standard one (`""`) among them.
        dates: Moments (UTC) at which a price begins or ends.
        day_seconds: Seconds of the UTC day at which a price begins or ends.
        thresholds: Inclusive input tokens above which another price holds.
        prices: The lookup.
        source: Where the prices were read.
    """

    price_id: str
    provider: str
    model: str
    tiers: tuple[str, ...]
    dates: frozenset[datetime]
    day_seconds: frozenset[int]
    thresholds: frozenset[int]
    prices: PriceLookup
    source: str
    context_window: int | None = None
    deprecated: bool = False


@dataclass(frozen=True)
class Rate:
    """One price row.

    Attributes:
        usd_per_mtok: What is billed per million tokens, in the order of `METERS`; None where nothing prices
            the bucket (a call with tokens in it is unpriced, never free).
        request_usd: What one call costs besides its tokens.
        list_usd_per_mtok: The public price before the user's contract, same order.
        source: Where the price was read.
        contract: The user's rule that changed it, empty for the public price.
    """

    price_id: str
    tier: str
    tenant: str
    valid_from: datetime
    valid_to: datetime
    day_from_s: int
    day_to_s: int
    input_from: int
    input_to: int
    usd_per_mtok: tuple[Decimal | None, ...]
    request_usd: Decimal
    list_usd_per_mtok: tuple[Decimal | None, ...]
    source: str
    contract: str = ""


def tabulate(
    model: PricedModel,
    tier: str,
    tenant: str = "",
    *,
    contracted: Callable[[datetime, int, Prices], Prices] | None = None,
    extra_dates: frozenset[datetime] = frozenset(),
    extra_thresholds: frozenset[int] = frozenset(),
) -> list[Rate]:
    """Write a model's prices as rows, one for each stretch in which nothing changes.

    Args:
        model: The model.
        tier: One of `model.tiers`.
        tenant: Whose prices these are, empty for everyone without a contract of his own.
        contracted: Turns the public prices at (moment, input) into the contracted ones.
        extra_dates: Moments at which a contract changes.
        extra_thresholds: Input sizes at which a contract changes.
    """
    dates = sorted({BEGIN, END} | {d for d in model.dates | extra_dates if BEGIN < d < END})
    thresholds = sorted(model.thresholds | extra_thresholds)
    rows: list[Rate] = []
    previous: list[Rate] = []
    for start, end in pairwise(dates):
        period = _period(model, tier, tenant, (start, end), contracted=contracted, thresholds=thresholds)
        if [_undated(rate) for rate in previous] == [_undated(rate) for rate in period]:
            previous = [replace(rate, valid_to=end) for rate in previous]
            continue
        rows += previous
        previous = period
    return rows + previous


def _period(
    model: PricedModel,
    tier: str,
    tenant: str,
    period: tuple[datetime, datetime],
    *,
    contracted: Callable[[datetime, int, Prices], Prices] | None,
    thresholds: list[int],
) -> list[Rate]:
    start, end = period
    rows: list[Rate] = []
    for input_from, input_to in pairwise([0, *(threshold + 1 for threshold in thresholds), ANY_INPUT]):
        slots: list[Rate] = []
        for day_from, day_to in pairwise(sorted({0, DAY_S} | model.day_seconds)):
            moment = _moment(start, end, day_from, day_to)
            if moment is None:
                continue
            public = model.prices(tier, moment, input_from)
            paid = contracted(moment, input_from, public) if contracted else public
            rate = Rate(
                price_id=model.price_id,
                tier=tier,
                tenant=tenant,
                valid_from=start,
                valid_to=end,
                day_from_s=day_from,
                day_to_s=day_to,
                input_from=input_from,
                input_to=input_to,
                usd_per_mtok=_resolved(paid.by_meter),
                request_usd=paid.request_usd,
                list_usd_per_mtok=_resolved(public.by_meter),
                source=model.source,
                contract=paid.contract,
            )
            if slots and slots[-1].day_to_s == day_from and _same_price(slots[-1], rate):
                slots[-1] = replace(slots[-1], day_to_s=day_to)
            else:
                slots.append(rate)
        rows += slots
    return _merged_tiers(rows)


def _merged_tiers(rows: list[Rate]) -> list[Rate]:
    merged: list[Rate] = []
    for rate in rows:
        below = next(
            (
                i
                for i, other in enumerate(merged)
                if other.input_to == rate.input_from
                and (other.day_from_s, other.day_to_s) == (rate.day_from_s, rate.day_to_s)
                and _same_price(other, rate)
            ),
            None,
        )
        if below is None:
            merged.append(rate)
        else:
            merged[below] = replace(merged[below], input_to=rate.input_to)
    return merged


def _moment(start: datetime, end: datetime, day_from_s: int, day_to_s: int) -> datetime | None:
    """The first moment of a period that lies in a part of the day, None if there is none."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight, midnight + timedelta(days=1)):
        moment = max(start, day + timedelta(seconds=day_from_s))
        if moment < day + timedelta(seconds=day_to_s) and moment < end:
            return moment
    return None


def _resolved(by_meter: Mapping[str, Decimal]) -> tuple[Decimal | None, ...]:
    return tuple(by_meter.get(meter.name, by_meter.get(meter.parent)) for meter in METERS)


def _same_price(left: Rate, right: Rate) -> bool:
    return (left.usd_per_mtok, left.request_usd, left.list_usd_per_mtok, left.contract) == (
        right.usd_per_mtok,
        right.request_usd,
        right.list_usd_per_mtok,
        right.contract,
    )


def _undated(rate: Rate) -> Rate:
    return replace(rate, valid_from=BEGIN, valid_to=END)


def discounted(price: Decimal, percent: Decimal) -> Decimal:
    """A list price less a discount, rounded half-even to 18 decimals: that is then the price."""
    return _EXACT.multiply(price, (Decimal(100) - percent) / Decimal(100)).quantize(_SCALE, context=_EXACT)
