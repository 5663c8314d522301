"""What is asked of drift, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from promptspan_server.analysis.changes import Change
    from promptspan_server.analysis.observed import Who

Verdict = Literal["drift", "stable", "too little data"]
# Whether more of it is bad news; of anything else, nobody can say.
_WORSE_IF_MORE = ("latency", "cost", "latency_tail")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The user's two numbers.

    Attributes:
        false_alarms_per_week: Tolerated in a week over all series together, above 0.
        smallest_change: The smallest change of latency, tokens and cost that matters, as a share: 0.1 is
            10 %. Rates are small numbers and matter from five times that (x1.5), shares of categories from
            0.3 of it in points (3 points), words from twice of it in standard deviations of a call.

    Raises:
        ValueError: A number is out of its range.
    """

    false_alarms_per_week: float = 1.0
    smallest_change: float = 0.1

    def __post_init__(self) -> None:
        if not self.false_alarms_per_week > 0:
            raise ValueError("the false alarms tolerated in a week are a number above 0")
        if not 0 < self.smallest_change <= 10:
            raise ValueError("the smallest change that matters is a share above 0, 0.1 for 10 %")

    @property
    def rate_factor(self) -> float:
        """The smallest factor of a rate that matters."""
        return 1 + 5 * self.smallest_change

    @property
    def share_points(self) -> float:
        """The smallest difference of a share that matters, 0 to 1."""
        return 0.3 * self.smallest_change

    @property
    def text_distance(self) -> float:
        """The smallest distance of words that matters, in standard deviations of a call."""
        return 2 * self.smallest_change


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of one series.

    Attributes:
        who: The version.
        signal: `latency`, `input_tokens`, `output_tokens`, `cost` (geometric means); `error_rate`,
            `FLAG_rate`, `truncated_rate` (shares of calls); `latency_tail` (share slower than the frozen 95th
            percentile), `short_answers`, `long_answers`; `finish_reason:...`, `model:...` (shares); `text`
            (distance from the usual choice of words), `novelty` (share of seldom used words).
        verdict: Whether it drifts.
        reason: Why there is too little data, else empty.
        value: Since the change (all judged hours if there is none): ms, tokens, USD, a share of 0 to
            1, or standard deviations of a call.
        expected: What its own past makes expect in the same hours.
        ratio: `value / expected`; None where nothing is expected, and of `text`.
        low, high: Ends of the 95 % interval of `ratio`.
        since_s: When the change began, seconds since the epoch, UTC.
        since_low_s, since_high_s: Ends of its 95 % interval, whole hours.
        until_s: When it ended; None while it goes on.
        n: Calls since the change.
        baseline_days: How many days say what is usual.
        strength: Evidence in parts of what the limit asks for; above 1 is drift.
        limit: Of a tail, the frozen quantile in ms or tokens.
        changed: What else changed at that time, if that was asked.
    """

    who: Who
    signal: str
    verdict: Verdict
    reason: str = ""
    value: float | None = None
    expected: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    since_s: int | None = None
    since_low_s: int | None = None
    since_high_s: int | None = None
    until_s: int | None = None
    n: int = 0
    baseline_days: int = 0
    strength: float = 0.0
    limit: float | None = None
    changed: tuple[Change, ...] = ()

    @property
    def delta(self) -> float | None:
        """Value minus expected, in the signal's unit."""
        return None if self.value is None or self.expected is None else self.value - self.expected

    @property
    def of_share(self) -> bool:
        """Whether the signal is a share of calls."""
        return self.signal not in ("latency", "input_tokens", "output_tokens", "cost", "text")

    @property
    def worse(self) -> bool | None:
        """Whether it became worse; None where more is neither good nor bad."""
        delta = self.delta
        judged = self.signal.endswith("_rate") or self.signal in _WORSE_IF_MORE
        return None if delta is None or not judged else delta > 0


@dataclass(frozen=True, slots=True)
class Drift:
    """What came out.

    Attributes:
        findings: One for each series: drift first, what is worse before what is only different; then too
            little data; then stable.
        series: How many series were judged together.
        wanted: The numbers that it was asked with.
        run_hours: Hours after which chance exceeds the limit of one series once on average.
    """

    findings: tuple[Finding, ...]
    series: int
    wanted: Wanted
    run_hours: float

    @property
    def drifting(self) -> tuple[Finding, ...]:
        """Findings with the verdict `drift`."""
        return tuple(each for each in self.findings if each.verdict == "drift")
