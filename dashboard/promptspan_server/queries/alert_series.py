"""What alert rules judge: calls of all series by minute, and what was usual of each, as columns.

A call counts in the minute in which it ended, so that a slow one is not missing from a minute that is judged.
All SQL here is bounded in time and in series; a series is one set of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.scope import TimeRange, to_millis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MOST_SERIES = 20_000
STEPS_AN_OCTAVE = 8
LEAST_CALLS = 200
_LONGEST_CALL = timedelta(minutes=15)  # a call that takes longer is missed by the minutes, not by the hours
_ENDED = "(toUnixTimestamp64Micro(ts) + toInt64(duration_ms * 1000))"


@dataclass(frozen=True, slots=True)
class Usual:
    """The time that says what is usual.

    Attributes:
        range: Whole hours before what is judged.
        least: Calls that a series needs in it.
    """

    range: TimeRange
    least: int = LEAST_CALLS


@dataclass(frozen=True, slots=True)
class Series:
    """Calls by series and minute.

    Attributes:
        end: The moment that is judged.
        minutes: How far back.
        by: Labels: columns of `llm_calls`.
        where: Label values that narrow the calls down.
    """

    end: datetime
    minutes: int
    by: tuple[str, ...]
    where: tuple[tuple[str, str], ...] = ()

    @property
    def start(self) -> datetime:
        """The first minute's beginning."""
        return self.end - timedelta(minutes=self.minutes)

    def errors(self) -> str:
        """Calls and failed ones; `providers` names whose calls failed."""
        return self._minutes(
            "llm_calls_once",
            bad="status = 'error'",
            more="arraySort(groupUniqArrayArray(4)(providers)) AS providers",
            inner=", groupUniqArrayIf(4)(provider, status = 'error') AS providers",
        )

    def slow(self) -> str:
        """Calls and those that took 2 ** (`step` / 8) - 1 ms or longer."""
        return self._minutes("llm_calls_once", bad="duration_ms >= pow(2, {step:UInt32} / 8) - 1")

    def slower_than_usual(self) -> str:
        """The same against a limit of each series: `steps` above its usual 95th percentile.

        The version does not count in what is usual: a new one is held against the one before.
        """
        keys = [name for name in self.by if name != "prompt_version"]
        return self._minutes(
            f"llm_calls_once AS c INNER JOIN ({self._limits()}) AS u USING ({', '.join(keys)})"
            if keys
            else f"llm_calls_once AS c CROSS JOIN ({self._limits()}) AS u",
            bad="duration_ms >= u.limit_ms",
            more="any(limit_ms) AS limit_ms",
            inner=", any(u.limit_ms) AS limit_ms",
        )

    def flagged(self, *, chosen: bool) -> str:
        """Calls and those with a safety flag (with one of `flags`, if some are chosen)."""
        bad = "hasAny(safety_flags, {flags:Array(String)})" if chosen else "notEmpty(safety_flags)"
        return self._minutes("llm_calls_once", bad=bad)

    def cost(self) -> str:
        """Calls with a cost, `bad` those dearer than the usual 95th percentile, `usd` what they cost.

        Joined with `usual_usd`, the usual cost of a call, and `log_variance`, that of its logarithm, where
        there is one; `log_excess` sums logarithms of cost over usual cost. The percentile is that of a
        log-normal with the moments that the hours have.
        """
        keys = ", ".join(self.by)
        return self._minutes(
            f"""llm_costs AS c LEFT JOIN (
                SELECT {keys}, sum(toFloat64(cost_usd)) / sum(cost_calls) AS usual_usd,
                    toNullable(sum(cost_log_sum) / sum(cost_log_calls)) AS level,
                    greatest(sum(cost_log_sumsq) / sum(cost_log_calls) - level * level, 0) AS variance,
                    (exp(level + 1.645 * sqrt(variance)) - 1) / 1e9 AS dear_usd
                FROM {hours_of_usual()}
                WHERE true{self._narrowed()}
                GROUP BY {keys} HAVING sum(cost_log_calls) >= {{least:UInt32}}
            ) AS u USING ({keys})""",
            bad="ifNull(toFloat64(c.cost_usd) > u.dear_usd * 1.01, false)",
            more="any(usual_usd) AS usual_usd, any(variance) AS log_variance, groupArray(usd) AS usd,"
            " groupArray(log_excess) AS log_excess",
            inner=", any(u.usual_usd) AS usual_usd, any(u.variance) AS variance,"
            " sum(toFloat64(c.cost_usd)) AS usd,"
            " sum(ifNull(log(toFloat64(c.cost_usd) * 1e9 + 1) - u.level, 0)) AS log_excess",
            condition="AND c.cost_usd IS NOT NULL",
        )

    def long_counts(self, kind: str) -> str:
        """Calls and bad ones of each series over the usual time: errors, flagged, or slow at a limit."""
        bad = {
            "errors": "sum(errors)",
            "flagged": "sum(flagged)",
            "flags": "sum(arraySum(arrayMap(flag -> flags[flag], {flags:Array(String)})))",
            "slow": "sum(arraySum(mapValues(mapFilter((step, n) -> step >= {step:UInt32}, duration_hist))))",
        }[kind]
        keys = ", ".join(self.by)
        return f"""
            SELECT {keys}, sum(calls)::Float64 AS calls, toFloat64({bad}) AS bad
            FROM {hours_of_usual()}
            WHERE true{self._narrowed()}
            GROUP BY {keys} ORDER BY {keys} LIMIT {MOST_SERIES}
        """

    def long_slower_than_usual(self) -> str:
        """As `long_counts`, slow by each series' own limit."""
        names = [name for name in self.by if name != "prompt_version"]
        keys, join = ", ".join(self.by), ", ".join(names)
        on = f"INNER JOIN ({self._limits()}) AS u USING ({join})"
        on = on if names else f"CROSS JOIN ({self._limits()}) AS u"
        return f"""
            SELECT {keys}, sum(calls)::Float64 AS calls,
                toFloat64(sum(arraySum(mapValues(
                    mapFilter((step, n) -> step >= u.limit_step, duration_hist))))) AS bad
            FROM prompt_hours(since = fromUnixTimestamp64Milli({{long_start_ms:Int64}}, 'UTC'),
                until = fromUnixTimestamp64Milli({{long_end_ms:Int64}}, 'UTC')) AS h {on}
            WHERE true{self._narrowed()}
            GROUP BY {keys} ORDER BY {keys} LIMIT {MOST_SERIES}
        """

    def hourly(self) -> str:
        """Calls and cost of each series and hour of `usual`."""
        keys = ", ".join(self.by)
        return f"""
            SELECT {keys}, groupArray(hour_s) AS hours, groupArray(n) AS calls, groupArray(spent) AS usd
            FROM
            (
                SELECT {keys}, toUInt32(hour) AS hour_s, sum(calls) AS n, toFloat64(sum(cost_usd)) AS spent
                FROM {hours_of_usual()}
                WHERE true{self._narrowed()}
                GROUP BY {keys}, hour_s
            )
            GROUP BY {keys} ORDER BY {keys} LIMIT {MOST_SERIES}
        """

    def last_calls(self) -> str:
        """When the last call of each series began, within `minutes`."""
        keys = ", ".join(self.by)
        return f"""
            SELECT {keys}, max(toUnixTimestamp(ts)) AS last_s
            FROM llm_calls
            WHERE {_between("start_ms", "end_ms")} AND billable{self._narrowed()}
            GROUP BY {keys} ORDER BY {keys} LIMIT {MOST_SERIES}
        """

    def begun(self) -> str:
        """When the last call of each minute began, for every series, within `minutes`."""
        keys = ", ".join(self.by)
        return f"""
            SELECT {keys}, groupArray(last_s) AS begun
            FROM
            (
                SELECT {keys}, intDiv(toUnixTimestamp(ts), 60) AS minute, max(toUnixTimestamp(ts)) AS last_s
                FROM llm_calls
                WHERE {_between("start_ms", "end_ms")} AND billable{self._narrowed()}
                GROUP BY {keys}, minute
            )
            GROUP BY {keys} ORDER BY {keys} LIMIT {MOST_SERIES}
        """

    def parameters(self, usual: Usual | None = None, **more: Any) -> Mapping[str, Any]:
        """The values that the SQL names.

        Args:
            usual: What the SQL was made with.
            **more: `steps`, `step`, `flags`, `long` (a `TimeRange`).
        """
        found: dict[str, Any] = {
            "start_ms": to_millis(self.start),
            "early_ms": to_millis(self.start - _LONGEST_CALL),
            "end_ms": to_millis(self.end),
            **{f"w_{name}": value for name, value in self.where},
        }
        if usual is not None:
            found |= {
                "usual_start_ms": to_millis(usual.range.start),
                "usual_end_ms": to_millis(usual.range.end),
                "least": usual.least,
            }
        long: TimeRange | None = more.pop("long", None)
        if long is not None:
            found |= {"long_start_ms": to_millis(long.start), "long_end_ms": to_millis(long.end)}
        return found | more

    def _minutes(self, source: str, *, bad: str, more: str = "", inner: str = "", condition: str = "") -> str:
        keys = ", ".join(self.by)
        return f"""
            SELECT {keys}, groupArray(minute) AS minutes, groupArray(n) AS calls,
                groupArray(bad) AS bad{", " + more if more else ""}
            FROM
            (
                SELECT
                    {keys},
                    toUInt16(intDiv({_ENDED} - {{start_ms:Int64}} * 1000, 60000000)) AS minute,
                    toUInt32(count()) AS n,
                    toUInt32(countIf({bad})) AS bad{inner}
                FROM {source}
                WHERE {_between("early_ms", "end_ms")} AND billable
                    AND {_ENDED} >= {{start_ms:Int64}} * 1000
                    AND {_ENDED} < {{end_ms:Int64}} * 1000
                    {condition}{self._narrowed()}
                GROUP BY {keys}, minute
            )
            GROUP BY {keys} ORDER BY {keys} LIMIT {MOST_SERIES}
        """

    def _limits(self) -> str:
        """The limit of slowness of every series that had enough calls, in ms and in steps."""
        names = [name for name in self.by if name != "prompt_version"]
        keys = "".join(f"{name}, " for name in names)
        return f"""
                SELECT {keys}
                    toUInt32(mapKeys(hist)[arrayFirstIndex(
                        seen -> seen >= 0.95 * arraySum(mapValues(hist)), arrayCumSum(mapValues(hist)))]
                        + 1 + {{steps:UInt32}}) AS limit_step,
                    pow(2, limit_step / 8) - 1 AS limit_ms
                FROM (
                    SELECT {keys}sumMap(duration_hist) AS hist
                    FROM {hours_of_usual()}
                    WHERE true{self._narrowed()}
                    GROUP BY {keys.rstrip(", ") or "tuple()"} HAVING sum(calls) >= {{least:UInt32}}
                )"""

    def _narrowed(self) -> str:
        return "".join(f" AND {name} = {{w_{name}:String}}" for name, _ in self.where)


def hours_of_usual() -> str:
    """The view `prompt_hours` over the usual time."""
    return (
        "prompt_hours(since = fromUnixTimestamp64Milli({usual_start_ms:Int64}, 'UTC'),"
        " until = fromUnixTimestamp64Milli({usual_end_ms:Int64}, 'UTC'))"
    )


def _between(start: str, end: str) -> str:
    return (
        f"ts >= fromUnixTimestamp64Milli({{{start}:Int64}}, 'UTC')"
        f" AND ts < fromUnixTimestamp64Milli({{{end}:Int64}}, 'UTC')"
    )
