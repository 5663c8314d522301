"""What alert rules ask beside the calls by minute: arrivals, losses, prices, versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptspan_server.queries.scope import to_millis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

_SINCE = "fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')"
_UNTIL = "fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')"

# How much older than its arrival the newest call of each service is. Only SDKs that report tell of arrivals.
ARRIVALS = f"""
    SELECT service, (toUnixTimestamp64Milli(a.seen) - toUnixTimestamp64Milli(c.ended)) / 1000 AS lag_s
    FROM
    (
        SELECT service, max(last_seen) AS seen FROM sdk_losses
        GROUP BY service HAVING seen >= {_SINCE} AND seen < {_UNTIL}
    ) AS a
    INNER JOIN
    (
        SELECT service, max(ts + toIntervalMillisecond(toInt64(duration_ms))) AS ended
        FROM llm_calls
        WHERE ts >= {_SINCE} - INTERVAL 3 DAY AND ts < {_UNTIL}
        GROUP BY service
    ) AS c USING (service)
    ORDER BY lag_s DESC, service LIMIT 1000
"""

# Who answers for prompts, by the newest template that names somebody.
OWNERS = """
    SELECT prompt_name, argMax(owner, last_seen) AS named
    FROM prompt_templates
    WHERE prompt_name IN {prompts:Array(String)} AND owner != ''
    GROUP BY prompt_name LIMIT 10000
"""

# What SDK processes that reported in a time say they lost.
LOST = f"""
    SELECT service, toUInt64(sum(emitted_)) AS emitted, toUInt64(sum(arraySum(mapValues(dropped_)))) AS lost
    FROM
    (
        SELECT
            service, instance_id, max(last_seen) AS seen, max(emitted) AS emitted_,
            maxMap(dropped) AS dropped_
        FROM sdk_losses
        GROUP BY service, instance_id HAVING seen >= {_SINCE} AND seen < {_UNTIL}
    )
    GROUP BY service HAVING lost > 0
    ORDER BY lost DESC, service LIMIT 1000
"""

# Calls with usage and without a price, by the model that answered; of closed hours from the ledger.
UNPRICED = f"""
    SELECT model, toUInt64(sum(number)) AS unpriced
    FROM
    (
        SELECT if(response_model != '', response_model, request_model) AS model, calls AS number
        FROM llm_hourly
        WHERE price_status = 'unpriced' AND hour >= {_SINCE} AND hour < toStartOfHour({_UNTIL})
            AND hour NOT IN (SELECT hour FROM open_hours)
        UNION ALL
        SELECT if(response_model != '', response_model, request_model) AS model, 1 AS number
        FROM llm_costs
        WHERE billable AND price_status = 'unpriced' AND ts >= {_SINCE} AND ts < {_UNTIL}
            AND (toStartOfHour(ts) < {_SINCE} OR toStartOfHour(ts) >= toStartOfHour({_UNTIL})
                OR toStartOfHour(ts) IN (SELECT hour FROM open_hours))
    )
    GROUP BY model ORDER BY unpriced DESC, model LIMIT 1000
"""

# Versions of prompts with enough calls to be compared.
LIVE_VERSIONS = f"""
    SELECT
        prompt_name, prompt_version, sum(calls)::UInt64 AS calls,
        toUnixTimestamp(min(first_call))::Int64 AS first_s, toUnixTimestamp(max(last_call))::Int64 AS last_s
    FROM prompt_hours(since = {_SINCE}, until = {_UNTIL})
    WHERE prompt_name != ''
    GROUP BY prompt_name, prompt_version HAVING calls >= 30
    ORDER BY calls DESC, prompt_name, prompt_version LIMIT 2000
"""


def since(at: datetime, length: timedelta) -> Mapping[str, Any]:
    """The values that these questions name: the time of this length before a moment."""
    return {"start_ms": to_millis(at - length), "end_ms": to_millis(at)}
