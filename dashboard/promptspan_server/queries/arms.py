"""What two versions of a prompt did, hour by hour: the sums that a comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import WHOLE, over_range, view_text
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
_CHOSEN = "prompt_name = {prompt:String} AND prompt_version IN ({a:String}, {b:String})"
_KEYS = "toUInt32(hour) AS hour_s, toUInt8(prompt_version = {b:String}) AS arm"
_COLUMNS = ", ".join(
    (
        _KEYS,
        *OF_UNITS,
        *(f"{quantity}_squares" for quantity in QUANTITIES),
        "arrayMap(each -> each.1, flags) AS flag_units",
        "arrayMap(each -> toString(each.2), flags) AS flag_names",
        "arrayMap(each -> each.3, flags) AS flag_calls",
        *(
            f"map{part}({name}_hist) AS {name}_{as_}"
            for name in ("latency", "cost")
            for part, as_ in (("Keys", "buckets"), ("Values", "in"))
        ),
    )
)
_IS_OPEN = "has({open_s:Array(UInt32)}, toUInt32(hour))"


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

    def open_hours(self) -> str:
        """The hours of the range whose sums may not say what their calls say, as `hour_s`.

        What `closed_hours` and `other_hours` ask is divided by this answer, `open_s` among their parameters:
        an hour that is closed or opened between them is in one of them, and not in both or in none.
        """
        return f"SELECT toUInt32(hour) AS hour_s FROM open_hours WHERE {WHOLE}"

    def closed_hours(self) -> str:
        """Stored sums: rows of `hour_s`, `arm` (0 baseline), `units`, and as many of each count beside.

        Further `{quantity}_squares`; lists that belong together are `flag_units`, `flag_names`, `flag_calls`,
        and `{latency,cost}_{buckets,in}`. An hour and arm may have several rows, which add up.
        """
        closed = f"{WHOLE} AND NOT {_IS_OPEN}"
        return f"SELECT {_COLUMNS} FROM arm_hour_rows FINAL WHERE {closed} AND {self.chosen()}"

    def other_hours(self) -> str:
        """The same of the calls of all other hours, and of parts of hours at the ends of the range."""
        calls = over_range(view_text("0014_arms.sql", "arms_of_calls"))
        return (
            f"SELECT {_COLUMNS} FROM ({calls}) AS r WHERE (NOT ({WHOLE}) OR {_IS_OPEN}) AND {self.chosen()}"
        )

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
            WHERE {self.range.where()} AND billable AND score_value IS NOT NULL AND {self.chosen()}
            GROUP BY hour_s, arm, unit, name
        """

    def parameters(self) -> Mapping[str, Any]:
        """The values that the questions name."""
        chosen = {"prompt": self.prompt, "a": self.a, "b": self.b}
        return {**self.range.parameters(), **chosen, **self.filter.parameters()}

    def chosen(self) -> str:
        """Which calls, as a condition without the time."""
        return _CHOSEN + self.filter.where()
