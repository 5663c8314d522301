"""The ledger's recompute: every hour that something happened to is computed again from the calls.

An hour is marked when calls arrive for it and when its prices change. It is computed soon after, and once
more when the mark is older than `settle_s`: an insert marks its hour a moment before its rows can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import TYPE_CHECKING

from promptspan_server.pricing.names import current_book, match_calls

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

_HOUR = timedelta(hours=1)
_NOW = "{now:DateTime64(6, 'UTC')}"
_SINCE = "{since:DateTime64(9, 'UTC')}"
_UNTIL = "{until:DateTime64(9, 'UTC')}"
_KEYS = (
    "hour, tenant, environment, service, feature, prompt_name, prompt_version, operation, provider, "
    "request_model, response_model, service_tier, status, price_status, price_id, rate_id"
)
_MEASURES = (
    "calls, retries, streamed, cached, flagged, input_tokens, uncached_input_tokens, cache_read_tokens, "
    "cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, output_tokens, reasoning_tokens, "
    "audio_output_tokens, cost_usd, retries_cost_usd, duration_ms_sum, duration_log_sum, "
    "duration_log_sumsq, duration_hist, ttft_calls, ttft_log_sum, ttft_log_sumsq, ttft_hist, "
    "output_tokens_hist"
)

_DUE = f"""
SELECT marked.hour AS hour
FROM (SELECT hour, max(marked_at) AS marked_at FROM dirty_hours GROUP BY hour) AS marked
LEFT JOIN (SELECT hour, max(computed_at) AS computed_at FROM computed_hours GROUP BY hour) AS computed
    ON computed.hour = marked.hour
WHERE computed.computed_at < marked.marked_at + toIntervalSecond({{settle:UInt32}})
    AND computed.computed_at <= {_NOW} - toIntervalSecond({{interval:UInt32}})
ORDER BY hour DESC
LIMIT {{hours:UInt32}}
"""  # noqa: S608 - constants of this module

_HOURS = "SELECT toDateTime(arrayJoin(splitByChar(',', {hours:String}))::UInt32, 'UTC')"

# Hours whose calls are gone (their retention is shorter than the ledger's) stay as they were computed.
_WITH_CALLS = f"""
SELECT DISTINCT toStartOfHour(ts)::DateTime('UTC') AS hour
FROM llm_calls
WHERE ts >= {_SINCE} AND ts < {_UNTIL} AND hour IN ({_HOURS})
"""  # noqa: S608 - constants of this module

# One insert, one part: what an hour had goes and what it has comes at the same moment. New rows are one
# revision above the deletions, so a group that stays is replaced and only one that vanished is gone.
_REPLACE = f"""
INSERT INTO hourly_rows ({_KEYS}, {_MEASURES}, revision, gone)
SETTINGS max_insert_threads = 1, min_insert_block_size_rows = 100000000, min_insert_block_size_bytes = 0
SELECT {_KEYS}, {_MEASURES}, {{revision:UInt64}}, 1
FROM hourly_rows FINAL
WHERE hour IN ({_HOURS})
UNION ALL
SELECT {_KEYS}, {_MEASURES}, {{revision:UInt64}} + 1, 0
FROM hourly_of_calls(since = {_SINCE}, until = {_UNTIL})
WHERE hour IN ({_HOURS})
"""  # noqa: S608 - constants of this module

_COMPUTED = f"INSERT INTO computed_hours (hour, computed_at) SELECT *, {_NOW} FROM ({_HOURS})"  # noqa: S608
_NEWEST = f"SELECT max(revision) FROM hourly_rows WHERE hour IN ({_HOURS})"  # noqa: S608


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
    started = now or executor.rows("SELECT now64(6, 'UTC')")[0][0]
    due: list[datetime] = [
        row[0]
        for row in executor.rows(
            _DUE,
            {
                "now": _text(started),
                "settle": str(settle_s),
                "interval": str(interval_s),
                "hours": str(max_hours),
            },
        )
    ]
    for _, group in groupby(due, key=datetime.date):
        _replace(executor, list(group), started)
    return Recomputed(len(due), more=len(due) == max_hours)


def _replace(executor: Executor, hours: list[datetime], started: datetime) -> None:
    bounds = {"since": _text(min(hours)), "until": _text(max(hours) + _HOUR)}
    with_calls: list[datetime] = [
        row[0] for row in executor.rows(_WITH_CALLS, {"hours": _list(hours), **bounds})
    ]
    if with_calls:
        match_calls(executor, current_book(executor), bounds)
        chosen = {"hours": _list(with_calls)}
        newest = executor.rows(_NEWEST, chosen)[0][0]
        revision = max(int(started.timestamp() * 1_000_000), newest + 1)
        executor.command(_REPLACE, {**chosen, **bounds, "revision": str(revision)})
    executor.command(_COMPUTED, {"hours": _list(hours), "now": _text(started)})


def _list(hours: list[datetime]) -> str:
    return ",".join(str(int(hour.timestamp())) for hour in hours)


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
