"""Numbers over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import hours, read_latency
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.queries.scope import Scope, TimeRange

_MAX_ROWS = 5_000
_BUCKET = "toUnixTimestamp(toStartOfInterval(ts, toIntervalSecond({step_s:UInt32}), 'UTC'))"


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of time.

    Attributes:
        at: Start of the bucket, UTC.
        version: Version of the prompt, empty where the question does not split by it.
        calls: Model calls that started in it.
        errors: Those with status `error`.
        flagged: Those with a safety flag.
        p50_ms: Median duration.
        p95_ms: 95th percentile of duration.
        cost_usd: Sum over the priced calls, None if none is priced.
        priced: Calls with a known cost.
    """

    at: datetime
    version: str
    calls: int
    errors: int
    flagged: int
    p50_ms: float | None
    p95_ms: float | None
    cost_usd: Decimal | None
    priced: int


@dataclass(frozen=True, slots=True)
class CallsOverTime(Query[Point]):
    """How did calls, errors, latency and cost develop? Buckets without calls are left out.

    Attributes:
        scope: Which calls.
        by_version: One series a prompt version instead of one in all.
    """

    scope: Scope
    by_version: bool = False

    def sql(self) -> str:
        """See `Query.sql`."""
        version = "prompt_version" if self.by_version else "''"
        if self.scope.range.step_s % 3600:
            return self._of_calls(version)
        return f"""
            SELECT
                {_BUCKET.replace("ts", "hour")} AS at_s,
                {version} AS version,
                sum(calls),
                sum(errors),
                sum(flagged),
                sumMap(duration_hist),
                if(sum(cost_calls) = 0, NULL, sum(cost_usd)),
                sum(cost_calls)
            FROM {hours()}
            WHERE {self.scope.filter.condition()}
            GROUP BY at_s, version
            ORDER BY at_s, version
            LIMIT {_MAX_ROWS}
        """

    def _of_calls(self, version: str) -> str:
        return f"""
            SELECT
                {_BUCKET} AS at_s,
                {version} AS version,
                count(),
                countIf(status = 'error'),
                countIf(notEmpty(safety_flags)),
                tuple(quantileExact(0.5)(duration_ms), quantileExact(0.95)(duration_ms)),
                sum(cost_usd),
                countIf(cost_usd IS NOT NULL)
            FROM priced_calls
            WHERE {self.scope.where()}
            GROUP BY at_s, version
            ORDER BY at_s, version
            LIMIT {_MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.scope.parameters(), "step_s": self.scope.range.step_s}

    def row(self, values: Sequence[Any]) -> Point:
        """See `Query.row`."""
        bucket_s, version, calls, errors, flagged, latency, cost_usd, priced = values
        p50, p95 = read_latency(latency)
        at = from_micros(int(bucket_s) * 1_000_000)
        return Point(at, version, calls, errors, flagged, p50, p95, cost_usd, priced)


def buckets(time_range: TimeRange) -> list[datetime]:
    """All bucket starts of a range, as the store cuts it: what a chart needs to show a gap as a gap."""
    epoch, step = from_micros(0), timedelta(seconds=time_range.step_s)
    at = epoch + ((time_range.start - epoch) // step) * step
    found: list[datetime] = []
    while at < time_range.end:
        found.append(at)
        at += step
    return found
