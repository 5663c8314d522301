"""The user's own price file, `prices.yaml`: contracted rates, discounts, own models and names.

    version: 1
    rates:                                # net prices: a discount below does not touch them
      - provider: openai                  # provider and model as `promptspan prices list` shows them
        model: gpt-4o                     # `*` stands for any characters
        tenant: acme                      # optional: only that tenant's calls
        from: 2026-01-01                  # optional, UTC, inclusive
        to: 2027-01-01                    # optional, UTC, exclusive
        usd_per_mtok: {input: 2.00, cache_read: 0.20, output: 8.00}   # other buckets keep the public price
    discounts:
      - {provider: anthropic, percent: 12.5, from: 2026-03-01}
    names:                                # what a deployment or a gateway calls a model of the book
      - {provider: azure, model: prod-chat-*, price: azure/openai/gpt-4o}

A rate for a provider and model that the book does not have defines it (a self-hosted model, a gateway). Of
several entries that fit a call, one with a tenant beats one without, and a later one an earlier one.
"""

from __future__ import annotations

from datetime import date, datetime, time, timezone
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from promptspan_server.pricing.rates import BEGIN, END, PricedModel, Prices, discounted
from promptspan_server.pricing.yaml_file import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_USD_PER_MTOK = Decimal(100_000)
_PRICE_PLACES = 18

MeterName = Literal[
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "output",
    "reasoning",
    "audio_output",
]


class PriceFileError(ValueError):
    """A price file that cannot be taken; the message names file, line and field."""


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, date):
        return datetime.combine(value, time(), timezone.utc)
    return value


def _whole_second(value: datetime) -> datetime:
    moment = value.astimezone(timezone.utc)
    if moment.microsecond:
        raise ValueError("prices change at whole seconds")
    if not BEGIN <= moment <= END:
        raise ValueError(f"must lie between {BEGIN.date()} and {END.date()}")
    return moment


def _price(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > _PRICE_PLACES:
        raise ValueError(f"at most {_PRICE_PLACES} decimal places")
    return value


Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_whole_second)]
Usd = Annotated[Decimal, Field(ge=0, le=_MAX_USD_PER_MTOK, allow_inf_nan=False), AfterValidator(_price)]
Name = Annotated[str, Field(min_length=1), AfterValidator(str.lower)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    provider: Name


class _Dated(_Entry):
    model: Name
    tenant: str = ""
    from_: Moment = Field(default=BEGIN, alias="from")
    to: Moment = END

    @model_validator(mode="after")
    def _forward(self) -> _Dated:
        if self.to <= self.from_:
            raise ValueError("`to` must be later than `from`")
        return self

    def applies(self, provider: str, model: str, tenant: str) -> bool:
        """Whether the entry fits calls of this provider, model and tenant at some time."""
        return (
            self.provider == provider
            and fnmatchcase(model.lower(), _fnmatch(self.model))
            and (self.tenant in ("", tenant))
        )


class ContractRate(_Dated):
    """Net prices that replace the public ones, bucket by bucket."""

    tier: str = ""
    input_above: int = Field(default=0, ge=0)
    usd_per_mtok: dict[MeterName, Usd] = Field(min_length=1)
    usd_per_request: Usd | None = None


class Discount(_Dated):
    """A percentage off the public prices, of all the provider's models unless one is named."""

    model: Name = "*"
    percent: Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)]


class NamedPrice(_Entry):
    """A name that means a model of the book."""

    model: Name
    price: Annotated[str, Field(min_length=1)]


_E = TypeVar("_E", ContractRate, Discount)


class Contracts(BaseModel):
    """A parsed price file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    rates: tuple[ContractRate, ...] = ()
    discounts: tuple[Discount, ...] = ()
    names: tuple[NamedPrice, ...] = ()

    def dated(self) -> Iterable[ContractRate | Discount]:
        """Every entry that changes a price."""
        return (*self.rates, *self.discounts)

    def tenants(self) -> tuple[str, ...]:
        """Tenants with prices of their own, sorted."""
        return tuple(sorted({entry.tenant for entry in self.dated() if entry.tenant}))

    def prices(
        self,
        model: PricedModel,
        public: Prices,
        *,
        tenant: str,
        tier: str,
        moment: datetime,
        input_tokens: int,
    ) -> Prices:
        """The prices that one tenant pays at one moment for one size of input, given the public ones."""

        def fits(entry: ContractRate | Discount) -> bool:
            return entry.applies(model.provider, model.model, tenant) and entry.from_ <= moment < entry.to

        rate = _strongest(
            [
                r
                for r in self.rates
                if fits(r) and r.tier == tier and (input_tokens > r.input_above or not r.input_above)
            ]
        )
        discount = _strongest([d for d in self.discounts if fits(d)])
        by_meter = dict(public.by_meter)
        request_usd = public.request_usd
        said: list[str] = []
        if discount is not None:
            by_meter = {name: discounted(price, discount.percent) for name, price in by_meter.items()}
            request_usd = discounted(request_usd, discount.percent)
            said.append(f"{_said(discount)}: {discount.percent} % off")
        if rate is not None:
            by_meter |= {str(name): price for name, price in rate.usd_per_mtok.items()}
            request_usd = request_usd if rate.usd_per_request is None else rate.usd_per_request
            said.append(f"{_said(rate)}: contracted rate")
        return Prices(by_meter, request_usd, ", ".join(said))


def parse_contracts(text: str, name: str = "prices.yaml") -> Contracts:
    """Read a price file.

    Args:
        text: YAML.
        name: What to call it in messages.

    Raises:
        PriceFileError: Not YAML, or a field is wrong: see `parse_yaml`.
    """
    return parse_yaml(Contracts, text, name, PriceFileError)


def _fnmatch(pattern: str) -> str:
    # Only `*` is special in a price file; model names contain `[fast=true]` and the like.
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _strongest(entries: Sequence[_E]) -> _E | None:
    # A tenant's own entry, then the highest context threshold, then the latest in the file.
    ranked = [(e.tenant != "", getattr(e, "input_above", 0), index) for index, e in enumerate(entries)]
    return entries[max(ranked)[2]] if ranked else None


def _said(entry: ContractRate | Discount) -> str:
    return f"{entry.provider}/{entry.model}" + (f" for {entry.tenant}" if entry.tenant else "")
