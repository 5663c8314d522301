"""What two versions of a prompt did, hour by hour: the sums that a comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import CLOSED, OPEN_HOUR
from promptspan_server.queries.scope import Filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.queries.scope import TimeRange

QUANTITIES = ("latency", "ttft", "input_tokens", "output_tokens", "cost")
OF_UNITS = (
    "units",
    "calls",
    "identified",
    "errors",
    "cancelled",
    "incomplete",
    *(f"{quantity}_{part}" for quantity in QUANTITIES for part in ("calls", "sum")),
)
_CALLS = (
    "arms_of_calls(since = fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC'),"
    " until = fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC'))"
)
_CHOSEN = "prompt_name = {prompt:String} AND prompt_version IN ({a:String}, {b:String})"
_KEYS = "toUInt32(hour) AS hour_s, toUInt8(prompt_version = {b:String}) AS arm"


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class ArmsOf:
    """Two versions of a prompt over a range of time: the columns of one question, as SQL.

    Attributes:
        range: When; the hours at its ends may be parts of hours.
        prompt: Name of the prompt.
        a: The baseline's version.
        b: The candidate's version.
        filter: What narrows the calls down further.
    """

    range: TimeRange
    prompt: str
    a: str
    b: str
    filter: Filter = EVERYTHING

    def rows(self) -> str:
        """One row an hour and arm: `hour_s`, `arm` (0 baseline), `units`, and as many of each count beside.

        Further `{quantity}_squares`; lists that belong together are `flag_units`, `flags`, `flag_calls`, and
        `{latency,cost}_{buckets,in}`.
        """
        of_units = ", ".join(f"groupArrayArray({name}) AS {name}" for name in OF_UNITS)
        squares = ", ".join(f"sum({quantity}_squares) AS {quantity}_squares" for quantity in QUANTITIES)
        histograms = ", ".join(
            f"sumMap({name}_hist) AS {name}_map, mapKeys({name}_map) AS {name}_buckets,"
            f" mapValues({name}_map) AS {name}_in"
            for name in ("latency", "cost")
        )
        moments = [f"{quantity}_squares" for quantity in QUANTITIES]
        columns = ", ".join(
            ["hour", "prompt_version", *OF_UNITS, *moments, "flags", "latency_hist", "cost_hist"]
        )
        return f"""
            SELECT * EXCEPT (latency_map, cost_map)
            FROM (
                SELECT
                    {_KEYS},
                    {of_units},
                    {squares},
                    groupArrayArray(arrayMap(each -> each.1, r.flags)) AS flag_units,
                    groupArrayArray(arrayMap(each -> toString(each.2), r.flags)) AS flags,
                    groupArrayArray(arrayMap(each -> each.3, r.flags)) AS flag_calls,
                    {histograms}
                FROM (
                    SELECT {columns} FROM arm_hour_rows FINAL WHERE {CLOSED} AND {self._chosen()}
                    UNION ALL
                    SELECT {columns} FROM {_CALLS} WHERE {OPEN_HOUR} AND {self._chosen()}
                ) AS r
                GROUP BY hour_s, arm
            )
        """

    def scores(self) -> str:
        """One row an hour of the call, arm, unit and score: `name`, `calls`, `sum`, `squares`."""
        return f"""
            WITH multiIf(user_id != '', user_id, session_id != '', session_id, trace_id) AS whose
            SELECT
                {_KEYS.replace("hour)", "toStartOfHour(ts)::DateTime('UTC'))")},
                toUInt8(cityHash64(whose) % 64) AS unit,
                score AS name,
                count() AS calls,
                sum(score_value) AS sum,
                sum(score_value * score_value) AS squares
            FROM call_scores
            WHERE {self.range.where()} AND billable AND score_value IS NOT NULL AND {self._chosen()}
            GROUP BY hour_s, arm, unit, name
        """

    def parameters(self) -> Mapping[str, Any]:
        """The values that the questions name."""
        chosen = {"prompt": self.prompt, "a": self.a, "b": self.b}
        return {**self.range.parameters(), **chosen, **self.filter.parameters()}

    def _chosen(self) -> str:
        return _CHOSEN + self.filter.where()
