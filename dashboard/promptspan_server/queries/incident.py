"""What an incident's page asks about the calls that an alert is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.calls import CallRow
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.queries.scope import TimeRange

# Labels of alerts that are columns of calls; a column's name never comes from data.
COLUMNS = (
    "environment",
    "service",
    "feature",
    "prompt_name",
    "prompt_version",
    "request_model",
    "provider",
)
_MAX_CELLS = 5_000
_MAX_CHANGES = 30
# Rows of the latency heat map: two an octave.
STEPS_PER_OCTAVE = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """The calls that an alert is about, in a time.

    Attributes:
        range: When.
        labels: Columns of calls and their values; sorted.
    """

    range: TimeRange
    labels: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, labels: Mapping[str, str], time_range: TimeRange, *, without: Sequence[str] = ()) -> Subject:
        """Take what is a column of calls from an alert's labels."""
        known = ((name, labels[name]) for name in COLUMNS if name in labels and name not in without)
        return cls(time_range, tuple(known))

    def where(self) -> str:
        """The subject as a condition on `llm_costs` or `llm_calls_once`."""
        named = "".join(f" AND {name} = {{l_{name}:String}}" for name, _ in self.labels)
        return f"{self.range.where()} AND billable{named}"

    def parameters(self) -> dict[str, Any]:
        """The values that `where` names."""
        return {**self.range.parameters(), **{f"l_{name}": value for name, value in self.labels}}


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """The numbers of a time.

    Attributes:
        calls: Model calls.
        errors: Those that failed.
        flagged: Those with a safety flag.
        p95_ms: 95th percentile of their duration, None without calls.
        usd: What the priced ones cost, None if none is priced.
        priced: Calls with a known cost.
        users: Different users among them that are known.
        tenants: Different tenants.
    """

    calls: int
    errors: int
    flagged: int
    p95_ms: float | None
    usd: Decimal | None
    priced: int
    users: int
    tenants: int


@dataclass(frozen=True, slots=True)
class IncidentNumbers(Query[IncidentRow]):
    """How many, how many failed, how slow, how dear, who is hit?

    Attributes:
        subject: Which calls.
    """

    subject: Subject

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                count(), countIf(status = 'error'), countIf(notEmpty(safety_flags)),
                if(count() = 0, NULL, quantileExact(0.95)(duration_ms)),
                sum(cost_usd), countIf(cost_usd IS NOT NULL),
                uniqExactIf(user_id, user_id != ''), uniqExactIf(tenant, tenant != '')
            FROM llm_costs
            WHERE {self.subject.where()}
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.subject.parameters()

    def row(self, values: Sequence[Any]) -> IncidentRow:
        """See `Query.row`."""
        return IncidentRow(*values)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """Calls of one bucket of time and one of duration.

    Attributes:
        at: Start of the bucket of time, UTC.
        row: Its bucket of duration: from 2^(row/2) ms to 2^((row+1)/2) ms.
        calls: How many.
        errors: How many of them failed.
    """

    at: datetime
    row: int
    calls: int
    errors: int


@dataclass(frozen=True, slots=True)
class LatencyHeat(Query[HeatCell]):
    """How long did calls take, and how many failed, over time?

    Attributes:
        subject: Which calls.
    """

    subject: Subject

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                toUnixTimestamp(toStartOfInterval(ts, toIntervalSecond({{step_s:UInt32}}), 'UTC')) AS at_s,
                toInt32(floor(log2(greatest(duration_ms, 1)) * {STEPS_PER_OCTAVE})) AS step,
                count(), countIf(status = 'error')
            FROM llm_calls_once
            WHERE {self.subject.where()}
            GROUP BY at_s, step
            ORDER BY at_s, step
            LIMIT {_MAX_CELLS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.subject.parameters(), "step_s": self.subject.range.step_s}

    def row(self, values: Sequence[Any]) -> HeatCell:
        """See `Query.row`."""
        at_s, step, calls, errors = values
        return HeatCell(from_micros(int(at_s) * 1_000_000), int(step), calls, errors)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Something that was there for the first time.

    Attributes:
        what: prompt_version, response_model or provider; or price.
        value: What it is.
        at: Since when, UTC.
        calls: How many calls have it, None where that is no question.
    """

    what: str
    value: str
    at: datetime
    calls: int | None


@dataclass(frozen=True, slots=True)
class FirstSeen(Query[ChangeRow]):
    """Which versions and models answered for the first time? At most 30.

    Attributes:
        subject: Which calls, over a time that is mostly before `since`.
        since: What had not been seen in that time before this, UTC, is new.
    """

    subject: Subject
    since: datetime

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT seen.1 AS what, seen.2 AS value, toUnixTimestamp64Micro(min(ts)) AS first_us, count()
            FROM llm_calls_once
            ARRAY JOIN [
                ('prompt_version', if(prompt_name = '', '', concat(prompt_name, ' ', prompt_version))),
                ('response_model', response_model),
                ('provider', provider)
            ] AS seen
            WHERE {self.subject.where()} AND seen.2 != ''
            GROUP BY what, value
            HAVING first_us >= {{since_us:Int64}}
            ORDER BY first_us, what, value
            LIMIT {_MAX_CHANGES}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.subject.parameters(), "since_us": int(self.since.timestamp() * 1e6)}

    def row(self, values: Sequence[Any]) -> ChangeRow:
        """See `Query.row`."""
        what, value, first_us, calls = values
        return ChangeRow(what, value, from_micros(first_us), calls)


@dataclass(frozen=True, slots=True)
class PriceChanges(Query[ChangeRow]):
    """Which prices came into force, by the price book of today? At most 30.

    Attributes:
        range: When.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT price_id, toUnixTimestamp(valid_from)
            FROM price_rates FINAL
            WHERE book = (SELECT argMax(book, applied_at) FROM price_books)
                AND {self.range.where("toDateTime64(valid_from, 3, 'UTC')")}
            GROUP BY price_id, valid_from
            ORDER BY valid_from, price_id
            LIMIT {_MAX_CHANGES}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> ChangeRow:
        """See `Query.row`."""
        price_id, from_s = values
        return ChangeRow("price", price_id, from_micros(int(from_s) * 1_000_000), None)


# What makes a call an example of an alert of this kind, and which comes first.
_EXAMPLES = {
    "latency": ("true", "duration_ms DESC"),
    "spend": ("cost_usd IS NOT NULL", "cost_usd DESC"),
    "flags": ("notEmpty(safety_flags)", "ts DESC"),
    "unpriced": ("price_status = 'unpriced'", "ts DESC"),
}
_FAILED = ("status = 'error'", "ts DESC")


@dataclass(frozen=True, slots=True)
class Examples(Query[CallRow]):
    """Which calls show it, and which do not?

    Attributes:
        subject: Which calls.
        kind: Kind of the rule, as in `AlertRow`.
        normal: Calls that went as they should, instead.
        limit: How many.
    """

    subject: Subject
    kind: str
    normal: bool = False
    limit: int = 5

    def sql(self) -> str:
        """See `Query.sql`."""
        condition, order = _EXAMPLES.get(self.kind, _FAILED)
        if self.normal:
            condition, order = "status = 'ok' AND empty(safety_flags)", "ts DESC"
            if self.kind in {"latency", "spend"}:
                # Next to the worst, the middle tells what is usual.
                order = "abs(duration_ms - (SELECT quantileExact(0.5)(duration_ms) FROM llm_calls_once"
                order += f" WHERE {self.subject.where()}))"
        return f"""
            SELECT
                toUnixTimestamp64Micro(ts), trace_id, span_id, prompt_name, prompt_version, feature,
                if(response_model != '', response_model, request_model), status, error_type, duration_ms,
                input_tokens, output_tokens, cost_usd, price_status, safety_flags
            FROM llm_costs
            WHERE {self.subject.where()} AND {condition}
            ORDER BY {order}, trace_id, span_id
            LIMIT {{rows:UInt32}}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.subject.parameters(), "rows": self.limit}

    def row(self, values: Sequence[Any]) -> CallRow:
        """See `Query.row`."""
        at, *rest, flags = values
        return CallRow(from_micros(at), *rest, flags=tuple(str(flag) for flag in flags))


@dataclass(frozen=True, slots=True)
class VersionBefore(Query[tuple[str, int]]):
    """Which version of the prompt did most calls before, and how many? None or one row.

    Attributes:
        subject: Calls of one prompt before it began, whatever their version.
        version: The version that is not meant.
    """

    subject: Subject
    version: str

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT prompt_version, count() AS calls
            FROM llm_calls_once
            WHERE {self.subject.where()} AND prompt_version != {{version:String}}
            GROUP BY prompt_version
            ORDER BY calls DESC, prompt_version DESC
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.subject.parameters(), "version": self.version}

    def row(self, values: Sequence[Any]) -> tuple[str, int]:
        """See `Query.row`."""
        return str(values[0]), int(values[1])
