"""The ledger of a month, hour by hour, as it is frozen: written once, and read back in one order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.ledger import Days, LedgerTooLarge
from promptspan_server.queries.query import Query, from_micros
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.ledger import Asks
    from promptspan_server.store.executor import Executor

KEYS: Final = (
    "tenant",
    "environment",
    "service",
    "feature",
    "prompt_name",
    "prompt_version",
    "operation",
    "provider",
    "request_model",
    "response_model",
    "service_tier",
    "tags",
    "status",
    "price_status",
    "price_id",
    "rate_id",
)
COUNTS: Final = (
    "calls",
    "retries",
    "estimated",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
)
AMOUNTS: Final = ("cost_usd", "retries_cost_usd")
COLUMNS: Final[Mapping[str, str]] = {
    "hour": "time",
    **dict.fromkeys(KEYS, "text"),
    **dict.fromkeys(COUNTS, "count"),
    **dict.fromkeys(AMOUNTS, "money"),
}
"""Name and kind of every column of a row, in order."""

MAX_ROWS: Final = 1_000_000
_DAY: Final = timedelta(days=1)

_NAMES = ", ".join(("hour", *KEYS, *COUNTS, *AMOUNTS))
_GROUPS = ", ".join(("hour", *KEYS))
_MEASURES = (*COUNTS, *AMOUNTS)
_NOW = ", ".join([f"toInt64({name})" for name in COUNTS] + list(AMOUNTS))
_BACK = ", ".join(f"-{name}" for name in _MEASURES)
# What the ledger says now, less what the revisions before have: of the first, all of it.
_FREEZE = f"""
INSERT INTO closed_rows (close_id, {_NAMES})
SELECT {{close_id:String}}, {_GROUPS}, {", ".join(f"sum(m{index})" for index, _ in enumerate(_MEASURES))}
FROM
(
    SELECT {_GROUPS}, {", ".join(f"v.{index + 1} AS m{index}" for index, _ in enumerate(_MEASURES))}
    FROM
    (
        SELECT {_GROUPS}, tuple({_NOW}) AS v
        FROM llm_hourly
        WHERE hour >= {{start:DateTime('UTC')}} AND hour < {{end:DateTime('UTC')}}
        UNION ALL
        SELECT {_GROUPS}, tuple({_BACK}) AS v
        FROM closed_rows
        WHERE has(splitByChar(',', {{closes:String}}), close_id)
            AND hour >= {{start:DateTime('UTC')}} AND hour < {{end:DateTime('UTC')}}
    )
)
GROUP BY {_GROUPS}
HAVING {" OR ".join(f"sum(m{index}) != 0" for index, _ in enumerate(_MEASURES))}
"""  # noqa: S608 - constants of this module


def freeze(store: Asks, executor: Executor, month: TimeRange, close_id: str, before: Sequence[str]) -> None:
    """Write how a month's ledger differs from what the revisions before have.

    Args:
        store: Where the ledger is read.
        executor: The same store, as a user who may write.
        month: Whole days, UTC.
        close_id: What the rows carry.
        before: `close_id` of the revisions before; none for the first.
    """
    days = {*store.ask(Days(month)).rows, *(store.ask(Days(month, tuple(before))).rows if before else ())}
    for day in sorted(days):
        executor.command(
            _FREEZE,
            {
                "close_id": close_id,
                "closes": ",".join(before),
                "start": f"{day:%Y-%m-%d %H:%M:%S}",
                "end": f"{day + _DAY:%Y-%m-%d %H:%M:%S}",
            },
        )


@dataclass(frozen=True, slots=True)
class FrozenRows(Query[tuple[Any, ...]]):
    """Which rows do revisions of a closed month have together, in a day?

    Attributes:
        range: At most a day, whole hours, UTC.
        closes: `close_id` of the revisions.
        limit: At most this many rows.
    """

    range: TimeRange
    closes: tuple[str, ...]
    limit: int = MAX_ROWS

    def sql(self) -> str:
        """See `Query.sql`."""
        sums = ", ".join(f"sum({name})" for name in _MEASURES)
        return f"""
            SELECT toUnixTimestamp(hour) * 1000000, {", ".join(f"toString({name})" for name in KEYS)}, {sums}
            FROM closed_rows
            WHERE {self.range.where("hour")} AND close_id IN {{closes:Array(String)}}
            GROUP BY {_GROUPS}
            HAVING {" OR ".join(f"sum({name}) != 0" for name in _MEASURES)}
            ORDER BY {_GROUPS}
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of this module

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.range.parameters(), "closes": list(self.closes), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """See `Query.row`."""
        hour, *rest = values
        return (from_micros(hour), *rest)


def frozen_rows(store: Asks, month: TimeRange, closes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Read the rows of revisions together, day by day, in the order of `COLUMNS`.

    Raises:
        LedgerTooLarge: A day has more than a million.
    """
    for day in store.ask(Days(month, tuple(closes))).rows:
        rows = store.ask(FrozenRows(TimeRange(day, day + _DAY), tuple(closes))).rows
        if len(rows) >= MAX_ROWS:
            raise LedgerTooLarge(f"{day:%Y-%m-%d} has {MAX_ROWS:,} rows or more: too many for a pack")
        yield from rows


@dataclass(frozen=True, slots=True)
class Totals(Query[tuple[int, int, "Decimal", int]]):
    """Calls, calls without a known cost, cost and number of rows that revisions have together.

    Attributes:
        closes: `close_id` of the revisions.
    """

    closes: tuple[str, ...]

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT
                sum(calls), sumIf(calls, price_status IN ('unpriced', 'no_usage')), sum(cost_usd), count()
            FROM closed_rows
            WHERE close_id IN {closes:Array(String)}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"closes": list(self.closes)}

    def row(self, values: Sequence[Any]) -> tuple[int, int, Decimal, int]:
        """See `Query.row`."""
        calls, uncharged, cost, rows = values
        return int(calls), int(uncharged), cost, int(rows)
