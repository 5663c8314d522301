"""A comparison in words: what is worse or better, by how much, how sure, on how much traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptspan_server.analysis.whereabouts import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.analysis.compare import Compared, Comparison
    from promptspan_server.analysis.places import Place

_ADJECTIVES = {
    "latency": ("slower", "faster"),
    "ttft": ("slower to its first token", "faster to its first token"),
    "input_tokens": ("longer in its prompts", "shorter in its prompts"),
    "output_tokens": ("wordier", "terser"),
    "cost": ("dearer", "cheaper"),
}
_MINUS, _TIMES = "\u2212", "\u00d7"
_MOST = 3


def sentence(comparison: Comparison, *, a: str, b: str, places: Sequence[Place] = ()) -> str:
    """Say what came out, in one to three sentences.

    Args:
        comparison: What came out.
        a: The baseline's version.
        b: The candidate's.
        places: Where the findings are, as far as that is known.
    """
    if comparison.balance.mismatch:
        return _mismatch(comparison, b)
    if not comparison.calls_a or not comparison.calls_b:
        return f"Nothing to compare: {comparison.calls_a:,} calls of {a}, {comparison.calls_b:,} of {b}."
    where = {place.compared.metric.name: short(place.located) for place in places if place.located}
    said = [
        _finding(each, b) + (f", {where[each.metric.name]}" if where.get(each.metric.name) else "")
        for each in comparison.metrics
        if each.verdict in ("regressed", "improved")
    ]
    if comparison.verdict == "not worse":
        said = [f"{b} is not worse than {a} on any of {len(comparison.metrics)} metrics"]
    elif not said:
        said = [f"It cannot be told yet whether {b} differs from {a}"]
    more = f" ({len(said) - _MOST} more below)" if len(said) > _MOST else ""
    amount = f"{_range_of(comparison.calls_a, comparison.calls_b)} calls an arm"
    text = "; ".join(said[:_MOST]) + f"{more}; {amount}."
    undecided = [each for each in comparison.metrics if each.verdict == "undecided" and each.more_calls]
    if undecided and comparison.verdict == "undecided":
        needed = min(undecided, key=lambda each: each.more_calls or 0)
        text += f" About {needed.more_calls:,} more calls an arm would decide {label(needed)}."
    if comparison.observational:
        text += (
            f" Observational: {a} and {b} did not run at the same time,"
            " so whatever else changed in between is part of the difference."
        )
    return text


def label(compared: Compared) -> str:
    """Name a metric as prose does."""
    name = compared.metric.name
    if name.startswith("latency_p"):
        return name.removeprefix("latency_")
    return name.replace("_", " ").replace("score:", "score ")


def change(compared: Compared) -> str:
    """Write a change with its interval: `+18 % [+10, +27]`; of a rate both rates and the factor."""
    if compared.delta is None:
        return "not known"
    if compared.metric.kind == "rate":
        rates = f"{_percent(compared.b)} against {_percent(compared.a)}"
        ends = f"{_factor(compared.ratio)} [{_factor(compared.low)}, {_factor(compared.high)}]"
        return rates if compared.low is None and compared.high is None else f"{rates}, {_TIMES}{ends}"
    if compared.ratio is None:
        ends = f" [{_signed(compared.low)}, {_signed(compared.high)}]"
        return f"{_signed(compared.delta)}{ends if compared.low is not None else ''}"
    ends = f"[{_relative(compared.low)}, {_relative(compared.high)}]"
    return f"{_relative(compared.ratio)}\u202f% {ends}"


def note(compared: Compared) -> str:
    """Say what else there is to know: why nothing is said, and what was taken off."""
    taken = "less what its users had before" if compared.adjusted else ""
    return "; ".join(filter(None, (compared.reason, taken)))


def p_value(p: float) -> str:
    """Write a p-value as a bound: `p < 0.01`."""
    for bound in (0.0001, 0.001, 0.01, 0.05):
        if p < bound:
            return f"p < {bound:g}"
    return f"p = {p:.2g}"


def _finding(compared: Compared, b: str) -> str:
    metric = compared.metric
    worse = compared.verdict == "regressed"
    source = metric.source if metric.kind != "rate" else ""
    pair = _ADJECTIVES.get(source) if metric.kind != "score" else None
    is_ = pair[0 if worse else 1] if pair else ("worse" if worse else "better")
    return f"{b} is {is_}: {label(compared)} {change(compared)}, always-valid {p_value(compared.p)}"


def _mismatch(comparison: Comparison, b: str) -> str:
    balance = comparison.balance
    said = (
        f"The traffic was not divided as intended: {b} got {balance.observed:.1%} of the calls instead of"
        f" {balance.intended or 0:.0%} (always-valid {p_value(balance.p or 0)}), so the arms differ in more"
        " than the version. Find out what sends calls to one arm or loses them"
    )
    if not balance.assumed:
        return said + "."
    # A rollout whose share was raised within an hour is near a half for a while, too.
    return (
        f"{said}. That a half was intended is a guess from the share: where it was another, --share tells it;"
        " where it changed meanwhile, --from and --to compare the time of one share."
    )


def _range_of(first: int, second: int) -> str:
    low, high = sorted((first, second))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _relative(ratio: float | None) -> str:
    if ratio is None:
        return "?"
    percent = (ratio - 1) * 100
    digits = 1 if abs(percent) < 9.95 else 0
    return f"{'+' if percent >= 0 else _MINUS}{abs(percent):.{digits}f}"


def _factor(ratio: float | None) -> str:
    if ratio is None:
        return "?"
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share * 100:.3g}\u202f%"


def _signed(value: float | None) -> str:
    return "?" if value is None else f"{'+' if value >= 0 else _MINUS}{abs(value):.3g}"
