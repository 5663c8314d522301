"""Drift in words: which version does what since when, and who changed what."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptspan_server.analysis.changes import Change
    from promptspan_server.analysis.findings import Drift, Finding

_VERBS = {
    "latency": ("answers {} slower", "answers {} faster"),
    "input_tokens": ("is asked {} longer prompts", "is asked {} shorter prompts"),
    "output_tokens": ("answers {} longer", "answers {} shorter"),
    "cost": ("costs {} more a call", "costs {} less a call"),
}
_WORDS = {"text": "choice of words", "novelty": "share of rare words"}
_UNHEARD_OF = 200
_MINUS, _TIMES, _NARROW = "\u2212", "\u00d7", "\u202f"


def summary(drift: Drift) -> str:
    """Say in one sentence what came out of all series."""
    found, thin = drift.drifting, sum(each.verdict == "too little data" for each in drift.findings)
    asked = f"{_counted(drift.series, 'series')} judged"
    if not drift.findings:
        return "No calls of a named prompt in this time: there is nothing to judge."
    too_little = f"; too little data for {thin} more" if thin else ""
    if not drift.series:
        return f"Too little data to judge any of {thin} series yet."
    if not found:
        return f"No drift: {asked}, nothing differs from its own past{too_little}."
    versions = len({each.who for each in found})
    return (
        f"{_counted(versions, 'version')} {'drifts' if versions == 1 else 'drift'} in"
        f" {_counted(len(found), 'signal')}: {asked}{too_little}."
    )


def sentence(finding: Finding) -> str:
    """Say one finding, with its beginning and what else changed.

    >>> # v7 of summarise answers 28 % slower than its own last 14 days since Tue 14:00 UTC (13:00-16:00)
    """
    who = name(finding)
    if finding.verdict == "too little data":
        return f"{who}: too little data for {label(finding)} ({finding.reason})."
    if finding.verdict == "stable":
        return f"{who}: {label(finding)} is what it has been ({amount(finding, finding.value)})."
    ended = f" until {_moment(finding.until_s)} UTC" if finding.until_s else ""
    said = f"{who} {_what(finding)}{when(finding)}{ended}"
    return f"{'V' if who.startswith('version ') else said[0]}{said[1:]}; {who_changed(finding)}."


def name(finding: Finding) -> str:
    """Name what the series is about."""
    who = finding.who
    if who.version is None:
        return f"{who.prompt} (all versions)"
    return f"{_version(who.version)} of {who.prompt}"


def label(finding: Finding) -> str:
    """Name a signal as prose does."""
    signal = finding.signal
    if signal == "latency_tail":
        return f"calls slower than {_ms(finding.limit)}" if finding.limit else "slow calls"
    if signal == "short_answers":
        return f"answers below {finding.limit:,.0f} tokens" if finding.limit else "short answers"
    if signal == "long_answers":
        return f"answers above {finding.limit:,.0f} tokens" if finding.limit else "long answers"
    if signal in _WORDS:
        return _WORDS[signal]
    if signal.startswith("finish_reason:"):
        return f"finish reason {signal.partition(':')[2]}"
    if signal.startswith("model:"):
        return f"answers by {signal.partition(':')[2]}"
    return signal.replace("_", " ")


def amount(finding: Finding, value: float | None) -> str:
    """Write a value in the signal's unit."""
    if value is None:
        return "not known"
    if finding.of_share:
        return f"{value * 100:.3g}{_NARROW}%"
    if finding.signal == "latency":
        return _ms(value)
    if finding.signal == "text":
        return f"{value:.2f}{_NARROW}sd".replace("-", _MINUS)
    if finding.signal == "cost":
        return f"${value:.3g}"
    return f"{value:,.0f} tokens"


def change(finding: Finding) -> str:
    """Write the change with its 95 % interval: `+28 % [+20, +36]`, of a share the factor."""
    if finding.signal == "text":
        return f"{finding.delta or 0:+.2f}{_NARROW}sd".replace("-", _MINUS)
    if finding.ratio is None or (finding.of_share and finding.ratio > _UNHEARD_OF):
        return "hardly seen before"
    if finding.of_share:
        ends = f" [{_factor(finding.low)}, {_factor(finding.high)}]" if finding.low is not None else ""
        return f"{_TIMES}{_factor(finding.ratio)}{ends}"
    ends = f" [{_relative(finding.low)}, {_relative(finding.high)}]" if finding.low is not None else ""
    return f"{_relative(finding.ratio)}{_NARROW}%{ends}"


def when(finding: Finding) -> str:
    """Write the beginning with its interval: ` since Tue 14:00 UTC (13:00-16:00)`."""
    if finding.since_s is None:
        return ""
    low, high = finding.since_low_s or finding.since_s, finding.since_high_s or finding.since_s
    near = high - low <= 12 * 3600
    ends = f"{_clock(low)}\u2013{_clock(high)}" if near else f"{_moment(low)} \u2013 {_moment(high)}"
    return f" since {_moment(finding.since_s)} UTC ({ends})"


def who_changed(finding: Finding) -> str:
    """Say whether we changed it, or they."""
    ours = [each for each in finding.changed if each.ours]
    theirs = [each for each in finding.changed if not each.ours]
    if ours:
        more = f"; besides, {_listed(theirs)}" if theirs else ""
        return f"changed on our side at that time: {_listed(ours)}{more}"
    if theirs:
        return f"nothing on our side changed, but {_listed(theirs)}"
    return "nothing on our side changed, nor anything else that is recorded"


def change_of_setting(change: Change) -> str:
    """Write what changed: `answering model a → b`."""
    if change.axis == "price":
        return "the price in force"
    if change.axis in ("deploy", "config"):
        return f"{change.axis} \u201c{change.after}\u201d"
    if change.axis == "template":
        return f"template {_shown(change.before)[:8]} \u2192 {_shown(change.after)[:8]}"
    return f"{change.axis} {_number(change.before)} \u2192 {_number(change.after)}"


def _listed(changes: list[Change]) -> str:
    return ", ".join(f"{change_of_setting(each)} ({_moment(each.at_s)})" for each in changes)


def _what(finding: Finding) -> str:
    past = f"its own last {_counted(finding.baseline_days, 'day')}"
    values = f"{amount(finding, finding.value)} against {amount(finding, finding.expected)} expected"
    if finding.signal == "text":
        return f"answers in other words than {past} ({values}; sd is what one call differs by)"
    verbs = _VERBS.get(finding.signal)
    if verbs is not None:
        ratio = finding.ratio or 1.0
        verb = verbs[0 if ratio >= 1 else 1].format(f"{abs(ratio - 1) * 100:.0f}{_NARROW}%")
        return f"{verb} than {past} ({values})"
    more = (finding.delta or 0) > 0
    factor = f", {change(finding)}"
    return f"has {'more' if more else 'fewer'} {_plural(finding)} than {past}: {values}{factor}"


def _plural(finding: Finding) -> str:
    if finding.signal == "novelty":
        return "words that were rare"
    text = label(finding)
    if finding.signal.endswith("_rate"):
        kind = finding.signal.removesuffix("_rate").replace("_", " ")
        known = {"error": "errors", "refusal": "refusals", "truncated": "truncated answers"}
        return known.get(kind, f"calls with {kind}")
    return f"calls with {text}" if finding.signal.startswith("finish_reason:") else text


def _version(version: str) -> str:
    return version if version.startswith("v") else f"version {version or '(none)'}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 or noun == 'series' else 's'}"


def _ms(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.0f} ms"


def _relative(ratio: float | None) -> str:
    if ratio is None:
        return "?"
    percent = (ratio - 1) * 100
    return f"{'+' if percent >= 0 else _MINUS}{abs(percent):.0f}"


def _factor(ratio: float | None) -> str:
    if ratio is None:
        return "?"
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _shown(value: str) -> str:
    return value or "(none)"


def _number(value: str) -> str:
    mantissa, letter, exponent = value.partition("e")
    if letter and mantissa.isdigit() and exponent.isdigit():
        return f"about {int(mantissa) * 10 ** int(exponent):,}"
    return _shown(value)


def _moment(moment_s: int | None) -> str:
    if moment_s is None:
        return "?"
    moment = datetime.fromtimestamp(moment_s, timezone.utc)
    return f"{moment:%a} {moment.day} {moment:%b %H:%M}"


def _clock(moment_s: int) -> str:
    return f"{datetime.fromtimestamp(moment_s, timezone.utc):%H:%M}"
