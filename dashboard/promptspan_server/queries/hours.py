"""Where a question reads its numbers: sums of closed hours, and the calls of all others.

Counts and money are exact over any range. Quantiles are exact over ranges of up to `EXACT_QUANTILES`; over
longer ones they come from histograms (`histogram.quantile`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from promptspan_server.queries.histogram import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.scope import Scope, TimeRange

EXACT_QUANTILES = timedelta(hours=25)

# An hour that the range holds whole; `hour` is a column.
WHOLE = (
    "hour >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')"
    " AND hour < toStartOfHour(fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC'))"
)
# Such an hour to which nothing happened since its sums were stored.
CLOSED = f"{WHOLE} AND hour NOT IN (SELECT hour FROM open_hours)"
# A call of any other hour; `ts` is a column.
OPEN = (
    "(toStartOfHour(ts) < fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')"
    " OR toStartOfHour(ts) >= toStartOfHour(fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC'))"
    " OR toStartOfHour(ts) IN (SELECT hour FROM open_hours))"
)


_START = "fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')"
_END = "fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')"


def hours(since: str = _START, until: str = _END) -> str:
    """Return the SQL of a table: what adds up to the calls of a range, by hour, prompt version and so on.

    It is the text of the view `prompt_hours`: read in the place of its name, the engine leaves out the
    columns that a question does not ask for before it plans the rest, which halves what planning takes.

    Args:
        since: SQL of a DateTime64(9), the start; that of `TimeRange` if left out.
        until: SQL of its end, likewise.
    """
    return "(" + over_range(" UNION ALL ".join(_parts()), since=since, until=until) + ")"


def by_hour(
    keys: Sequence[str],
    sums: Mapping[str, str],
    *,
    maps: Sequence[str] = (),
    arrays: Sequence[str] = (),
    of: str = "",
    where: str = "true",
) -> str:
    """Return the SQL of a table over the range: `keys`, `hour_s` (start of the hour), and sums `c_{name}`.

    Closed hours have a row for each row that is stored, so one key and hour may have several; calls of open
    hours are added up, so that there are never as many rows as calls. For lists by key, it costs half of
    what adding up the stored rows by hour does, which are nearly as many as the hours.

    Args:
        keys: Names of columns, or SQL with a name.
        sums: SQL of each sum, a Float64, by name.
        maps: Names of columns that are maps of counts, likewise.
        arrays: Names of columns that are lists of counts of one length.
        of: ARRAY JOIN of the rows.
        where: Which rows.
    """
    closed, opened = map(over_range, _parts())
    key = ", ".join((*keys, "toUInt32(hour) AS hour_s"))
    floats = {name: f"toFloat64({sql})" for name, sql in sums.items()}
    rows = ", ".join(
        f"{sql} AS c_{name}" for name, sql in (floats | {name: name for name in (*maps, *arrays)}).items()
    )
    added = ", ".join(
        (
            *(f"sum({sql}) AS c_{name}" for name, sql in floats.items()),
            *(f"sumMap({name}) AS c_{name}" for name in maps),
            *(f"CAST(sumForEach({name}), 'Array(UInt32)') AS c_{name}" for name in arrays),
        )
    )
    names = ", ".join(each.rpartition(" AS ")[2] for each in (*keys, "hour_s"))
    return (
        f"(SELECT {key}, {rows} FROM ({closed}) AS h {of} WHERE {where}"
        f" UNION ALL SELECT {key}, {added} FROM ({opened}) AS h {of} WHERE {where} GROUP BY {names})"
    )


@cache
def _parts() -> tuple[str, str]:
    """The two halves of the view: stored rows of closed hours, and calls of the others."""
    closed, both, opened = view_text("0013_ledger.sql", "prompt_hours").partition("UNION ALL\n")
    if not both:
        raise RuntimeError("prompt_hours has no two halves")
    return closed, opened


@cache
def view_text(migration: str, view: str) -> str:
    """Return the text of a view: read in the place of its name, it is planned with the question as one.

    Args:
        migration: Name of the file that makes it.
        view: Its name.

    Raises:
        RuntimeError: The file makes no such view.
    """
    text = (files("promptspan_server.store") / "migrations" / migration).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"CREATE VIEW {view} AS\n")
    if not found:
        raise RuntimeError(f"{migration} makes no view {view}")
    return rest.partition(";\n")[0].rstrip().removesuffix(";")


def over_range(body: str, *, since: str = _START, until: str = _END) -> str:
    """Return the text of a view with SQL in the place of its parameters `since` and `until`."""
    for name, sql in (("since", since), ("until", until)):
        body = body.replace(f"{{{name}:DateTime64(9, 'UTC')}}", sql)
    return body


def has_exact_quantiles(time_range: TimeRange) -> bool:
    """Whether the calls of a range are few enough to be ordered, so that no histogram is needed."""
    return time_range.length <= EXACT_QUANTILES


def latency_columns(time_range: TimeRange) -> str:
    """Return the SQL of a column `latency` for a GROUP BY over `hours()`, before `with_latency`."""
    exact = has_exact_quantiles(time_range)
    return "tuple(0., 0.) AS latency" if exact else "sumMap(duration_hist) AS latency"


def with_latency(grouped: str, scope: Scope, *keys: str) -> str:
    """Return the SQL of a table: `grouped`, with exact quantiles in `latency` where the range allows them.

    Args:
        grouped: SELECT over `hours()` with `latency_columns`, grouped by `keys`.
        scope: Which calls.
        keys: Columns that `llm_calls_once` has under the same names.
    """
    if not has_exact_quantiles(scope.range):
        return f"({grouped})"
    names = ", ".join(keys)
    return f"""
        (
            SELECT h.* EXCEPT (latency), q.latency AS latency
            FROM ({grouped}) AS h
            LEFT JOIN (
                SELECT
                    {names},
                    tuple(quantileExact(0.5)(duration_ms), quantileExact(0.95)(duration_ms)) AS latency
                FROM llm_calls_once
                WHERE {scope.where()}
                GROUP BY {names}
            ) AS q USING ({names})
        )"""


def read_latency(latency: Mapping[int, int] | Sequence[float]) -> tuple[float, float]:
    """Read `latency`: median and 95th percentile in ms."""
    if isinstance(latency, Mapping):
        return quantile(latency, 0.5) or 0.0, quantile(latency, 0.95) or 0.0
    p50, p95 = latency
    return p50, p95


def most_frequent(counts: Mapping[str, int], limit: int | None = None) -> tuple[str, ...]:
    """Return the keys of a histogram of names, the most frequent first."""
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:limit])
