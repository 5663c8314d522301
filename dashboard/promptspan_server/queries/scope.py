"""Which calls a question is about: a half-open range of time, and filters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RANGE = timedelta(days=400)
_STEPS_S = (5, 10, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400)
_MAX_BUCKETS = 60


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A half-open range [start, end) of absolute time.

    Attributes:
        start: Aware, UTC.
        end: Aware, UTC, after `start` and at most 400 days later.

    Raises:
        ValueError: A time is naive, the range is empty or longer than 400 days.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a time range needs times with a zone")
        if not timedelta(0) < self.end - self.start <= MAX_RANGE:
            raise ValueError(f"a time range ends after it starts, within {MAX_RANGE.days} days")

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    @property
    def previous(self) -> TimeRange:
        """The range of the same length just before: the baseline of a plain comparison."""
        return TimeRange(self.start - self.length, self.start)

    @property
    def step_s(self) -> int:
        """A round bucket width in seconds that cuts the range into at most 61 pieces."""
        wanted = self.length.total_seconds() / _MAX_BUCKETS
        return next((step for step in _STEPS_S if step >= wanted), _STEPS_S[-1])

    def where(self, column: str = "ts") -> str:
        """The range as a condition on a DateTime64 column, with the parameters of `parameters`."""
        return (
            f"{column} >= fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC')"
            f" AND {column} < fromUnixTimestamp64Milli({{end_ms:Int64}}, 'UTC')"
        )

    def parameters(self) -> dict[str, Any]:
        """The values that `where` names."""
        return {"start_ms": to_millis(self.start), "end_ms": to_millis(self.end)}


@dataclass(frozen=True, slots=True)
class Filter:
    """What narrows the calls down; `None` lets everything through, an empty string means calls without one.

    Attributes:
        prompt: Name of the prompt.
        version: Version of the prompt.
        feature: Feature that the call was made for.
        environment: Deployment environment.
        service: Service that made it.
        model: Model that was asked for.
    """

    prompt: str | None = None
    version: str | None = None
    feature: str | None = None
    environment: str | None = None
    service: str | None = None
    model: str | None = None

    def where(self) -> str:
        """The filter as a condition that starts with AND, or nothing."""
        return "".join(f" AND {_COLUMNS[name]} = {{f_{name}:String}}" for name in self._given())

    def condition(self) -> str:
        """The filter as a whole condition."""
        return f"true{self.where()}"

    def parameters(self) -> dict[str, Any]:
        """The values that `where` names."""
        return {f"f_{name}": value for name, value in self._given().items()}

    def _given(self) -> Mapping[str, str]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Scope:
    """Calls of a time range that pass a filter.

    Only billable rows count as model calls: the span of the decorated function around a call, agents and
    tools would count the same work twice.
    """

    range: TimeRange
    filter: Filter = Filter()

    def where(self) -> str:
        """The scope as a condition on `llm_costs` or `llm_calls_once`."""
        return f"{self.range.where()} AND billable{self.filter.where()}"

    def parameters(self) -> dict[str, Any]:
        """The values that `where` names."""
        return {**self.range.parameters(), **self.filter.parameters()}

    def over(self, time_range: TimeRange) -> Scope:
        """The same filter over another time."""
        return Scope(time_range, self.filter)


def to_millis(moment: datetime) -> int:
    """Milliseconds since the epoch, exactly."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


_COLUMNS = {
    "prompt": "prompt_name",
    "version": "prompt_version",
    "feature": "feature",
    "environment": "environment",
    "service": "service",
    "model": "request_model",
}
