"""Quantiles from the store's histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUCKETS_AN_OCTAVE = 8


def quantile(histogram: Mapping[int, int], level: float) -> float | None:
    """Return a quantile of values that were counted by `floor(log2(x + 1) * 8)`, in the unit of the values.

    Within a bucket values are taken as evenly spread on the logarithmic scale, so the answer is off by 9 % at
    most (one bucket) and, where many calls make the distribution smooth, by a fraction of a per cent.

    Args:
        histogram: Bucket to count.
        level: 0 to 1.

    Returns:
        None without values.
    """
    wanted = level * sum(histogram.values())
    below = 0
    for bucket in sorted(histogram):
        count = histogram[bucket]
        if count and below + count >= wanted:
            return 2.0 ** ((bucket + (wanted - below) / count) / _BUCKETS_AN_OCTAVE) - 1
        below += count
    return None
