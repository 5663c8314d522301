"""An incident: an alert, the times that it is about, and what the store knows of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from promptspan_server.analysis.whereabouts import sentences
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.queries.incident import (
    Examples,
    FirstSeen,
    IncidentNumbers,
    LatencyHeat,
    PriceChanges,
    Subject,
    VersionBefore,
)
from promptspan_server.queries.markers import Markers
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.segments import Quantity, SegmentCells
from promptspan_server.queries.templates import Templates
from promptspan_server.ui import cache, wording

if TYPE_CHECKING:
    from promptspan_server.queries.alerts import AlertRow

AROUND = timedelta(minutes=30)
_BASELINE = timedelta(hours=24)
_LONGEST = timedelta(hours=24)
_SHORTEST = timedelta(minutes=5)
_LEAD = timedelta(hours=1)
_GRID_S = 15
_QUANTITIES = {"errors": "error", "latency": "latency", "spend": "cost"}
_UNITS = {"latency": "ms", "cost": "usd"}


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert and its times.

    Attributes:
        alert: The alert.
        during: From when it began until it ended, or now; at most its first day.
        before: The day before it, without the last half hour: what is usual.
        shown: What charts show.
        around: Half an hour before and after it began: where what may have caused it is looked for.
    """

    alert: AlertRow
    during: TimeRange
    before: TimeRange
    shown: TimeRange
    around: TimeRange

    @classmethod
    def of(cls, alert: AlertRow, now: datetime) -> Incident:
        """Work out the times.

        Args:
            alert: The alert.
            now: UTC. Times end on a grid of 15 s, so that answers are remembered.
        """
        grid = datetime.fromtimestamp(-(-now.timestamp() // _GRID_S) * _GRID_S, timezone.utc)
        began = alert.began.replace(microsecond=0)
        ended = grid if alert.fires or alert.ends_at is None else alert.ends_at.replace(microsecond=0)
        ended = min(max(ended, began + _SHORTEST), began + _LONGEST)
        lead = max(_LEAD, min((ended - began) / 2, timedelta(hours=6)))
        return cls(
            alert=alert,
            during=TimeRange(began, ended),
            before=TimeRange(began - AROUND - _BASELINE, began - AROUND),
            shown=TimeRange(began - lead, min(ended + timedelta(minutes=15), max(grid, ended))),
            around=TimeRange(began - AROUND, began + AROUND),
        )

    def subject(self, time_range: TimeRange, *, without: tuple[str, ...] = ()) -> Subject:
        """The calls that it is about, in a time."""
        return Subject.of(self.alert.labels, time_range, without=without)

    @property
    def prompt(self) -> str:
        """The prompt that it is about, empty if it is about more."""
        return self.alert.labels.get("prompt_name", "")

    @property
    def version(self) -> str:
        """The version that it is about, empty if it is about more."""
        return self.alert.labels.get("prompt_version", "")

    @property
    def filter(self) -> Filter:
        """The calls that it is about, as pages filter: a provider is none of their filters."""
        labels = self.alert.labels
        return Filter(
            labels.get("prompt_name"),
            labels.get("prompt_version"),
            labels.get("feature"),
            labels.get("environment"),
            labels.get("service"),
            labels.get("request_model"),
        )

    def numbers(self) -> tuple[IncidentNumbers, IncidentNumbers]:
        """What asks for the numbers of its time and of the baseline, whatever the version was then."""
        return (
            IncidentNumbers(self.subject(self.during)),
            IncidentNumbers(self.subject(self.before, without=("prompt_version",))),
        )

    def changes(self) -> tuple[FirstSeen, PriceChanges, Markers]:
        """What asks for what changed around its beginning."""
        since_before = TimeRange(self.before.start, self.around.end)
        subject = self.subject(since_before, without=("prompt_version", "provider", "request_model"))
        labels = self.alert.labels
        return (
            FirstSeen(subject, self.around.start),
            PriceChanges(self.around),
            Markers(
                TimeRange(self.shown.start, max(self.shown.end, self.around.end)),
                labels.get("environment"),
                labels.get("service"),
                labels.get("prompt_name"),
                self.alert.fingerprint,
            ),
        )

    def heat(self) -> LatencyHeat:
        """What asks for calls by time and duration: of all versions, as a new one has no past of its own."""
        return LatencyHeat(self.subject(self.shown, without=("prompt_version",)))

    def examples(self) -> tuple[Examples, Examples]:
        """What asks for five calls that show it, and five that went well."""
        subject = self.subject(self.during)
        return Examples(subject, self.alert.kind), Examples(subject, self.alert.kind, normal=True)

    def history(self) -> tuple[VersionBefore, Templates]:
        """What asks for the previous version, and for the templates."""
        subject = self.subject(self.before, without=("prompt_version",))
        return VersionBefore(subject, self.version), Templates(self.prompt)

    def whereabouts(self, previous: str | None) -> tuple[str, ...] | QueryFailed:
        """Say where it is, in at most three sentences; nothing where the question makes no sense.

        Args:
            previous: The version that a version's alert is compared with, if it still has calls.

        Raises:
            StoreUnreachable: No answer from the store.
        """
        source = _QUANTITIES.get(self.alert.kind)
        if source is None:
            return ()
        labels = self.alert.labels
        chosen = Filter(prompt=labels.get("prompt_name"), environment=labels.get("environment"))
        then, now = "before", "now"
        a, b = Scope(self.before, chosen), Scope(self.during, chosen)
        if self.version and previous:
            # Two versions at one time differ in nothing but the version.
            then, now = previous, self.version
            a, b = (Scope(self.during, replace(chosen, version=each)) for each in (then, now))
        located = cache.located(SegmentCells(a, b, Quantity(source)))
        if isinstance(located, QueryFailed):
            return located
        said = sentences(located, unit=_UNITS.get(source, ""), a=then, b=now)
        # Without a segment the rest is about traffic, which is not what the alert is about.
        return said if located.segments else said[:1]


def verdict(alert: AlertRow) -> str:
    """Say what is wrong, against what, since when: the page's first line."""
    measured = wording.measure(alert.value, alert.unit)
    against = (
        f" against {wording.measure(alert.threshold, alert.unit)}" if alert.threshold is not None else ""
    )
    if alert.fires or alert.phase == "pending":
        # As of its newest judgement: what is shown says the same wherever and whenever it is read.
        lasts_s = max(0.0, (alert.evaluated_at - alert.began).total_seconds())
        when = f"since {wording.moment(alert.began)} UTC ({wording.age(lasts_s)})"
    else:
        when = f"from {wording.moment(alert.began)} to {wording.moment(alert.ends_at)} UTC"
    state = {"firing": "", "recovering": "Recovering: ", "resolved": "Resolved: ", "pending": "Pending: "}
    blind = " Nothing can be seen of it now." if alert.blind else ""
    return f"{state.get(alert.phase, '')}{alert.rule} {measured}{against}, {when}, {about(alert)}.{blind}"


def about(alert: AlertRow) -> str:
    """Name what an alert is about: `inbox-summary 7 in production`."""
    labels = alert.labels
    prompt = " ".join(
        part for part in (labels.get("prompt_name", ""), labels.get("prompt_version", "")) if part
    )
    rest = [labels[name] for name in ("feature", "service", "provider", "request_model") if labels.get(name)]
    where = f" in {labels['environment']}" if labels.get("environment") else ""
    known = {
        "prompt_name",
        "prompt_version",
        "feature",
        "service",
        "provider",
        "request_model",
        "environment",
    }
    others = [f"{name} {value}" for name, value in sorted(labels.items()) if name not in known and value]
    return ", ".join(part for part in (prompt, *rest, *others) if part) + where or "everything"
