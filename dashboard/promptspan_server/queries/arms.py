"""What two versions of a prompt did, hour by hour: the sums that a comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.scope import Filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.queries.scope import TimeRange

_CELLS = (
    "calls",
    "identified",
    "errors",
    "cancelled",
    "incomplete",
    *(
        f"{quantity}_{part}"
        for quantity in ("latency", "ttft", "input_tokens", "output_tokens", "cost")
        for part in ("calls", "sum", "squares")
    ),
)
_SOURCE = (
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
        range: When; cut to whole hours by the view's own grouping.
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

    def cells(self) -> str:
        """One row an hour, arm and unit: `hour_s`, `arm` (0 baseline), `unit`, counts and moments."""
        sums = ", ".join(f"sum({name}) AS {name}" for name in _CELLS)
        return (
            f"SELECT {_KEYS}, unit, {sums} FROM {_SOURCE} WHERE {self._chosen()} GROUP BY hour_s, arm, unit"
        )

    def flags(self) -> str:
        """One row an hour, arm, unit and safety flag: `flag`, `n`."""
        return (
            f"SELECT {_KEYS}, unit, pair.1 AS flag, sum(pair.2) AS n FROM {_SOURCE}"
            f" ARRAY JOIN CAST(flags, 'Array(Tuple(String, UInt64))') AS pair WHERE {self._chosen()}"
            " GROUP BY hour_s, arm, unit, flag"
        )

    def histograms(self, quantity: str) -> str:
        """One row an hour, arm and bucket of `latency` or `cost`: `bucket`, `n`."""
        if quantity not in ("latency", "cost"):
            raise ValueError(f"no histogram of {quantity}")
        return (
            f"SELECT {_KEYS}, pair.1 AS bucket, sum(pair.2) AS n FROM {_SOURCE}"
            f" ARRAY JOIN CAST({quantity}_hist, 'Array(Tuple(UInt16, UInt64))') AS pair"
            f" WHERE {self._chosen()} GROUP BY hour_s, arm, bucket"
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
            WHERE {self.range.where()} AND billable AND score_value IS NOT NULL AND {self._chosen()}
            GROUP BY hour_s, arm, unit, name
        """

    def parameters(self) -> Mapping[str, Any]:
        """The values that the questions name."""
        chosen = {"prompt": self.prompt, "a": self.a, "b": self.b}
        return {**self.range.parameters(), **chosen, **self.filter.parameters()}

    def _chosen(self) -> str:
        return _CHOSEN + self.filter.where()
