"""The ledger's recompute: every hour that something happened to is computed again from the calls.

An hour is marked when calls arrive for it and when its prices change. It is computed soon after, and once
more when the mark is older than `settle_s`: an insert marks its hour a moment before its rows can be read.
Readers who cannot wait read the calls of such hours (the view `prompt_hours` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from promptspan_server.pricing.corrections import find_corrections
from promptspan_server.pricing.hours import HOURS, NOW, hour_list, moment_text, replacement
from promptspan_server.pricing.names import match_calls

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

_CORRECTIONS_INTERVAL_S = 5
_LEDGER_KEYS = (
    "hour, tenant, environment, service, feature, prompt_name, prompt_version, operation, provider, "
    "request_model, response_model, service_tier, tags, status, price_status, price_id, rate_id"
)
_LEDGER_MEASURES = (
    "calls, retries, streamed, cached, estimated, flagged, flags, input_calls, output_calls, input_tokens, "
    "uncached_input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, "
    "audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens, cost_usd, retries_cost_usd, "
    "cost_usd_max, duration_ms_sum, duration_ms_max, duration_log_sum, duration_log_sumsq, duration_hist, "
    "ttft_calls, ttft_log_sum, ttft_log_sumsq, ttft_hist, output_tokens_hist, input_log_sum, "
    "input_log_sumsq, output_log_sum, output_log_sumsq, cost_log_calls, cost_log_sum, cost_log_sumsq, "
    "finish_reasons, settings, "
    "first_call, last_call"
)
_PROMPT_KEYS = "hour, feature, prompt_name, prompt_version, environment, service, request_model"
_PROMPT_MEASURES = {
    "calls": "sum(l.calls)",
    "errors": "sumIf(l.calls, l.status = 'error')",
    "cancelled": "sumIf(l.calls, l.status = 'cancelled')",
    "incomplete": "sumIf(l.calls, l.status = 'incomplete')",
    "estimated": "sum(l.estimated)",
    "flagged": "sum(l.flagged)",
    "flags": "sumMap(l.flags)",
    "models": "sumMap(if(l.response_model = '' AND l.status != 'ok', map(),"
    " map(if(l.response_model != '', l.response_model, l.request_model), l.calls)))",
    "input_calls": "sum(l.input_calls)",
    "output_calls": "sum(l.output_calls)",
    "input_tokens": "sum(l.input_tokens)",
    "output_tokens": "sum(l.output_tokens)",
    "cost_calls": "sumIf(l.calls, l.price_status IN ('priced', 'reported'))",
    "no_usage_calls": "sumIf(l.calls, l.price_status = 'no_usage')",
    "cost_usd": "sum(l.cost_usd)",
    "wasted_calls": "sumIf(l.calls, l.status != 'ok' AND l.price_status IN ('priced', 'reported'))",
    "wasted_usd": "sumIf(l.cost_usd, l.status != 'ok')",
    "cost_usd_max": "max(l.cost_usd_max)",
    "duration_ms_max": "max(l.duration_ms_max)",
    "duration_hist": "sumMap(l.duration_hist)",
    "ttft_hist": "sumMap(l.ttft_hist)",
    "output_tokens_hist": "sumMap(l.output_tokens_hist)",
    "latency_log_sum": "sumIf(l.duration_log_sum, l.status = 'ok')",
    "latency_log_sumsq": "sumIf(l.duration_log_sumsq, l.status = 'ok')",
    "input_log_sum": "sum(l.input_log_sum)",
    "input_log_sumsq": "sum(l.input_log_sumsq)",
    "output_log_sum": "sum(l.output_log_sum)",
    "output_log_sumsq": "sum(l.output_log_sumsq)",
    "cost_log_calls": "sum(l.cost_log_calls)",
    "cost_log_sum": "sum(l.cost_log_sum)",
    "cost_log_sumsq": "sum(l.cost_log_sumsq)",
    "finish_reasons": "sumMap(l.finish_reasons)",
    "settings": r"sumMap(CAST((arrayMap(made -> concat('provider=', l.provider, '\nprice=',"
    r" if(l.price_status IN ('priced', 'reported'), l.rate_id, ''), '\n',"
    " made), mapKeys(l.settings)), mapValues(l.settings)), 'Map(LowCardinality(String), UInt64)'))",
    "sketched": "any(s.sketched)",
    "sketch_groups": "any(s.sketch_groups)",
    "first_call": "min(l.first_call)",
    "last_call": "max(l.last_call)",
}

_ARM_COLUMNS = (
    "hour, prompt_name, prompt_version, feature, environment, service, request_model, units, calls, "
    "identified, errors, cancelled, incomplete, latency_calls, latency_sum, ttft_calls, ttft_sum, "
    "input_tokens_calls, input_tokens_sum, output_tokens_calls, output_tokens_sum, cost_calls, cost_sum, "
    "latency_squares, ttft_squares, input_tokens_squares, output_tokens_squares, cost_squares, flags, "
    "latency_hist, cost_hist"
)

_DUE = f"""
SELECT hour
FROM hour_states
GROUP BY hour
HAVING max(computed_at) < max(marked_at) + toIntervalSecond({{settle:UInt32}})
    AND max(computed_at) <= {NOW} - toIntervalSecond({{interval:UInt32}})
ORDER BY hour DESC
LIMIT {{hours:UInt32}}
"""  # noqa: S608 - constants of this module

# Hours whose calls are gone (their retention is shorter than the ledger's) stay as they were computed.
_SITUATION = f"""
SELECT
    (SELECT argMax(book, applied_at) FROM price_books),
    (SELECT groupUniqArray(toStartOfHour(ts)::DateTime('UTC')) FROM llm_calls
     WHERE toStartOfHour(ts) IN (SELECT arrayJoin({HOURS}))),
    (SELECT max(revision) FROM hourly_rows WHERE hour IN (SELECT arrayJoin({HOURS})))
"""  # noqa: S608 - constants of this module


_REPLACE_LEDGER = replacement(
    "hourly_rows", f"{_LEDGER_KEYS}, {_LEDGER_MEASURES}", f"hourly_of_calls(hours = {HOURS})"
)
_REPLACE_PROMPTS = replacement(
    "prompt_hour_rows",
    f"{_PROMPT_KEYS}, {', '.join(_PROMPT_MEASURES)}",
    f"(SELECT {_PROMPT_KEYS}, {', '.join(f'{sql} AS {name}' for name, sql in _PROMPT_MEASURES.items())} "  # noqa: S608
    f"FROM llm_hourly AS l LEFT JOIN sketches_of_calls(hours = {HOURS}) AS s USING ({_PROMPT_KEYS}) "
    f"WHERE hour IN (SELECT arrayJoin({HOURS})) GROUP BY {_PROMPT_KEYS})",
)
# Bounded by the day: the hours are of one.
_REPLACE_ARMS = replacement(
    "arm_hour_rows",
    _ARM_COLUMNS,
    f"(SELECT {_ARM_COLUMNS} FROM arms_of_calls("  # noqa: S608
    f"since = arrayMin({HOURS}), until = arrayMax({HOURS}) + INTERVAL 1 HOUR)"
    f" WHERE hour IN (SELECT arrayJoin({HOURS})))",
)
_COMPUTED = f"INSERT INTO hour_states (hour, computed_at) SELECT arrayJoin({HOURS}), {NOW}"


@dataclass(frozen=True)
class Recomputed:
    """What one run did.

    Attributes:
        hours: Hours computed.
        more: Whether hours may be left that are due already.
    """

    hours: int
    more: bool


def recompute(
    executor: Executor,
    *,
    now: datetime | None = None,
    max_hours: int = 48,
    settle_s: int = 60,
    interval_s: int = 60,
) -> Recomputed:
    """Compute the hours that are due, newest first. Safe to call at any time and by several.

    Args:
        executor: The store.
        now: When this is; the store's own clock if None (marks are made by it).
        max_hours: How many hours at most, so that one run stays short.
        settle_s: Age in seconds at which a mark is believed to be followed by its rows.
        interval_s: Seconds between two computations of an hour to which calls keep coming.
    """
    started: datetime = now or executor.rows("SELECT now64(6, 'UTC')")[0][0]
    find_corrections(
        executor, now=started, settle_s=settle_s, interval_s=min(_CORRECTIONS_INTERVAL_S, interval_s)
    )
    due: list[datetime] = [
        row[0]
        for row in executor.rows(
            _DUE,
            {
                "now": moment_text(started),
                "settle": str(settle_s),
                "interval": str(interval_s),
                "hours": str(max_hours),
            },
        )
    ]
    for _, group in groupby(due, key=datetime.date):
        _compute(executor, list(group), started)
    return Recomputed(len(due), more=len(due) == max_hours)


def _compute(executor: Executor, hours: list[datetime], started: datetime) -> None:
    book, with_calls, newest = executor.rows(_SITUATION, {"hours": hour_list(hours)})[0]
    if with_calls:
        chosen = {"hours": hour_list(sorted(with_calls))}
        match_calls(executor, book, chosen)
        chosen["revision"] = str(max(int(started.timestamp() * 1_000_000), newest + 2))
        executor.command(_REPLACE_LEDGER, chosen)
        executor.command(_REPLACE_PROMPTS, chosen)
        executor.command(_REPLACE_ARMS, chosen)
    executor.command(_COMPUTED, {"hours": hour_list(hours), "now": moment_text(started)})
