"""What the users of a comparison usually had, before the newer version came: the covariates of CUPED."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.arms import QUANTITIES
from promptspan_server.queries.scope import TimeRange, to_millis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from promptspan_server.queries.arms import ArmsOf

LOOK_BACK = timedelta(days=14)
_SHRINKAGE = 3  # calls: a user with one call before says less of what is usual than one with a hundred
# Which calls have a quantity, and its natural logarithm: as in `arm_hour_rows`.
_LOGARITHMS = {
    "latency": ("status = 'ok'", "log(duration_ms + 1)"),
    "ttft": ("ttft_ms IS NOT NULL", "log(ifNull(ttft_ms, 0) + 1)"),
    "input_tokens": ("input_tokens IS NOT NULL", "log(ifNull(input_tokens, 0) + 1)"),
    "output_tokens": ("output_tokens IS NOT NULL", "log(ifNull(output_tokens, 0) + 1)"),
    "cost": ("cost_usd IS NOT NULL", "log(toFloat64(ifNull(cost_usd, 0)) * 1e9 + 1)"),
}


@dataclass(frozen=True, slots=True)
class UsersBefore:
    """The users of a prompt in the two weeks before a version came, whatever version they were given.

    What a user usually has is the mean of their logarithms, less everybody's, drawn towards none where there
    are few calls. Nothing in it depends on what the versions do.

    Attributes:
        of: The comparison.
        start: When the newer of its versions had its first call.
        one_in: Of how many users one is asked how well the first week tells the second.
    """

    of: ArmsOf
    start: datetime
    one_in: int = 1

    def relations(self) -> str:
        """One row: how well the first week tells the second, by sums over the calls of the second.

        For each quantity `{quantity}_n` calls, sums `_x` of what their users usually had in the first week,
        `_xx` of its squares, `_y` of the logarithms, `_xy` of the products.
        """
        half = "ts < fromUnixTimestamp64Milli({half_ms:Int64}, 'UTC')"
        halves = ", ".join(
            f"countIf({has} AND {half}) AS n_{name}, sumIf({log}, {has} AND {half}) AS s_{name},"
            f" countIf({has} AND NOT {half}) AS later_{name},"
            f" sumIf({log}, {has} AND NOT {half}) AS sum_{name}"
            for name, (has, log) in _LOGARITHMS.items()
        )
        sums = ", ".join(
            f"toFloat64(sum(later_{name})) AS {name}_n, sum(later_{name} * x_{name}) AS {name}_x,"
            f" sum(later_{name} * x_{name} * x_{name}) AS {name}_xx, sum(sum_{name}) AS {name}_y,"
            f" sum(x_{name} * sum_{name}) AS {name}_xy"
            for name in QUANTITIES
        )
        later = ", ".join(f"later_{name}, sum_{name}" for name in QUANTITIES)
        some = " AND cityHash64(user_id) % {one_in:UInt32} = 0"
        return f"SELECT {sums} FROM ({self._usual(halves, later, some)})"

    def covariates(self) -> str:
        """Sums over the calls of each `hour_s`, `arm` and `unit`, of users who were there before.

        For each quantity `{quantity}_x` of what the users usually have, `_xx` of its squares, and `_xy` of
        its products with the logarithms.
        """
        whole = ", ".join(
            f"countIf({has}) AS n_{name}, sumIf({log}, {has}) AS s_{name}"
            for name, (has, log) in _LOGARITHMS.items()
        )
        sums = ", ".join(
            f"sumIf(x_{name}, {has}) AS {name}_x, sumIf(x_{name} * x_{name}, {has}) AS {name}_xx,"
            f" sumIf(x_{name} * {log}, {has}) AS {name}_xy"
            for name, (has, log) in _LOGARITHMS.items()
        )
        return f"""
            SELECT
                toUInt32(toStartOfHour(ts)) AS hour_s,
                toUInt8(prompt_version = {{b:String}}) AS arm,
                toUInt8(cityHash64(user_id) % 64) AS unit,
                {sums}
            FROM priced_calls AS c
            INNER JOIN ({self._usual(whole)}) AS u USING (user_id)
            WHERE {TimeRange.where(self.of.range)} AND billable AND {self.of.chosen()}
            GROUP BY hour_s, arm, unit
        """

    def parameters(self) -> Mapping[str, Any]:
        """The values that the questions name."""
        return {
            **self.of.parameters(),
            "before_ms": to_millis(self.start - LOOK_BACK),
            "half_ms": to_millis(self.start - LOOK_BACK / 2),
            "until_ms": to_millis(self.start),
            "one_in": self.one_in,
        }

    def _usual(self, counts: str, more: str = "", some: str = "") -> str:
        """`x_{quantity}` by user, from counts `n_` and sums `s_`."""
        usual = ", ".join(
            f"ifNotFinite((s_{name} - n_{name} * (sum(s_{name}) OVER () / sum(n_{name}) OVER ()))"
            f" / (n_{name} + {_SHRINKAGE}), 0) AS x_{name}"
            for name in QUANTITIES
        )
        which = f"prompt_name = {{prompt:String}}{self.of.filter.where()}{some}"
        return f"""
            SELECT {", ".join(filter(None, ("user_id", usual, more)))}
            FROM (
                SELECT user_id, {counts}
                FROM priced_calls
                WHERE ts >= fromUnixTimestamp64Milli({{before_ms:Int64}}, 'UTC')
                    AND ts < fromUnixTimestamp64Milli({{until_ms:Int64}}, 'UTC')
                    AND billable AND user_id != '' AND {which}
                GROUP BY user_id
            )
        """
