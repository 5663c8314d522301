"""Lists of single calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import CLOSED, OPEN
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.queries.scope import Scope

MAX_ROWS = 50
_ORDERS = {
    "newest": "ts DESC",
    "slowest": "duration_ms DESC",
    "dearest": "cost_usd DESC NULLS LAST",
}


# A shorter range is read faster than thought about.
_WORTH_NARROWING = timedelta(hours=6)
_LARGEST = {"slowest": "duration_ms_max", "dearest": "cost_usd_max"}


@dataclass(frozen=True, slots=True)
class CallRow:
    """One model call in a list.

    Attributes:
        at: Start, UTC.
        trace_id: Lower case hex.
        span_id: Lower case hex.
        prompt: Name of the prompt, may be empty.
        version: Version of the prompt, may be empty.
        feature: Feature, may be empty.
        model: Model that answered, else the one asked for.
        status: ok, error, cancelled or incomplete.
        error_type: Class or code of the error, empty if none.
        duration_ms: Start to end.
        input_tokens: None if unknown.
        output_tokens: None if unknown.
        cost_usd: None if unknown; `price_status` says why.
        price_status: priced, reported, unpriced or no_usage.
        flags: Safety flags.
    """

    at: datetime
    trace_id: str
    span_id: str
    prompt: str
    version: str
    feature: str
    model: str
    status: str
    error_type: str
    duration_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    price_status: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallSearch(Query[CallRow]):
    """Which calls match? At most 50, and one more to tell that there are more.

    Attributes:
        scope: Which calls.
        errors_only: Only calls with status `error`.
        flag: Only calls with this safety flag.
        slower_than_ms: Only calls that took at least this long.
        identifier: Only the calls with this trace, span or response id.
        words: Only calls whose captured prompt contains all these words.
        order: `newest`, `slowest` or `dearest` first.
    """

    scope: Scope
    errors_only: bool = False
    flag: str | None = None
    slower_than_ms: float | None = None
    identifier: str | None = None
    words: str | None = None
    order: str = "newest"

    def sql(self) -> str:
        """See `Query.sql`."""
        conditions = [self.scope.where(), *self._conditions()]
        if self.words is not None:
            having = "hasAllTokens(input_text, {words:String})"
            found = f"FROM llm_texts WHERE {self.scope.range.where()} AND {having}"
            # The hours of the texts that are found: the rest of the calls need not be looked at.
            conditions.append(f"toStartOfHour(ts) IN (SELECT toStartOfHour(ts) {found})")
            conditions.append(
                f"(trace_id, span_id) IN (SELECT trace_id, span_id {found} ORDER BY ts DESC LIMIT 100000)"
            )
        elif self.identifier is None and self.scope.range.length > _WORTH_NARROWING:
            conditions.append(self._where_they_can_be())
        return f"""
            SELECT
                toUnixTimestamp64Micro(ts),
                trace_id,
                span_id,
                prompt_name,
                prompt_version,
                feature,
                if(response_model != '', response_model, request_model),
                status,
                error_type,
                duration_ms,
                input_tokens,
                output_tokens,
                cost_usd,
                price_status,
                safety_flags
            FROM priced_calls
            WHERE {" AND ".join(conditions)}
            ORDER BY {_ORDERS[self.order]}, trace_id, span_id
            LIMIT {MAX_ROWS + 1}
        """

    def _conditions(self) -> list[str]:
        found: list[str] = []
        if self.errors_only:
            found.append("status = 'error'")
        if self.flag is not None:
            found.append("has(safety_flags, {flag:String})")
        if self.slower_than_ms is not None:
            found.append("duration_ms >= {slower_than_ms:Float64}")
        if self.identifier is not None:
            named = (
                "(trace_id = lower({identifier:String}) OR span_id = lower({identifier:String})"
                " OR response_id = {identifier:String})"
            )
            # Looked up in the ids alone first: what there is to say of those calls is then read from their
            # few granules, and only those are deduplicated and priced.
            key = "toStartOfHour(ts), feature, prompt_name, prompt_version, span_id"
            where = self.scope.range.where()
            found.append(f"{named} AND ({key}) IN (SELECT {key} FROM llm_calls WHERE {where} AND {named})")
        return found

    def _where_they_can_be(self) -> str:
        """Narrow a long range to the hours, or prompt versions of hours, that can hold the first rows."""
        closed = f"FROM prompt_hour_rows FINAL WHERE {CLOSED} AND {self.scope.filter.condition()}"
        counts = [
            *(["errors"] if self.errors_only else []),
            *(["mapValues(flags)[indexOf(mapKeys(flags), {flag:String})]"] if self.flag is not None else []),
        ]
        if self.slower_than_ms is not None:
            counts.append("if(duration_ms_max >= {slower_than_ms:Float64}, 1, 0)")
        some = "".join(f" AND {count} > 0" for count in counts)
        if self.order == "newest":
            # Of one count it is known how many calls it stands for at least; of several together it is not.
            known = counts[0] if counts and len(counts) == 1 else "calls" if not counts else "0"
            return f"""(
                {OPEN} OR toStartOfHour(ts) IN (
                    SELECT hour
                    FROM (
                        SELECT hour, sum(sum({known})) OVER (
                            ORDER BY hour DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newer
                        {closed}{some}
                        GROUP BY hour
                    )
                    WHERE newer <= {MAX_ROWS}
                ))"""
        largest = _LARGEST[self.order]
        # The largest of fifty-one prompt hours are fifty-one calls: a smaller call is not among the first.
        least = (
            f"(SELECT if(count() > {MAX_ROWS}, min(m), NULL) FROM (SELECT {largest} AS m {closed}"
            f" AND m IS NOT NULL ORDER BY m DESC LIMIT {MAX_ROWS + 1}))"
        )
        is_part = (
            self.errors_only or self.flag is not None or (self.slower_than_ms and self.order == "dearest")
        )
        if self.order == "slowest" and not is_part:
            # What a call must reach is a column of its own: the others need not be priced to see it.
            return f"""(
                {OPEN}
                OR toStartOfHour(ts) IN (SELECT hour {closed}{some} AND {largest} >= ifNull({least}, 0))
                ) AND duration_ms >= ifNull({least}, 0)"""
        enough = "" if is_part else f" AND ({least} IS NULL OR {largest} >= {least})"
        return f"""(
            {OPEN} OR (toStartOfHour(ts), feature, prompt_name, prompt_version) IN (
                SELECT hour, feature, prompt_name, prompt_version {closed}{some}{enough}))"""

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        given = {
            "flag": self.flag,
            "slower_than_ms": self.slower_than_ms,
            "identifier": self.identifier,
            "words": self.words,
        }
        return {
            **self.scope.parameters(),
            **{name: value for name, value in given.items() if value is not None},
        }

    def row(self, values: Sequence[Any]) -> CallRow:
        """See `Query.row`."""
        at, *rest, flags = values
        return CallRow(from_micros(at), *rest, flags=tuple(str(flag) for flag in flags))
