"""Trace and span ids, from a generator of our own: who seeds ``random`` keeps the sequence."""

from __future__ import annotations

import os
import random

_random = random.Random()  # noqa: S311  # ids need to be unique, not secret

# A forked child that went on with the parent's state would repeat the parent's ids.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_trace_id() -> int:
    """A 128-bit id, never 0."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """A 64-bit id, never 0."""
    return _random.getrandbits(64) or 1


def seed(value: int | None) -> None:
    """Make the following ids repeatable (tests), or unpredictable again with ``None``."""
    _random.seed(value)
