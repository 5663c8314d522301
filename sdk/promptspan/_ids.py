"""Trace and span ids, from a generator of our own: who seeds ``random`` keeps the sequence."""

from __future__ import annotations

import os
import random

_random = random.Random()  # noqa: S311  # ids need to be unique, not secret

# A forked child that went on with the parent's state would repeat the parent's ids.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


# ``random_bits(128) or 1`` is a trace id, ``random_bits(64) or 1`` a span id: never 0.
random_bits = _random.getrandbits


def seed(value: int | None) -> None:
    """Make the following ids repeatable (tests), or unpredictable again with ``None``."""
    _random.seed(value)
