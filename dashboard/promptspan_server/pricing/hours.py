"""How hours travel to the store, and how what is kept of an hour is replaced."""

from __future__ import annotations

from datetime import timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# Parameters of the statements of this room.
HOURS = "{hours:Array(DateTime('UTC'))}"
# Of a table's rows those of these hours. The day, too: it leads the key where rows of a day lie together.
OF_HOURS = f"hour IN (SELECT arrayJoin({HOURS})) AND toDate(hour) IN (SELECT toDate(arrayJoin({HOURS})))"
NOW = "{now:DateTime64(6, 'UTC')}"


def replacement(table: str, columns: str, rows: str) -> str:
    """Return an insert that replaces what `table` has of the hours in the parameter `hours` as a whole.

    Args:
        table: A ReplacingMergeTree(revision, gone) whose key begins with `hour` or its day.
        columns: Its other columns and `hour`.
        rows: Where the new rows come from: a table expression with these columns.
    """
    # One insert, one part: what an hour had goes and what it has comes at the same moment. New rows are one
    # revision above the deletions, so a row that stays is replaced and only one that vanished is gone.
    return f"""
    INSERT INTO {table} ({columns}, revision, gone)
    SETTINGS max_insert_threads = 1, min_insert_block_size_rows = 100000000, min_insert_block_size_bytes = 0
    SELECT {columns}, {{revision:UInt64}}, 1
    FROM {table} FINAL
    WHERE {OF_HOURS}
    UNION ALL
    SELECT {columns}, {{revision:UInt64}} + 1, 0
    FROM {rows}
    """  # noqa: S608 - constants of this room


def hour_list(hours: Iterable[datetime]) -> str:
    """Write starts of hours for the parameter `hours`."""
    return f"[{','.join(str(int(hour.timestamp())) for hour in hours)}]"


def moment_text(moment: datetime) -> str:
    """Write a moment for a DateTime64 parameter, in UTC."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
