"""The time that a page is about, read from its address.

`range=20261122T050000Z-20261123T050000Z` names an absolute range and gives the same numbers wherever it is
opened; `range=24h`, or none, slides with the clock. One parameter, so that choosing a range is one step of
history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from promptspan_server.queries.scope import TimeRange

PRESETS: dict[str, timedelta] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
DEFAULT_PRESET = "24h"
PARAMETER = "range"
# Sliding windows end on a multiple of this, so that sessions share the cached answers.
_GRID = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Window:
    """A resolved time window.

    Attributes:
        range: The absolute range.
        live: It slides with the clock.
        preset: The preset that it is as long as, empty for another length.
        problem: What was wrong with the address, empty if nothing.
    """

    range: TimeRange
    live: bool
    preset: str
    problem: str = ""

    @property
    def label(self) -> str:
        """The absolute range in words."""
        start, end = self.range.start, self.range.end
        far = f"{end:%Y-%m-%d %H:%M}" if start.date() != end.date() else f"{end:%H:%M}"
        return f"{start:%Y-%m-%d %H:%M} \u2013 {far} UTC"

    @property
    def length_words(self) -> str:
        """How long it is, for `against the ... before`."""
        hours = self.range.length.total_seconds() / 3600
        if hours < 1:
            return f"{hours * 60:.0f} min"
        return f"{hours:.3g} h" if hours <= 48 else f"{hours / 24:.3g} days"

    @property
    def before_words(self) -> str:
        """The range before it, after `in the` or `than in the`."""
        length = self.length_words
        return f"{'hour' if length == '1 h' else length} before"

    def parameters(self) -> dict[str, str]:
        """The range for a link: always absolute, so that the next page shows the same calls."""
        return {PARAMETER: interval(self.range)}

    def navigation(self) -> dict[str, str]:
        """The range for the way to another page: sliding stays sliding."""
        if not self.live:
            return self.parameters()
        return {} if self.preset == DEFAULT_PRESET else {PARAMETER: self.preset}


def read_window(text: str, now: datetime) -> Window:
    """Resolve the `range` of an address. What cannot be read falls back to the last 24 hours and says so."""
    text = text.strip()
    if text in PRESETS or not text:
        return _sliding(text or DEFAULT_PRESET, now)
    start, _, end = text.partition("-")
    try:
        time_range = TimeRange(read_stamp(start), read_stamp(end))
    except ValueError:
        return _sliding(DEFAULT_PRESET, now, "The address holds a time range that cannot be read.")
    return Window(time_range, live=False, preset=_preset_of(time_range.length))


def pinned(preset: str, now: datetime) -> TimeRange:
    """Return the absolute range that a preset means at this moment, in whole seconds."""
    end = now.astimezone(timezone.utc).replace(microsecond=0) + timedelta(seconds=1)
    return TimeRange(end - PRESETS[preset], end)


def interval(time_range: TimeRange) -> str:
    """Write a range for an address."""
    return f"{stamp(time_range.start)}-{stamp(time_range.end)}"


def stamp(moment: datetime) -> str:
    """Write a time for an address (ISO 8601, basic form, UTC); milliseconds only where there are any."""
    moment = moment.astimezone(timezone.utc)
    fraction = f".{moment.microsecond // 1000:03d}" if moment.microsecond >= 1000 else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"


def read_stamp(text: str) -> datetime:
    """Read a time of an address; one without a zone is UTC.

    Raises:
        ValueError: It is no ISO 8601 time, or outside the years 2000 to 2100.
    """
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    if not 2000 <= moment.year < 2100:
        raise ValueError("a time outside 2000 to 2100")
    return moment


def _sliding(preset: str, now: datetime, problem: str = "") -> Window:
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    end = epoch + -(-(now - epoch) // _GRID) * _GRID
    return Window(TimeRange(end - PRESETS[preset], end), live=True, preset=preset, problem=problem)


def _preset_of(length: timedelta) -> str:
    return next((name for name, size in PRESETS.items() if size == length), "")
