"""Prompts, each with all its versions together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import hours, latency_columns, read_latency, with_latency
from promptspan_server.queries.money import SPEND_COLUMNS, Spend
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import Scope

MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt in a scope.

    Attributes:
        prompt: Its name, empty for calls without one.
        versions: How many versions ran.
        errors: Calls with status `error`.
        flagged: Calls with a safety flag.
        p50_ms: Median duration.
        p95_ms: 95th percentile of duration.
        last_seen: Start of its last call in the scope, UTC.
        spend: Cost and coverage; its `calls` is the number of model calls.
    """

    prompt: str
    versions: int
    errors: int
    flagged: int
    p50_ms: float
    p95_ms: float
    last_seen: datetime
    spend: Spend

    @property
    def error_rate(self) -> float:
        """Share of calls that failed, 0 to 1."""
        return self.errors / self.spend.calls


@dataclass(frozen=True, slots=True)
class Prompts(Query[PromptRow]):
    """Which prompts ran? The busiest first, at most 50.

    Attributes:
        scope: Which calls.
    """

    scope: Scope

    def sql(self) -> str:
        """See `Query.sql`."""
        grouped = f"""
            SELECT
                prompt_name,
                uniqExact(prompt_version) AS versions,
                sum(errors) AS failed,
                sum(flagged) AS with_flag,
                toUnixTimestamp64Micro(max(last_call)) AS last_us,
                tuple({SPEND_COLUMNS}) AS spend,
                {latency_columns(self.scope.range)}
            FROM {hours()}
            WHERE {self.scope.filter.condition()}
            GROUP BY prompt_name
            ORDER BY sum(calls) DESC, prompt_name
            LIMIT {MAX_ROWS}
        """
        return f"""
            SELECT prompt_name, versions, failed, with_flag, latency, last_us, spend
            FROM {with_latency(grouped, self.scope, "prompt_name")}
            ORDER BY spend.2 DESC, prompt_name
            LIMIT {MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.scope.parameters()

    def row(self, values: Sequence[Any]) -> PromptRow:
        """See `Query.row`."""
        prompt, versions, errors, flagged, latency, last, spend = values
        p50, p95 = read_latency(latency)
        return PromptRow(
            prompt=prompt,
            versions=versions,
            errors=errors,
            flagged=flagged,
            p50_ms=p50,
            p95_ms=p95,
            last_seen=from_micros(last),
            spend=Spend(*spend),
        )
