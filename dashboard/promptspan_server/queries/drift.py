"""What every version of every prompt did, hour by hour: the sums that drift is looked for in.

Each question answers with one row a version; its hours and their sums are arrays, so that names travel once.
An hour may be in them several times, with parts that add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import by_hour, hours
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
_NAMES = ("prompt_name", "prompt_version")
_NAMED = ", ".join(_NAMES)


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
        lists = ", ".join(f"groupArray(r.c_{name}) AS {name}" for name in sums)
        return f"""
            SELECT {_NAMED}, groupArray(r.hour_s) AS hour_s, {lists}
            FROM {by_hour(_NAMES, sums, where=self._chosen())} AS r
            GROUP BY {_NAMED}
            ORDER BY sum(r.c_calls) DESC, {_NAMED}
            LIMIT {MAX_VERSIONS}
        """

    def tails(self) -> str:
        """`hour_s` and calls beyond frozen quantiles of the version's own baseline.

        `slow` and `timed`: slower than its 95th percentile, of how many. `short`, `long` and `counted`:
        answers below the 5th percentile of its output tokens and above the 95th, of how many. `slow_limit`,
        `short_limit`, `long_limit`: those limits as edges of the histograms' buckets, in ms and tokens; so
        roughly a twentieth of the baseline is beyond.
        """

        def counted(histogram: str, condition: str) -> str:
            return f"arraySum((k, v) -> v * ({condition}), mapKeys({histogram}), mapValues({histogram}))"

        def level(histogram: str, share: float) -> str:
            return (
                f"mapKeys({histogram})[arrayFirstIndex(x -> x >= {share} * arraySum(mapValues({histogram})),"
                f" arrayCumSum(mapValues({histogram})))]"
            )

        limits = f"""
            (
                SELECT
                    {_NAMED}, sumMap(duration_hist) AS d, sumMap(output_tokens_hist) AS o,
                    {level("d", 0.95)} AS slow_at,
                    {level("o", 0.05)} AS short_at,
                    {level("o", 0.95)} AS long_at
                FROM {hours()} AS all_hours
                INNER JOIN (
                    SELECT {_NAMED}, greatest({{begin_s:UInt32}}, min(toUInt32(hour)) + {_LEAST_S}) AS until_s
                    FROM {hours()}
                    WHERE {self._chosen()}
                    GROUP BY {_NAMED}
                    ORDER BY sum(calls) DESC, {_NAMED}
                    LIMIT {MAX_VERSIONS}
                ) AS begun USING ({_NAMED})
                WHERE toUInt32(hour) < until_s AND {self._chosen()}
                GROUP BY {_NAMED}
            )"""
        counts = {
            "slow": counted("c_duration_hist", "k > b.slow_at"),
            "timed": "c_calls",
            "short": counted("c_output_tokens_hist", "k < b.short_at"),
            "long": counted("c_output_tokens_hist", "k > b.long_at"),
            "counted": "c_output_calls",
        }
        # Counted row by row: all histograms of a version in one array cost many times that.
        lists = ", ".join(f"groupArray(toFloat64({sql})) AS {name}" for name, sql in counts.items())
        rows = by_hour(
            _NAMES,
            # As many as are in the histograms.
            {"calls": "calls", "output_calls": "output_calls"},
            maps=("duration_hist", "output_tokens_hist"),
            where=self._chosen(),
        )
        return f"""
            SELECT
                {_NAMED}, groupArray(r.hour_s) AS hour_s, {lists},
                exp2((any(b.slow_at) + 1) / 8) - 1 AS slow_limit,
                exp2(any(b.short_at) / 8) - 1 AS short_limit,
                exp2((any(b.long_at) + 1) / 8) - 1 AS long_limit
            FROM {rows} AS r
            INNER JOIN {limits} AS b USING ({_NAMED})
            GROUP BY {_NAMED}
        """

    def category(self, column: str) -> str:
        """One row a version and `value` of one of `CATEGORIES`: `hour_s`, `n`; the most frequent values."""
        if column not in CATEGORIES:
            raise ValueError(f"no category {column}")
        rows = by_hour(
            (*_NAMES, "pair.1 AS value"),
            {"n": "pair.2"},
            of=f"ARRAY JOIN CAST({column}, 'Array(Tuple(String, UInt64))') AS pair",
            where=self._chosen(),
        )
        return f"""
            SELECT {_NAMED}, value, groupArray(r.hour_s) AS hour_s, groupArray(r.c_n) AS n
            FROM {rows} AS r
            GROUP BY {_NAMED}, value
            ORDER BY sum(r.c_n) DESC, {_NAMED}, value
            LIMIT {MAX_VALUES} BY {_NAMED}
            LIMIT {MAX_VERSIONS * MAX_VALUES}
        """

    def sketches(self) -> str:
        """One row a version: `hour_s`, `n` (calls with a sketch), `groups` (64 counts of each hour).

        An hour that is closed is as often in the lists as it has rows: they add up.
        """
        rows = by_hour(
            _NAMES,
            {"n": "sketched"},
            arrays=("sketch_groups",),
            where=f"{self._chosen()} AND sketched > 0",
        )
        return f"""
            SELECT
                {_NAMED}, groupArray(r.hour_s) AS hour_s, groupArray(r.c_n) AS n,
                groupArrayArray(r.c_sketch_groups) AS groups
            FROM {rows} AS r
            GROUP BY {_NAMED}
            ORDER BY sum(r.c_n) DESC, {_NAMED}
            LIMIT {MAX_VERSIONS}
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
