"""Where a change is, in words: at most three plain sentences, and never a cause."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from promptspan_server.analysis.locate import Located, Segment
    from promptspan_server.analysis.mix import Adjusted

_MINUS, _THIN, _TIMES = "\u2212", "\u202f", "\u00d7"
_WORTH = 0.1  # of a change, below which a further segment is not worth a sentence


def sentences(located: Located, *, unit: str, a: str, b: str) -> tuple[str, ...]:
    """Say where a change is, in at most three sentences.

    Args:
        located: What was found.
        unit: Of the quantity: `ms`, `tokens`, `usd`, empty for shares of calls.
        a: What the first group is called: a version, "before".
        b: What the second group is called.
    """
    said: list[str] = []
    for number, segment in enumerate(located.segments):
        if number and not abs(segment.share) >= _WORTH:
            continue
        share = f"{_share(segment)} of the change is" if number == 0 else f"Another {_share(segment)} is"
        there = f"{_value(segment.b, unit)} with {b}, {_value(segment.a, unit)} with {a}"
        rest = f"elsewhere {_value(segment.rest_b, unit)} and {_value(segment.rest_a, unit)}"
        dollars = f", {_usd(segment.excess)} in all" if unit == "usd" else ""
        said.append(f"{share} in {name(segment)}: {there}{dollars}; {rest}.")
    mix = mixed(located)
    if mix and abs(mix) >= _WORTH:
        said.append(
            f"{_percent(mix)} of the difference is other traffic, not other behaviour:"
            f" {_signed(located.mix, unit)} of {_signed(located.b - located.a, unit)}."
        )
    if located.kind == "total" and located.volume:
        said.append(f"{_signed(located.volume, unit)} is the number of calls alone.")
    if not located.segments:
        said.insert(0, "No segment stands out: as far as can be told, it is everywhere alike.")
    said += [
        f"{dimension} differs altogether: {_named(first)} with {a}, {_named(second)} with {b}."
        for dimension, first, second in located.apart
    ]
    return tuple(each[0].upper() + each[1:] for each in said[:3])


def short(located: Located) -> str:
    """Say it in a clause: `96 % of it in feature search`; empty if no segment stands out."""
    if not located.segments:
        return ""
    first = located.segments[0]
    return f"{_share(first)} of it in {name(first)}"


def left_over(adjusted: Adjusted, is_rate: bool) -> str:
    """Say what is left of a difference among calls that are alike, and whether other traffic explains it."""
    within = " and ".join([", ".join(adjusted.within[:-1]), adjusted.within[-1]][not adjusted.within[1:] :])
    if is_rate:
        change = f"{_TIMES}{_factor(adjusted.ratio)} [{_factor(adjusted.low)}, {_factor(adjusted.high)}]"
    else:
        change = f"{_change(adjusted.ratio)}{_THIN}% [{_change(adjusted.low)}, {_change(adjusted.high)}]"
    ending = ": other traffic may be all of the difference" if adjusted.nothing_left else ""
    return f"Among calls of the same {within} it is {change}{ending}."


def _factor(ratio: float) -> str:
    if not np.isfinite(ratio):
        return "?"
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _change(ratio: float) -> str:
    percent = (ratio - 1) * 100
    if not np.isfinite(percent):
        return "?"
    digits = 1 if abs(percent) < 9.95 else 0
    return f"{'+' if percent >= 0 else _MINUS}{abs(percent):.{digits}f}"


def mixed(located: Located) -> float | None:
    """Share of the difference that is other traffic, not other behaviour; None if there is none."""
    change = located.b - located.a
    return located.mix / change if change else None


def name(segment: Segment) -> str:
    """Name a segment: `feature search and tenant acme`, with other names for the same calls."""
    own = " and ".join(f"{dimension} {_named(value)}" for dimension, value in segment.predicates)
    if not segment.also:
        return own
    others = ", ".join(f"{dimension} {_named(value)}" for dimension, value in segment.also[:2])
    return f"{own} (the same calls as {others})"


def _named(value: str) -> str:
    return value or "(none)"


def _share(segment: Segment) -> str:
    return "all" if segment.share >= 0.995 else _percent(segment.share)


def _percent(share: float) -> str:
    sign = _MINUS if share < 0 else ""
    return f"{sign}{abs(share) * 100:.0f}{_THIN}%"


def _value(value: float, unit: str) -> str:
    if value != value:  # noqa: PLR0124  # NaN: no call
        return "nothing"
    if not unit:
        return f"{value * 100:.3g}{_THIN}%"
    if unit == "usd":
        return _usd(value)
    digits = f"{value:,.0f}" if abs(value) >= 1000 else format(Decimal(f"{value:.3g}"), "f")
    return f"{digits} {unit}"


def _usd(value: float) -> str:
    sign = _MINUS if value < 0 else ""
    size = abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 else f"{sign}${format(Decimal(f'{size:.3g}'), 'f')}"


def _signed(value: float, unit: str) -> str:
    text = _value(abs(value), unit)
    return f"{'+' if value >= 0 else _MINUS}{text}"
