"""Rows that count otherwise than their span says, hour by hour: twins of a call, streams that were left."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from promptspan_server.pricing.hours import HOURS, NOW, hour_list, moment_text, replacement

if TYPE_CHECKING:
    from datetime import datetime

    from promptspan_server.store.executor import Executor

_HOUR = timedelta(hours=1)
_HOURS_AT_ONCE = 24

_DUE = f"""
SELECT hour
FROM hour_states
WHERE (SELECT count() > 0 FROM crowded_services) OR (SELECT count() > 0 FROM splitting_instrumentations)
GROUP BY hour
HAVING max(corrected_at) < max(calls_at) + toIntervalSecond({{settle:UInt32}})
    AND max(corrected_at) <= {NOW} - toIntervalSecond({{interval:UInt32}})
ORDER BY hour DESC
"""  # noqa: S608 - constants of this room
_COLUMNS = "hour, trace_id, span_id, billable"
# Hours whose corrections are others than those found before cost something else now. Marked before they are
# stored: an hour that is computed in between is computed again when its mark has settled.
_MARK_CHANGED = f"""
INSERT INTO hour_states (hour, marked_at)
SELECT DISTINCT hour, now64(6, 'UTC')
FROM
(
    SELECT hour
    FROM
    (
        SELECT {_COLUMNS} FROM llm_call_corrections FINAL WHERE hour IN (SELECT arrayJoin({HOURS}))
        UNION ALL
        SELECT {_COLUMNS} FROM llm_call_corrections_in(hours = {HOURS})
    )
    GROUP BY {_COLUMNS}
    HAVING count() = 1
)
"""  # noqa: S608 - constants of this room
_REPLACE = replacement("llm_call_corrections", _COLUMNS, f"llm_call_corrections_in(hours = {HOURS})")
_LOOKED = f"INSERT INTO hour_states (hour, corrected_at) SELECT arrayJoin({HOURS}), {NOW}"
_NEWEST = f"SELECT max(revision) FROM llm_call_corrections WHERE hour IN (SELECT arrayJoin({HOURS}))"  # noqa: S608


def find_corrections(
    executor: Executor, *, now: datetime | None = None, settle_s: int = 60, interval_s: int = 0
) -> int:
    """Look for corrections in every hour to which calls came since it was last looked at, and beside it.

    Does nothing where each service has one instrumentation and none that splits streams. Hours whose
    corrections changed are marked for `rollup.recompute`.

    Args:
        executor: The store.
        now: When this is; the store's own clock if None.
        settle_s: Age in seconds at which a mark is believed to be followed by its rows.
        interval_s: Seconds between two looks at an hour to which calls keep coming.

    Returns:
        How many hours were looked at.
    """
    started: datetime = now or executor.rows("SELECT now64(6, 'UTC')")[0][0]
    when = {"now": moment_text(started)}
    due: list[datetime] = [
        row[0] for row in executor.rows(_DUE, {**when, "settle": str(settle_s), "interval": str(interval_s)})
    ]
    for first in range(0, len(due), _HOURS_AT_ONCE):
        some = due[first : first + _HOURS_AT_ONCE]
        # A call's twin may have begun on the other side of a full hour.
        around = {"hours": hour_list(sorted({hour + n * _HOUR for hour in some for n in (-1, 0, 1)}))}
        newest = executor.rows(_NEWEST, around)[0][0]
        executor.command(_MARK_CHANGED, around)
        executor.command(
            _REPLACE, {**around, "revision": str(max(int(started.timestamp() * 1e6), newest + 2))}
        )
        executor.command(_LOOKED, {"hours": hour_list(some), **when})
    return len(due)
