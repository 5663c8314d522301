"""What every version of every prompt did, hour by hour: the sums that drift is looked for in.

Each question answers with one row a version; its hours and their sums are arrays, so that names travel once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import hours
from promptspan_server.queries.scope import Filter, TimeRange, to_millis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

BASELINE = timedelta(days=28)
LEAST_BASELINE = timedelta(days=7)
_LEAST_S = int(LEAST_BASELINE.total_seconds())
MAX_VERSIONS = 2_000
MAX_VALUES = 12  # of a category of one version: the most frequent
MOMENTS = {
    "latency": ("calls - errors - cancelled - incomplete", "latency_log_sum", "latency_log_sumsq"),
    "input_tokens": ("input_calls", "input_log_sum", "input_log_sumsq"),
    "output_tokens": ("output_calls", "output_log_sum", "output_log_sumsq"),
    "cost": ("cost_log_calls", "cost_log_sum", "cost_log_sumsq"),
}
OUTCOMES = {"error_rate": "errors", "cancelled_rate": "cancelled", "incomplete_rate": "incomplete"}
CATEGORIES = ("flags", "finish_reasons", "models")
EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class VersionHours:
    """Versions of prompts over a range of time and the weeks before it, as SQL for `Store.table`.

    Attributes:
        judged: The time in which drift is looked for; what is usual is known from `BASELINE` before it.
        filter: What narrows the calls down.
    """

    judged: TimeRange
    filter: Filter = EVERYTHING

    @property
    def begin(self) -> datetime:
        """The whole hour with which the judged time begins."""
        return self.judged.start.replace(minute=0, second=0, microsecond=0)

    @property
    def range(self) -> TimeRange:
        """Baseline and judged time together."""
        return TimeRange(self.begin - BASELINE, self.judged.end)

    def cells(self) -> str:
        """`hour_s`, `calls`, `answered`, outcomes, and of logarithms `{quantity}_n`, `_sum`, `_squares`."""
        sums = {"calls": "calls", "answered": "arraySum(mapValues(models))", **OUTCOMES}
        for name, parts in MOMENTS.items():
            sums |= {
                f"{name}_{suffix}": sql for suffix, sql in zip(("n", "sum", "squares"), parts, strict=True)
            }
        inner = ", ".join(f"toFloat64(sum({sql})) AS c_{name}" for name, sql in sums.items())
        outer = ", ".join(f"groupArray(c_{name}) AS {name}" for name in sums)
        return f"""
            SELECT prompt_name, prompt_version, groupArray(hour_s) AS hour_s, {outer}
            FROM (
                SELECT prompt_name, prompt_version, toUInt32(hour) AS hour_s, {inner}
                FROM {hours()}
                WHERE {self._chosen()}
                GROUP BY prompt_name, prompt_version, hour_s
            )
            GROUP BY prompt_name, prompt_version
            ORDER BY sum(c_calls) DESC, prompt_name, prompt_version
            LIMIT {MAX_VERSIONS}
        """

    def tails(self) -> str:
        """`hour_s` and calls beyond frozen quantiles of the version's own baseline.

        `slow` and `timed`: slower than its 95th percentile, of how many. `short`, `long` and `counted`:
        answers below the 5th percentile of its output tokens and above the 95th, of how many. `slow_limit`,
        `short_limit`, `long_limit`: those limits as edges of the histograms' buckets, in ms and tokens; so
        roughly a twentieth of the baseline is beyond.
        """

        def counted(histogram: str, condition: str = "") -> str:
            if not condition:
                return f"toFloat64(sum(arraySum(mapValues({histogram}))))"
            each = f"(k, v) -> if({condition}, v, 0), mapKeys({histogram}), mapValues({histogram})"
            return f"toFloat64(sum(arraySum({each})))"

        def level(histogram: str, share: float) -> str:
            return (
                f"mapKeys({histogram})[arrayFirstIndex(x -> x >= {share} * arraySum(mapValues({histogram})),"
                f" arrayCumSum(mapValues({histogram})))]"
            )

        named = "prompt_name, prompt_version"
        # Counted row by row: all histograms of a version in one array cost many times that.
        return f"""
            SELECT
                {named}, groupArray(hour_s) AS hour_s,
                groupArray(c_slow) AS slow, groupArray(c_timed) AS timed, groupArray(c_short) AS short,
                groupArray(c_long) AS long, groupArray(c_counted) AS counted,
                exp2((any(slow_at) + 1) / 8) - 1 AS slow_limit,
                exp2(any(short_at) / 8) - 1 AS short_limit,
                exp2((any(long_at) + 1) / 8) - 1 AS long_limit
            FROM (
                SELECT
                    {named}, toUInt32(hour) AS hour_s,
                    any(b.slow_at) AS slow_at, any(b.short_at) AS short_at, any(b.long_at) AS long_at,
                    {counted("duration_hist", "k > b.slow_at")} AS c_slow,
                    {counted("duration_hist")} AS c_timed,
                    {counted("output_tokens_hist", "k < b.short_at")} AS c_short,
                    {counted("output_tokens_hist", "k > b.long_at")} AS c_long,
                    {counted("output_tokens_hist")} AS c_counted
                FROM {hours()} AS h
                INNER JOIN (
                    SELECT
                        {named}, sumMap(duration_hist) AS d, sumMap(output_tokens_hist) AS o,
                        {level("d", 0.95)} AS slow_at,
                        {level("o", 0.05)} AS short_at,
                        {level("o", 0.95)} AS long_at
                    FROM {hours()} AS all_hours
                    INNER JOIN (
                        SELECT
                            {named},
                            greatest({{begin_s:UInt32}}, min(toUInt32(hour)) + {_LEAST_S}) AS until_s
                        FROM {hours()}
                        WHERE {self._chosen()}
                        GROUP BY {named}
                        ORDER BY sum(calls) DESC, {named}
                        LIMIT {MAX_VERSIONS}
                    ) AS begun USING ({named})
                    WHERE toUInt32(hour) < until_s AND {self._chosen()}
                    GROUP BY {named}
                ) AS b USING ({named})
                WHERE {self._chosen()}
                GROUP BY {named}, hour_s
            )
            GROUP BY {named}
        """

    def category(self, column: str) -> str:
        """One row a version and `value` of one of `CATEGORIES`: `hour_s`, `n`; the most frequent values."""
        if column not in CATEGORIES:
            raise ValueError(f"no category {column}")
        return f"""
            SELECT prompt_name, prompt_version, value, groupArray(hour_s) AS hour_s, groupArray(c_n) AS n
            FROM (
                SELECT
                    prompt_name, prompt_version, pair.1 AS value, toUInt32(hour) AS hour_s,
                    toFloat64(sum(pair.2)) AS c_n
                FROM {hours()}
                ARRAY JOIN CAST({column}, 'Array(Tuple(String, UInt64))') AS pair
                WHERE {self._chosen()}
                GROUP BY prompt_name, prompt_version, value, hour_s
            )
            GROUP BY prompt_name, prompt_version, value
            ORDER BY sum(c_n) DESC, prompt_name, prompt_version, value
            LIMIT {MAX_VALUES} BY prompt_name, prompt_version
            LIMIT {MAX_VERSIONS * MAX_VALUES}
        """

    def parameters(self) -> Mapping[str, Any]:
        """The values that the questions name."""
        begin_s = to_millis(self.begin) // 1000
        return {**self.range.parameters(), **self.filter.parameters(), "begin_s": begin_s}

    def _chosen(self) -> str:
        return f"prompt_name != ''{self.filter.where()}"


@dataclass(frozen=True, slots=True)
class SettingHours:
    """What calls of some prompts were made with, as SQL for `Store.table`.

    Attributes:
        range: When.
        prompts: Names of the prompts.
        filter: What narrows the calls down.
    """

    range: TimeRange
    prompts: tuple[str, ...]
    filter: Filter = EVERYTHING

    def rows(self) -> str:
        """One row a version, `kind` and `value`: `hour_s`, `n`.

        `kind` is `settings` (lines of `name=value`), `request_model` or `response_model`.
        """
        return f"""
            SELECT prompt_name, prompt_version, kind, value, groupArray(hour_s) AS hour_s, groupArray(c_n)
            AS n FROM (
                SELECT
                    prompt_name, prompt_version, pair.1 AS kind, pair.2 AS value, toUInt32(hour) AS hour_s,
                    toFloat64(sum(pair.3)) AS c_n
                FROM {hours()}
                ARRAY JOIN arrayConcat(
                    arrayMap((k, v) -> ('settings', toString(k), v), mapKeys(settings), mapValues(settings)),
                    arrayMap(
                        (k, v) -> ('response_model', toString(k), v), mapKeys(models), mapValues(models)),
                    [('request_model', toString(request_model), calls)]) AS pair
                WHERE prompt_name IN {{prompts:Array(String)}}{self.filter.where()}
                GROUP BY prompt_name, prompt_version, kind, value, hour_s
            )
            GROUP BY prompt_name, prompt_version, kind, value
            ORDER BY prompt_name, prompt_version, kind, sum(c_n) DESC
            LIMIT 500 BY prompt_name, prompt_version, kind
            LIMIT 100000
        """

    def parameters(self) -> Mapping[str, Any]:
        """The values that the question names."""
        return {**self.range.parameters(), **self.filter.parameters(), "prompts": list(self.prompts)}
