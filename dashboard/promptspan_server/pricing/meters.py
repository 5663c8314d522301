"""The token buckets that are billed, in one order, and which price a bucket falls back to.

The buckets are disjoint: a token is billed in exactly one of them. `llm_costs` multiplies each by its own
price, so every price row carries one price a bucket, with the fallbacks already resolved.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meter:
    """A billed bucket of tokens.

    Attributes:
        name: The bucket's name, in `prices.yaml` and before `_usd_per_mtok` in the tables.
        price_keys: The `genai-prices` price keys that price it, most specific first. A bucket without a
            price of its
            own is part of its parent and billed at the parent's price: that is the package's own rule
            (`genai_prices.decompose.compute_leaf_values` leaves such tokens in the ancestor's count).
        parent: The bucket whose price applies when none of the keys has one, empty for the two roots.
    """

    name: str
    price_keys: tuple[str, ...]
    parent: str


METERS: tuple[Meter, ...] = (
    Meter("input", ("input_mtok",), ""),
    Meter("cache_read", ("cache_read_mtok",), "input"),
    Meter("cache_write_5m", ("cache_write_5m_mtok", "cache_write_mtok"), "input"),
    Meter("cache_write_1h", ("cache_write_1h_mtok", "cache_write_mtok"), "input"),
    Meter("audio_input", ("input_audio_mtok",), "input"),
    Meter("output", ("output_mtok",), ""),
    Meter("reasoning", ("output_reasoning_mtok",), "output"),
    Meter("audio_output", ("output_audio_mtok",), "output"),
)
"""Order matters: bit `i` of a price row's `meters` says whether bucket `i` has a price."""

METER_NAMES: tuple[str, ...] = tuple(meter.name for meter in METERS)
REQUEST_PRICE_KEY = "requests_kcount"
"""USD per thousand requests, whatever their tokens."""
