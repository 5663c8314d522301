"""What the `genai-prices` package knows, as models with prices and rows that recognise their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from genai_prices import types as genai
from genai_prices.data import providers as package_providers

from promptspan_server.pricing.matching import Alternative, UntranslatableClauseError, alternatives
from promptspan_server.pricing.meters import METERS, REQUEST_PRICE_KEY
from promptspan_server.pricing.rates import DAY_S, PricedModel, Prices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PACKAGE = "genai-prices"

_PROVIDER_NAMES: tuple[tuple[str, str], ...] = (
    # Well-known values of `gen_ai.provider.name` that the package's own provider match reads wrongly or not
    # at all. Source: open-telemetry/semantic-conventions-genai, registry `gen_ai.provider.name`.
    ("azure.ai.openai", "azure"),
    ("azure.ai.inference", "azure"),
    ("az.ai.openai", "azure"),
    ("az.ai.inference", "azure"),
    ("azure_openai", "azure"),
    ("gcp.gen_ai", "google"),
    ("x_ai", "x-ai"),
    ("moonshot_ai", "moonshotai"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
)
_FREE_SUFFIX = ":free"
_STANDARD_ONLY: dict[str, Mapping[str, str]] = {"": {}}


@dataclass(frozen=True)
class MatchRow:
    """A row of `price_match`: which name means which provider or model.

    Attributes:
        scope: `provider` (a provider's name), `vendor` (a model's name, when no provider is known) or
        `model`.
        provider: The provider among whose models to look, for scope `model`.
        priority: Lower wins.
        target: The provider's id, or the price id.
        test: What the name must be.
    """

    scope: str
    provider: str
    priority: int
    target: str
    test: Alternative


@dataclass(frozen=True)
class Package:
    """The package's content.

    Attributes:
        version: The package's version.
        models: Every model, and for a provider that serves another's models, those under the provider's own
            id.
        names: The rows that recognise them.
        skipped: What could not be translated, one sentence each.
    """

    version: str
    models: tuple[PricedModel, ...]
    names: tuple[MatchRow, ...]
    skipped: tuple[str, ...]


def read_package(providers: Iterable[genai.Provider] | None = None) -> Package:
    """Read the installed package, or the providers given."""
    chosen = tuple(package_providers if providers is None else providers)
    by_id = {provider.id: provider for provider in chosen}
    skipped: list[str] = []
    models: list[PricedModel] = []
    names = list(_provider_rows(chosen, skipped))
    for provider in chosen:
        priority = 0
        served = [(provider, model) for model in provider.models]
        for other in provider.fallback_model_providers or ():
            served += [(by_id[other], model) for model in by_id[other].models if other in by_id]
        for owner, info in served:
            model = _model(provider, owner, info)
            models.append(model)
            try:
                tests = alternatives(info.match)
            except UntranslatableClauseError as error:
                skipped.append(f"names of {model.price_id}: {error}")
                continue
            names += [MatchRow("model", provider.id, priority, model.price_id, test) for test in tests]
            priority += 1
    return Package(version(PACKAGE), tuple(models), tuple(names), tuple(skipped))


def _provider_rows(providers: tuple[genai.Provider, ...], skipped: list[str]) -> Iterator[MatchRow]:
    ids = {provider.id for provider in providers}
    priority = 0
    for name, target in _PROVIDER_NAMES:
        if target in ids:
            yield MatchRow("provider", "", priority, target, Alternative(equals=name))
            priority += 1
    for provider in providers:
        yield MatchRow("provider", "", priority, provider.id, Alternative(equals=provider.id))
        priority += 1
    for scope, clause_of in (("provider", "provider_match"), ("vendor", "model_match")):
        for provider in providers:
            clause = getattr(provider, clause_of)
            if clause is None:
                continue
            try:
                tests = alternatives(clause)
            except UntranslatableClauseError as error:
                skipped.append(f"{clause_of} of {provider.id}: {error}")
                continue
            for test in tests:
                yield MatchRow(scope, "", priority, provider.id, test)
            priority += 1


def _model(provider: genai.Provider, owner: genai.Provider, info: genai.ModelInfo) -> PricedModel:
    own = owner is provider
    contexts = _contexts(info) if own else _STANDARD_ONLY
    dates: set[datetime] = set()
    day_seconds: set[int] = set()
    conditional = [] if isinstance(info.prices, genai.ModelPrice) else info.prices
    for constraint in (item.constraint for item in (*conditional, *(info.price_variants or ()))):
        if isinstance(constraint, genai.StartDateConstraint):
            start = constraint.start_date
            dates.add(datetime(start.year, start.month, start.day, tzinfo=timezone.utc))
        elif constraint is not None:
            day_seconds |= {_second_of_day(constraint.start_time), _second_of_day(constraint.end_time)}
    free = info.id.endswith(_FREE_SUFFIX)

    def prices(tier: str, moment: datetime, input_tokens: int) -> Prices:
        return _prices(info.get_prices(moment, contexts[tier]), input_tokens, free=free)

    return PricedModel(
        price_id=f"{provider.id}/{info.id}" if own else f"{provider.id}/{owner.id}/{info.id}",
        provider=provider.id,
        model=info.id,
        tiers=tuple(contexts),
        dates=frozenset(dates),
        day_seconds=frozenset(day_seconds),
        thresholds=frozenset(_thresholds(info)),
        prices=prices,
        source=PACKAGE,
        context_window=info.context_window,
        deprecated=bool(info.deprecated),
    )


def _contexts(info: genai.ModelInfo) -> dict[str, Mapping[str, str]]:
    """The request contexts that select other prices, by our tier name (routes are not recorded)."""
    contexts = dict(_STANDARD_ONLY)
    for variant in info.price_variants or ():
        for key in ("processing", "service_tier", "speed"):
            tier = variant.when.get(key)
            if tier is not None and len(variant.when) == 1:
                contexts[tier] = {**contexts.get(tier, {}), key: tier}
    return contexts


def _thresholds(info: genai.ModelInfo) -> Iterator[int]:
    conditional = (
        [info.prices] if isinstance(info.prices, genai.ModelPrice) else [p.prices for p in info.prices]
    )
    for price in (*conditional, *(variant.prices for variant in info.price_variants or ())):
        for value in vars(price).values():
            if isinstance(value, genai.TieredPrices):
                yield from (tier.start for tier in value.tiers)


def _prices(price: genai.ModelPrice, input_tokens: int, *, free: bool) -> Prices:
    stated = {key: value for key, value in vars(price).items() if value is not None}
    if not stated and free:
        # OpenRouter's `:free` routes have no price in the package because there is none to pay. Every other
        # model without a price is unknown, and unknown is not zero.
        return Prices({"input": Decimal(0), "output": Decimal(0)})
    by_meter: dict[str, Decimal] = {}
    for meter in METERS:
        for key in meter.price_keys:
            if key in stated:
                by_meter[meter.name] = _at_input(stated[key], input_tokens)
                break
    per_thousand = stated.get(REQUEST_PRICE_KEY)
    request_usd = Decimal(0) if per_thousand is None else _at_input(per_thousand, input_tokens) / 1000
    return Prices(by_meter, request_usd)


def _at_input(price: Decimal | genai.TieredPrices, input_tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return reached[-1] if reached else price.base


def _second_of_day(value: time) -> int:
    offset = value.utcoffset() or timedelta()
    since_midnight = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second) - offset
    return int(since_midnight.total_seconds()) % DAY_S
