"""Did we change it, or did they? What calls were made with before a change and after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.analysis.observed import HOUR_S
from promptspan_server.queries.drift import SettingHours
from promptspan_server.queries.markers import Markers
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats
    from promptspan_server.analysis.findings import Drift, Finding
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.drift import VersionHours
    from promptspan_server.store.markers import Marker

# Axes that change only when somebody on this side changes something.
OURS = frozenset(
    {"prompt version", "template", "requested model", "provider", "parameter", "deploy", "config"}
)
# Markers of these kinds say that somebody changed something; notes and incidents do not.
_CHANGING = frozenset({"deploy", "config"})
_AXES = {
    "template": "template",
    "provider": "provider",
    "price": "price",
    "request_model": "requested model",
    "response_model": "answering model",
}
_PARAMETER = "gen_ai.request."
_SHIFTED = 0.05  # of the calls
_LEAST_CALLS = 10
_BEFORE_H, _AFTER_H = 24, 24
_SLACK_H = 1


@dataclass(frozen=True, slots=True)
class Change:
    """What became more frequent at the expense of what.

    Attributes:
        axis: `prompt version`, `template`, `requested model`, `answering model`, `provider`, `price`,
            `system fingerprint`, `parameter NAME`; or `deploy` or `config`, of which somebody left a marker.
        before: The value that lost most; empty if there was none.
        after: The value that won most, or the marker's text; empty if it is none.
        at_s: The hour since which the new value is about as frequent as now, seconds since the epoch.
        new: Whether the value had not been seen before.
    """

    axis: str
    before: str
    after: str
    at_s: int
    new: bool

    @property
    def ours(self) -> bool:
        """Whether somebody on this side changed it."""
        return self.axis.partition(" ")[0] == "parameter" or self.axis in OURS


@dataclass(frozen=True, slots=True)
class Settings:
    """Calls by what they were made with.

    Attributes:
        hours: Starts of the hours without gaps, seconds since the epoch.
        counts: Calls by prompt, version, axis and value, each of shape (hours,).
    """

    hours: NDArray[np.int64]
    counts: Mapping[tuple[str, str], Mapping[str, Mapping[str, Floats]]]


def explained(store: Store, question: VersionHours, drift: Drift, hours: NDArray[np.int64]) -> Drift:
    """Add to every finding of drift what else changed at that time.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused the question.
    """
    prompts = tuple(sorted({each.who.prompt for each in drift.drifting}))
    if not prompts:
        return drift
    asked = SettingHours(question.range, prompts, question.filter)
    settings = read_settings(store.table(asked.rows(), asked.parameters()), hours)
    begins = [each.since_low_s for each in drift.drifting if each.since_low_s is not None]
    markers: Sequence[Marker] = ()
    if begins:
        begin = datetime.fromtimestamp(min(begins), timezone.utc) - timedelta(hours=_SLACK_H)
        markers = store.ask(
            Markers(
                TimeRange(begin, max(begin + timedelta(hours=1), question.range.end)),
                environment=question.filter.environment,
                service=question.filter.service,
                kinds=tuple(sorted(_CHANGING)),
            )
        ).rows
    return replace(drift, findings=tuple(with_changes(each, settings, markers) for each in drift.findings))


def read_settings(table: Any, hours: NDArray[np.int64]) -> Settings:
    """Put the rows of `SettingHours` (a `pyarrow.Table`) on the grid of hours."""
    counts: dict[tuple[str, str], dict[str, dict[str, Floats]]] = {}
    for row in table.to_pylist():
        axes = counts.setdefault((row["prompt_name"], row["prompt_version"]), {})
        at = (np.array(row["hour_s"], dtype=np.int64) - hours[0]) // HOUR_S
        inside = (at >= 0) & (at < len(hours))
        for axis, value in _read(row["kind"], row["value"]):
            cells = axes.setdefault(axis, {}).setdefault(value, np.zeros(len(hours)))
            cells[at[inside]] += np.array(row["n"])[inside]
    return Settings(hours, counts)


def with_changes(finding: Finding, settings: Settings, markers: Sequence[Marker] = ()) -> Finding:
    """Say of a finding what else changed within the interval of its beginning.

    Args:
        finding: Any; one that does not drift stays as it is.
        settings: What calls were made with.
        markers: What people and pipelines say they changed.
    """
    if finding.since_low_s is None or finding.since_high_s is None:
        return finding
    axes: dict[str, dict[str, Floats]] = {}
    for (prompt, version), of_version in settings.counts.items():
        if prompt != finding.who.prompt or finding.who.version not in (None, version):
            continue
        for axis, values in of_version.items():
            for value, cells in values.items():
                known = axes.setdefault(axis, {})
                known[value] = known.get(value, np.zeros(len(cells))) + cells
        if finding.who.version is None and "requested model" in of_version:
            axes.setdefault("prompt version", {})[version] = np.sum(
                list(of_version["requested model"].values()), axis=0
            )
    low, high = (
        int(moment - settings.hours[0]) // HOUR_S + slack
        for moment, slack in ((finding.since_low_s, -_SLACK_H), (finding.since_high_s, 0))
    )
    found = [_change(axis, values, low, high, settings.hours) for axis, values in axes.items()]
    found += [_marked(each, finding) for each in markers]
    changes = sorted(
        (each for each in found if each is not None), key=lambda each: (not each.ours, each.axis, each.at_s)
    )
    return replace(finding, changed=tuple(changes))


def _change(
    axis: str, values: Mapping[str, Floats], low: int, high: int, hours: NDArray[np.int64]
) -> Change | None:
    names = list(values)
    cells = np.array([values[name] for name in names])
    before = cells[:, max(0, low - _BEFORE_H) : max(low, 0)].sum(axis=1)
    if before.sum() < _LEAST_CALLS:
        before = cells[:, max(0, low - 7 * _BEFORE_H) : max(low, 0)].sum(axis=1)
    after = cells[:, high : high + _AFTER_H].sum(axis=1)
    if after.sum() < _LEAST_CALLS:  # it began so lately that hardly anything came after
        after = cells[:, max(0, low) : high + _AFTER_H].sum(axis=1)
    if min(before.sum(), after.sum()) < _LEAST_CALLS:
        return None
    moved = after / after.sum() - before / before.sum()
    won, lost = int(moved.argmax()), int(moved.argmin())
    least = _SHIFTED + 2 * (0.25 / min(before.sum(), after.sum())) ** 0.5 * (before[won] > 0)
    if moved[won] < least:
        return None
    total = np.maximum(cells[:, max(0, low) : high + _AFTER_H].sum(axis=0), 1)
    level = before[won] / before.sum() + moved[won] / 2
    reached = np.flatnonzero(cells[won, max(0, low) : high + _AFTER_H] / total >= level)
    at = max(0, low) + int(reached[0]) if len(reached) else high
    return Change(axis, names[lost], names[won], int(hours[at]), new=not cells[won, : max(low, 0)].any())


def _marked(marker: Marker, finding: Finding) -> Change | None:
    """The change of which a marker tells, if it is one of this prompt (or of all) at that time."""
    assert finding.since_low_s is not None
    assert finding.since_high_s is not None
    at_s = int(marker.at.timestamp())
    who = finding.who
    if (
        marker.kind not in _CHANGING
        or not finding.since_low_s - _SLACK_H * HOUR_S <= at_s <= finding.since_high_s
        or marker.prompt_name not in ("", who.prompt)
        or (who.version is not None and marker.prompt_version not in ("", who.version))
    ):
        return None
    return Change(marker.kind, "", marker.text, at_s, new=True)


def _read(kind: str, value: str) -> Iterable[tuple[str, str]]:
    if kind != "settings":
        yield _AXES[kind], value
        return
    for line in value.split("\n"):
        name, _, said = line.partition("=")
        # Calls of which it is not known (the price of one that failed) say nothing of it.
        if name in _AXES and said:
            yield _AXES[name], said
        elif name.endswith("system_fingerprint"):
            yield "system fingerprint", said
        elif name.startswith(_PARAMETER):
            yield f"parameter {name.removeprefix(_PARAMETER)}", said
