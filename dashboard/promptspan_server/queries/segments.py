"""Calls of two groups by every dimension at once, and calls of one segment to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.queries.scope import Scope

MAX_CELLS = 400_000
_WHOSE = "multiIf(user_id != '', user_id, session_id != '', session_id, '')"
# Where two mean the same calls, the first one is named.
DIMENSIONS = {
    "feature": "feature",
    "prompt": "prompt_name",
    "version": "prompt_version",
    "request model": "request_model",
    "answering model": "response_model",
    "provider": "provider",
    "tenant": "tenant",
    "environment": "environment",
    "service": "service",
    "operation": "operation",
    "streaming": "if(streaming, 'yes', 'no')",
    "retry": "if(attempt > 1, 'yes', 'no')",
    "service tier": "service_tier",
    "instrumentation": "concat(instrumentation, ' ', sdk_version)",
    "user group": f"if({_WHOSE} = '', '', toString(cityHash64({_WHOSE}) % 64))",
    "hour": "formatDateTime(ts, '%H:00', 'UTC')",
}
# What became of a call divides those that came to something by it, but not a share of calls.
OUTCOMES = {
    "status": "status",
    "error type": "error_type",
    "finish reason": "arrayStringConcat(arraySort(finish_reasons), ', ')",
}
# A call that came to nothing has nothing that answers tell: that would divide failures from all other calls.
_OF_ANSWERS = frozenset({"answering model", "service tier"})
_AMOUNTS = {
    "latency": ("duration_ms", "status = 'ok'"),
    "ttft": ("ifNull(ttft_ms, 0)", "ttft_ms IS NOT NULL"),
    "input_tokens": ("toFloat64(ifNull(input_tokens, 0))", "input_tokens IS NOT NULL"),
    "output_tokens": ("toFloat64(ifNull(output_tokens, 0))", "output_tokens IS NOT NULL"),
    "cost": ("toFloat64(ifNull(cost_usd, 0))", "cost_usd IS NOT NULL"),
}
_SMALLEST = {"cost": "1e-9"}  # what is added before a logarithm is taken
_STATES = {"error": "error", "cancelled": "cancelled", "incomplete": "incomplete"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is asked about.

    Attributes:
        source: `latency`, `ttft`, `input_tokens`, `output_tokens`, `cost`; `error`, `cancelled`, `incomplete`
            or a safety flag.
        above: Count the calls above this value instead, in the quantity's unit (ms, tokens, USD).
    """

    source: str
    above: float | None = None

    @property
    def is_rate(self) -> bool:
        """Whether each call is bad or not."""
        return self.source not in _AMOUNTS or self.above is not None

    def value(self) -> str:
        """The quantity of one call, 0 or 1 for rates, as SQL."""
        if self.source in _AMOUNTS:
            amount = _AMOUNTS[self.source][0]
            return amount if self.above is None else f"toFloat64({amount} > {{above:Float64}})"
        if self.source in _STATES:
            return f"toFloat64(status = '{_STATES[self.source]}')"
        return "toFloat64(has(safety_flags, {flag:String}))"

    def logarithm(self) -> str:
        """What means are compared on."""
        return self.value() if self.is_rate else f"log({self.value()} + {_SMALLEST.get(self.source, '1')})"

    def known(self) -> str:
        """Which calls have it."""
        return _AMOUNTS[self.source][1] if self.source in _AMOUNTS else "true"

    def parameters(self) -> dict[str, Any]:
        """The values that these name."""
        own: dict[str, Any] = {} if self.above is None else {"above": self.above}
        return own if self.source in _AMOUNTS or self.source in _STATES else {**own, "flag": self.source}


@dataclass(frozen=True, slots=True)
class SegmentCells:
    """Two groups of calls in cells that are alike in every dimension: columns of one question, as SQL.

    Attributes:
        a: The first group: two versions of one time, or one scope at two times.
        b: The second group; no call is in both.
        quantity: What is added up.
        total: What came together in the time of a group is asked about, instead of what a call came to.
    """

    a: Scope
    b: Scope
    quantity: Quantity
    total: bool = False

    def dimensions(self) -> dict[str, str]:
        """What the calls are divided by, as SQL: not by what both groups are narrowed to."""
        fixed = {
            name
            for name in ("prompt", "version", "feature", "environment", "service", "model")
            if getattr(self.a.filter, name) is not None and getattr(self.b.filter, name) is not None
        }
        fixed = {"request model" if name == "model" else name for name in fixed}
        if self.quantity.source in _STATES:
            fixed |= _OF_ANSWERS
        every = DIMENSIONS if self.quantity.is_rate else {**DIMENSIONS, **OUTCOMES}
        return {name: sql for name, sql in every.items() if name not in fixed}

    def count(self) -> str:
        """How many calls there are, roughly: `calls`."""
        return f"SELECT count() AS calls FROM llm_calls WHERE {self._chosen()}"

    def sql(self) -> str:
        """One row a cell: `arm` (0: the first group), `d0`, ..., `day`, `calls`, `sum`, `log`, `squares`.

        One call in `every` is read, by its trace.
        """
        names = [f"{sql} AS d{number}" for number, sql in enumerate(self.dimensions().values())]
        value = self.quantity.value()
        logarithm = value if self.total else self.quantity.logarithm()
        return f"""
            SELECT
                toUInt8({_prefixed(self.b.where(), "b_")}) AS arm,
                {", ".join(names)},
                toUInt16(toDate(ts)) AS day,
                count() AS calls,
                sum({value}) AS sum,
                sum({logarithm}) AS log,
                sum(pow({logarithm}, 2)) AS squares
            FROM llm_costs
            WHERE {self._chosen()} AND {self.quantity.known()}
                AND ({{every:UInt32}} = 1 OR cityHash64(trace_id) % {{every:UInt32}} = 0)
            GROUP BY arm, {", ".join(f"d{number}" for number in range(len(names)))}, day
            LIMIT {MAX_CELLS}
        """

    def parameters(self, every: int = 1) -> Mapping[str, Any]:
        """The values that the questions name."""
        both = {
            **{f"a_{name}": value for name, value in self.a.parameters().items()},
            **{f"b_{name}": value for name, value in self.b.parameters().items()},
        }
        return {**both, **self.quantity.parameters(), "every": every}

    def _chosen(self) -> str:
        return f"(({_prefixed(self.a.where(), 'a_')}) OR ({_prefixed(self.b.where(), 'b_')}))"


def _prefixed(condition: str, prefix: str) -> str:
    return condition.replace("{", "{" + prefix)


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """A call worth looking at.

    Attributes:
        at: Start, UTC.
        trace_id: Lower case hex.
        span_id: Lower case hex.
        telling: Whether it shows the change; else it is a usual one.
        status: ok, error, cancelled or incomplete.
        error_type: Class or code of the error, empty if none.
        duration_ms: Start to end.
        cost_usd: None if unknown.
    """

    at: datetime
    trace_id: str
    span_id: str
    telling: bool
    status: str
    error_type: str
    duration_ms: float
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Examples(Query[ExampleRow]):
    """Which five calls of a segment show the change, and which five are usual ones?

    For a rate the newest that are bad and the newest that are not; for an amount the largest, and those
    nearest to the median.

    Attributes:
        scope: The group.
        quantity: What changed.
        predicates: Names of `DIMENSIONS` and `OUTCOMES` with their values.
    """

    scope: Scope
    quantity: Quantity
    predicates: tuple[tuple[str, str], ...] = ()

    def sql(self) -> str:
        """See `Query.sql`."""
        value = self.quantity.value()
        every = {**DIMENSIONS, **OUTCOMES}
        inside = "".join(
            f" AND {every[name]} = {{p_{number}:String}}" for number, (name, _) in enumerate(self.predicates)
        )
        source = f"FROM llm_costs WHERE {self.scope.where()} AND {self.quantity.known()}{inside}"
        columns = (
            "toUnixTimestamp64Micro(ts), trace_id, span_id, {telling}, status, error_type,"
            " duration_ms, cost_usd"
        )
        if self.quantity.is_rate:
            halves = (
                f"{source} AND {value} = 1 ORDER BY ts DESC",
                f"{source} AND {value} = 0 ORDER BY ts DESC",
            )
        else:
            middle = f"(SELECT quantile(0.5)({value}) {source})"
            halves = (f"{source} ORDER BY {value} DESC", f"{source} ORDER BY abs({value} - {middle})")
        return " UNION ALL ".join(
            f"(SELECT {columns.format(telling=telling)} {half}, trace_id, span_id LIMIT 5)"
            for telling, half in zip(("true", "false"), halves, strict=True)
        )

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        values = {f"p_{number}": value for number, (_, value) in enumerate(self.predicates)}
        return {**self.scope.parameters(), **self.quantity.parameters(), **values}

    def row(self, values: Sequence[Any]) -> ExampleRow:
        """See `Query.row`."""
        at, *rest = values
        return ExampleRow(from_micros(at), *rest)
