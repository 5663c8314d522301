"""Prompt versions beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import hours, latency_columns, most_frequent, read_latency, with_latency
from promptspan_server.queries.money import SPEND_COLUMNS, Spend
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import Scope

MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of one prompt in a scope.

    Attributes:
        prompt: Name of the prompt, empty for calls without one.
        version: Version, empty for calls without one.
        errors: Calls with status `error`.
        flagged: Calls with a safety flag.
        flags: The flags seen, most frequent first, at most five.
        p50_ms: Median duration.
        p95_ms: 95th percentile of duration.
        input_tokens_mean: Mean over calls that reported usage, None if none did.
        output_tokens_mean: As `input_tokens_mean`.
        first_seen: Start of its first call in the scope, UTC.
        last_seen: Start of its last call in the scope, UTC.
        models: Models that answered (or were asked for, where no answer names one), at most five.
        spend: Cost and coverage; its `calls` is the number of model calls.
    """

    prompt: str
    version: str
    errors: int
    flagged: int
    flags: tuple[str, ...]
    p50_ms: float
    p95_ms: float
    input_tokens_mean: float | None
    output_tokens_mean: float | None
    first_seen: datetime
    last_seen: datetime
    models: tuple[str, ...]
    spend: Spend

    @property
    def error_rate(self) -> float:
        """Share of calls that failed, 0 to 1."""
        return self.errors / self.spend.calls

    @property
    def flag_rate(self) -> float:
        """Share of calls with a safety flag, 0 to 1."""
        return self.flagged / self.spend.calls


@dataclass(frozen=True, slots=True)
class Versions(Query[VersionRow]):
    """Which versions ran, how often, how well and for how much? The busiest first, at most 50.

    Attributes:
        scope: Which calls.
    """

    scope: Scope

    def sql(self) -> str:
        """See `Query.sql`."""
        grouped = f"""
            SELECT
                prompt_name,
                prompt_version,
                sum(errors) AS failed,
                sum(flagged) AS with_flag,
                sumMap(flags) AS all_flags,
                if(sum(input_calls) = 0, NULL, sum(input_tokens) / sum(input_calls)) AS input_mean,
                if(sum(output_calls) = 0, NULL, sum(output_tokens) / sum(output_calls)) AS output_mean,
                toUnixTimestamp64Micro(min(first_call)) AS first_us,
                toUnixTimestamp64Micro(max(last_call)) AS last_us,
                sumMap(models) AS answering,
                if(empty(answering), sumMap(map(request_model, calls)), answering) AS all_models,
                tuple({SPEND_COLUMNS}) AS spend,
                {latency_columns(self.scope.range)}
            FROM {hours()}
            WHERE {self.scope.filter.condition()}
            GROUP BY prompt_name, prompt_version
            ORDER BY sum(calls) DESC, prompt_name, prompt_version
            LIMIT {MAX_ROWS}
        """
        return f"""
            SELECT
                prompt_name, prompt_version, failed, with_flag, all_flags, latency, input_mean,
                output_mean, first_us, last_us, all_models, spend
            FROM {with_latency(grouped, self.scope, "prompt_name", "prompt_version")}
            ORDER BY spend.2 DESC, prompt_name, prompt_version
            LIMIT {MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.scope.parameters()

    def row(self, values: Sequence[Any]) -> VersionRow:
        """See `Query.row`."""
        prompt, version, errors, flagged, flags, latency, mean_in, mean_out, first, last, models, spend = (
            values
        )
        p50, p95 = read_latency(latency)
        return VersionRow(
            prompt=prompt,
            version=version,
            errors=errors,
            flagged=flagged,
            flags=most_frequent(flags, 5),
            p50_ms=p50,
            p95_ms=p95,
            input_tokens_mean=mean_in,
            output_tokens_mean=mean_out,
            first_seen=from_micros(first),
            last_seen=from_micros(last),
            models=most_frequent(models, 5),
            spend=Spend(*spend),
        )
