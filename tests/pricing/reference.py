"""What genai-prices itself says a call costs, by its own code, in exact decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import TYPE_CHECKING

from genai_prices.data_snapshot import get_snapshot
from genai_prices.decompose import is_descendant_or_self
from genai_prices.types import Usage
from genai_prices.units import _get_registry  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

    from pricing.calls import Call

_UNITS = _get_registry().units
_NINE_PLACES = Decimal("0.000000001")


def find(call: Call) -> tuple[Provider, ModelInfo] | None:
    """The package's provider and model for a call: the model that answered, else the one asked for."""
    for name in (call.response_model, call.request_model):
        if name:
            try:
                return get_snapshot().find_provider_model(name, None, call.provider or None, None)
            except LookupError:
                continue
    return None


def price_id(found: tuple[Provider, ModelInfo] | None) -> str:
    """The price id of our book for what the package found."""
    if found is None:
        return ""
    provider, model = found
    if any(own is model for own in provider.models):
        return f"{provider.id}/{model.id}"
    owner = next(p for p in get_snapshot().providers if any(own is model for own in p.models))
    return f"{provider.id}/{owner.id}/{model.id}"


def cost(call: Call) -> Decimal | None:
    """The package's price of a call with known usage; None where a used bucket has no price at all."""
    found = find(call)
    if found is None:
        return None
    provider, model = found
    context = {"batch": {"processing": "batch"}}.get(
        call.service_tier, {"service_tier": call.service_tier, "speed": call.service_tier}
    )
    price = model.get_prices(call.ts, context if any(own is model for own in provider.models) else None)
    stated = [_UNITS[unit] for unit in _UNITS if getattr(price, _UNITS[unit].price_key, None) is not None]
    if not stated and model.id.endswith(":free"):
        return Decimal(0)
    used = {name: value for name, value in _buckets(call).items() if value}
    for name in used:
        if not any(is_descendant_or_self(unit, _UNITS[name]) for unit in stated):
            return None
    if not any(unit.dimensions["family"] == "tokens" for unit in stated):
        return None
    with localcontext(prec=60):
        return price.calc_price(_usage(call))["total_price"].quantize(_NINE_PLACES, ROUND_HALF_UP)


def _buckets(call: Call) -> dict[str, int]:
    read, write_5m = call.cache_read_tokens or 0, call.cache_write_5m_tokens or 0
    write_1h, audio = call.cache_write_1h_tokens or 0, call.audio_input_tokens or 0
    reasoning, spoken = call.reasoning_tokens or 0, call.audio_output_tokens or 0
    return {
        "input_tokens": (call.input_tokens or 0) - read - write_5m - write_1h - audio,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": write_5m,
        "cache_write_1h_tokens": write_1h,
        "input_audio_tokens": audio,
        "output_tokens": (call.output_tokens or 0) - reasoning - spoken,
        "output_reasoning_tokens": reasoning,
        "output_audio_tokens": spoken,
    }


def _usage(call: Call) -> Usage:
    buckets = _buckets(call)
    # Every unit is stated, 0 where our calls have no such bucket: the package refuses to guess overlaps.
    values = dict.fromkeys((n for n, unit in _UNITS.items() if unit.dimensions["family"] == "tokens"), 0)
    values |= buckets
    values["input_tokens"] = call.input_tokens or 0
    values["output_tokens"] = call.output_tokens or 0
    values["cache_write_tokens"] = buckets["cache_write_5m_tokens"] + buckets["cache_write_1h_tokens"]
    return Usage(**values)
