"""A price book: all rows and names of `genai-prices`, with the user's own price file above them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from promptspan_server.pricing.contracts import Contracts, PriceFileError
from promptspan_server.pricing.genai import PACKAGE, MatchRow, Package
from promptspan_server.pricing.matching import Alternative, glob
from promptspan_server.pricing.rates import BEGIN, END, PricedModel, Prices, Rate, tabulate

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_SOURCE = "prices.yaml"


@dataclass(frozen=True)
class Book:
    """A complete price book.

    Attributes:
        hash: SHA-256 of all rows, hex. Two books with one hash price every call alike.
        version: For people, such as `genai-prices 0.2.3`.
        models: Number of priced models.
        rates: The price rows.
        names: The rows that recognise names.
        windows: Price ids with the model's context window, in tokens, where it is known. No part of the hash.
        skipped: What could not be translated.
    """

    hash: str
    version: str
    models: int
    rates: tuple[Rate, ...]
    names: tuple[MatchRow, ...]
    windows: tuple[tuple[str, int], ...]
    skipped: tuple[str, ...]


def build_book(package: Package, contracts: Contracts | None = None) -> Book:
    """Put a user's contracts above the package's prices.

    Raises:
        PriceFileError: A contract names a price that does not exist.
    """
    contracts = contracts or Contracts()
    own = tuple(_own_models(package, contracts))
    models = package.models + own
    names = tuple(_own_names(package, contracts, own)) + package.names
    rates = tuple(rate for model in models for rate in _model_rates(model, contracts))
    version = f"{PACKAGE} {package.version}"
    if contracts != Contracts():
        version += f" + {OWN_SOURCE} {_digest(contracts.model_dump(mode='json'))[:8]}"
    digest = _digest([[_row(rate) for rate in rates], [_row(name) for name in names]])
    windows = tuple((model.price_id, model.context_window) for model in models if model.context_window)
    return Book(digest, version, len(models), rates, names, windows, package.skipped)


def rate_id(rate: Rate) -> str:
    """An id of a price, whatever its dates: the same in every book and every period that has this price."""
    return _digest(_row(replace(rate, valid_from=BEGIN, valid_to=END)))[:16]


def _model_rates(model: PricedModel, contracts: Contracts) -> Iterator[Rate]:
    yield from _tier_rates(model, contracts, "")
    for tenant in contracts.tenants():
        if any(
            entry.tenant == tenant and entry.applies(model.provider, model.model, tenant)
            for entry in contracts.dated()
        ):
            yield from _tier_rates(model, contracts, tenant)


def _tier_rates(model: PricedModel, contracts: Contracts, tenant: str) -> Iterator[Rate]:
    entries = [e for e in contracts.dated() if e.applies(model.provider, model.model, tenant)]
    own_tiers = {rate.tier for rate in contracts.rates if rate in entries}
    dates = frozenset(moment for entry in entries for moment in (entry.from_, entry.to))
    thresholds = frozenset(
        rate.input_above for rate in contracts.rates if rate in entries and rate.input_above
    )

    def rows(tier: str, *, own: bool) -> list[Rate]:
        def contracted(moment: datetime, input_tokens: int, public: Prices) -> Prices:
            return contracts.prices(
                model, public, tenant=tenant, tier=tier, moment=moment, input_tokens=input_tokens
            )

        return tabulate(
            model,
            tier,
            tenant,
            contracted=contracted if own and entries else None,
            extra_dates=dates,
            extra_thresholds=thresholds,
        )

    public = rows("", own=False)
    yield from rows("", own=True)
    for tier in sorted({*model.tiers, *own_tiers} - {""}):
        # A tier without prices of its own, public ones or the user's, is the standard tier: for names, and
        # for what was agreed on the standard tier. OpenAI calls that "default" in every answer.
        if tier in own_tiers or [replace(row, tier="") for row in rows(tier, own=False)] != public:
            yield from rows(tier, own=True)


def _own_models(package: Package, contracts: Contracts) -> Iterator[PricedModel]:
    seen: set[tuple[str, str]] = set()
    for entry in contracts.rates:
        key = (entry.provider, entry.model)
        if key in seen or any(entry.applies(m.provider, m.model, entry.tenant) for m in package.models):
            continue
        seen.add(key)
        yield PricedModel(
            price_id=f"{entry.provider}/{entry.model}",
            provider=entry.provider,
            model=entry.model,
            tiers=("",),
            dates=frozenset(),
            day_seconds=frozenset(),
            thresholds=frozenset(),
            prices=lambda _tier, _moment, _input: Prices({}),
            source=OWN_SOURCE,
        )


def _own_names(package: Package, contracts: Contracts, own: tuple[PricedModel, ...]) -> Iterator[MatchRow]:
    price_ids = {model.price_id for model in (*package.models, *own)}
    # Negative priorities: the user's names come before the package's.
    count = len(contracts.names) + len(own)
    for index, named in enumerate(contracts.names):
        if named.price not in price_ids:
            raise PriceFileError(f"{OWN_SOURCE}, names.{index}.price: no price is called {named.price!r}")
        yield MatchRow("model", named.provider, index - count, named.price, glob(named.model))
    for index, model in enumerate(own):
        priority = index - len(own)
        yield MatchRow("model", model.provider, priority, model.price_id, glob(model.model))
    known = {name.target for name in package.names if name.scope == "provider"}
    used = {named.provider for named in contracts.names} | {model.provider for model in own}
    for provider in sorted(used - known):
        yield MatchRow("provider", "", -1, provider, Alternative(equals=provider))


def _row(value: Rate | MatchRow) -> list[Any]:
    return [_json(item) for item in vars(value).values()]


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, tuple):
        return [_json(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Alternative):
        return [_json(item) for item in vars(value).values()]
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()
