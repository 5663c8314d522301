"""The numbers of a scope in one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.histogram import quantile
from promptspan_server.queries.hours import has_exact_quantiles, hours
from promptspan_server.queries.money import SPEND_COLUMNS, Spend
from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.queries.scope import Scope


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """What happened in a scope.

    Attributes:
        calls: Model calls.
        errors: Calls with status `error`.
        cancelled: Calls that the caller gave up.
        incomplete: Calls cut short (an interrupted stream).
        flagged: Calls with at least one safety flag.
        p50_ms: Median duration, None without calls.
        p95_ms: 95th percentile of duration, None without calls.
        ttft_p50_ms: Median time to the first chunk, over streamed calls that told it.
        input_tokens: Sum over calls that reported usage, None if none did.
        output_tokens: As `input_tokens`.
        estimated: Calls whose tokens are estimates.
        spend: Cost and coverage.
        wasted_usd: What calls cost that failed, were given up or cut short; None if none of them is priced.
    """

    calls: int
    errors: int
    cancelled: int
    incomplete: int
    flagged: int
    p50_ms: float | None
    p95_ms: float | None
    ttft_p50_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    estimated: int
    spend: Spend
    wasted_usd: Decimal | None

    @property
    def error_rate(self) -> float | None:
        """Share of calls that failed, 0 to 1; None without calls."""
        return self.errors / self.calls if self.calls else None


# Exact, not sketches: those depend on the order of merging, and the same URL has to give the same number.
_EXACT = """
    (
        SELECT (
            if(count() = 0, NULL, quantileExact(0.5)(duration_ms)),
            if(count() = 0, NULL, quantileExact(0.95)(duration_ms)),
            quantileExact(0.5)(ttft_ms))
        FROM llm_calls_once
        WHERE {scope}
    )"""
_FROM_HISTOGRAMS = "(sumMap(duration_hist), sumMap(ttft_hist))"


@dataclass(frozen=True, slots=True)
class Totals(Query[TotalsRow]):
    """How many calls, how many failed, how slow, how dear?

    Attributes:
        scope: Which calls.
    """

    scope: Scope

    def sql(self) -> str:
        """See `Query.sql`."""
        exact = has_exact_quantiles(self.scope.range)
        quantiles = _EXACT.replace("{scope}", self.scope.where()) if exact else _FROM_HISTOGRAMS
        return f"""
            SELECT
                sum(errors),
                sum(cancelled),
                sum(incomplete),
                sum(flagged),
                {quantiles} AS quantiles,
                if(sum(input_calls) = 0, NULL, sum(input_tokens)),
                if(sum(output_calls) = 0, NULL, sum(output_tokens)),
                sum(estimated),
                {SPEND_COLUMNS},
                if(sum(wasted_calls) = 0, NULL, sum(wasted_usd))
            FROM {hours()}
            WHERE {self.scope.filter.condition()}
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.scope.parameters()

    def row(self, values: Sequence[Any]) -> TotalsRow:
        """See `Query.row`."""
        errors, cancelled, incomplete, flagged, quantiles, tokens_in, tokens_out, estimated = values[:8]
        if len(quantiles) == 3:
            p50, p95, ttft = quantiles
        else:
            durations, ttfts = quantiles
            p50, p95, ttft = quantile(durations, 0.5), quantile(durations, 0.95), quantile(ttfts, 0.5)
        spend = Spend(*values[8:12])
        return TotalsRow(
            calls=spend.calls,
            errors=errors,
            cancelled=cancelled,
            incomplete=incomplete,
            flagged=flagged,
            p50_ms=p50,
            p95_ms=p95,
            ttft_p50_ms=ttft,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            estimated=estimated,
            spend=spend,
            wasted_usd=values[12],
        )
