"""The ledger as finance reads it: exact sums of a period, grouped by what the reader chooses."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from promptspan_server.queries.query import Query, from_micros
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from promptspan_server.queries.connection import Answer

Row = TypeVar("Row")

DIMENSIONS: Final[Mapping[str, str]] = {
    "service": "service",
    "feature": "feature",
    "prompt": "prompt_name",
    "version": "prompt_version",
    "tenant": "tenant",
    "environment": "environment",
    "operation": "operation",
    "provider": "provider",
    "model": "if(response_model != '', response_model, request_model)",
    "tier": "service_tier",
    "tags": "tags",
    "status": "status",
    "price_status": "price_status",
    "price_id": "price_id",
    "rate_id": "rate_id",
}
"""What the ledger can be grouped and filtered by, with its SQL on `llm_hourly`.
The tags of a call are one text, with commas between them."""

TIMES: Final[Mapping[str, str]] = {"hour": "hour", "day": "toStartOfDay(hour, 'UTC')"}
"""Grouping by time: a row then says in `at` when its hour or day began."""

MAX_ROWS = 1_000_000
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_ZERO = Decimal(0)

# Column of the answer by field of `LedgerRow`, in its order. Uncached input without audio, output without
# reasoning and audio: disjoint buckets, as they are billed.
_MEASURES: Final[Mapping[str, str]] = {
    "calls": "sum(calls)",
    "priced": "sum(priced_calls)",
    "reported": "sum(reported_calls)",
    "unpriced": "sum(unpriced_calls)",
    "no_usage": "sum(no_usage_calls)",
    "retries": "sum(retries)",
    "errors": "sum(errors)",
    "cancelled": "sum(cancelled)",
    "incomplete": "sum(incomplete)",
    "estimated": "sum(estimated)",
    "input": "sum(uncached_input_tokens - audio_input_tokens)",
    "cache_read": "sum(cache_read_tokens)",
    "cache_write_5m": "sum(cache_write_5m_tokens)",
    "cache_write_1h": "sum(cache_write_1h_tokens)",
    "audio_input": "sum(audio_input_tokens)",
    "output": "sum(output_tokens - reasoning_tokens - audio_output_tokens)",
    "reasoning": "sum(reasoning_tokens)",
    "audio_output": "sum(audio_output_tokens)",
    "cost_usd": "if(sum(priced_calls + reported_calls) = 0 AND sum(cost_usd) = 0, NULL, sum(cost_usd))",
    "retries_cost_usd": "sum(retries_cost_usd)",
}


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Sums over the calls of one group.

    Attributes:
        keys: The group's values by dimension; empty text where calls have none.
        at: Start of the hour or day, UTC, where the ledger is grouped by time; else None.
        calls: Billable calls; the next four are disjoint parts of it, by price status.
        priced: Calls with a cost of tokens x price.
        reported: Calls whose cost the provider returned.
        unpriced: Calls with usage and without a price.
        no_usage: Calls whose tokens are not known.
        retries: Calls that were a second or later try.
        errors: Calls with status error.
        cancelled: Calls that the caller gave up.
        incomplete: Calls cut short.
        estimated: Calls whose tokens are an estimate.
        input: Tokens of uncached text; this and the next seven are disjoint. Unknown ones are not in them.
        cache_read: Tokens read from the provider's cache.
        cache_write_5m: Tokens written to it for five minutes.
        cache_write_1h: Tokens written to it for an hour.
        audio_input: Tokens of uncached audio.
        output: Tokens of text.
        reasoning: Tokens of reasoning.
        audio_output: Tokens of audio.
        cost_usd: Exact sum, nine places; None if not one call of the group has a cost.
        retries_cost_usd: The part of `cost_usd` that retries cost.
    """

    keys: Mapping[str, str]
    at: datetime | None = None
    calls: int = 0
    priced: int = 0
    reported: int = 0
    unpriced: int = 0
    no_usage: int = 0
    retries: int = 0
    errors: int = 0
    cancelled: int = 0
    incomplete: int = 0
    estimated: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    cost_usd: Decimal | None = None
    retries_cost_usd: Decimal = _ZERO

    @property
    def costed(self) -> int:
        """Calls with a known cost."""
        return self.priced + self.reported

    @property
    def tokens(self) -> int:
        """Known tokens in all buckets."""
        return sum(getattr(self, name) for name in TOKENS)


TOKENS: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "output",
    "reasoning",
    "audio_output",
)
"""The disjoint token buckets of a row, in the order of `pricing.meters.METERS`."""

COUNTS: Final = tuple(
    field.name
    for field in fields(LedgerRow)
    if field.name not in {"keys", "at", "cost_usd", "retries_cost_usd"}
)
"""The whole numbers of a row."""


@dataclass(frozen=True, slots=True)
class Ledger(Query[LedgerRow]):
    """What did the calls of a period use and cost, by group?

    Attributes:
        range: Whole hours, UTC.
        by: Dimensions of `DIMENSIONS`, and at most one of `TIMES`.
        where: Pairs of dimension and value; empty text finds calls without one.
        limit: At most this many groups. `read` refuses an answer that reaches it, so that no sum is cut.
        closes: `close_id` of revisions of a closed month whose rows are added up: all to the N-th, the month
            as of it; one alone, what it adjusted. None of them reads the ledger as it is now.

    Raises:
        ValueError: A dimension is not known, or the range does not begin and end at a full hour.
    """

    range: TimeRange
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    limit: int = MAX_ROWS
    closes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.by, *(name for name, _ in self.where)):
            if name not in DIMENSIONS and name not in TIMES:
                raise ValueError(f"the ledger has no dimension {name!r}; it has {', '.join(DIMENSIONS)}")
        if sum(name in TIMES for name in self.by) > 1:
            raise ValueError("the ledger is grouped by hours or by days")
        for moment in (self.range.start, self.range.end):
            if moment != moment.replace(minute=0, second=0, microsecond=0):
                raise ValueError("the ledger knows full hours")

    def sql(self) -> str:
        """See `Query.sql`."""
        time = next((name for name in self.by if name in TIMES), None)
        at = f"toUnixTimestamp({TIMES[time]}) * 1000000" if time else "NULL"
        names = [name for name in self.by if name not in TIMES]
        keys = "".join(f"toString({DIMENSIONS[name]}) AS key_{name}, " for name in names)
        groups = ", ".join(([TIMES[time]] if time else []) + [f"key_{name}" for name in names])
        conditions = "".join(
            f" AND {DIMENSIONS[name]} = {{w_{index}:String}}" for index, (name, _) in enumerate(self.where)
        )
        source = "llm_hourly"
        if self.closes:
            source = "closed_hourly"
            conditions += " AND close_id IN {closes:Array(String)}"
        # Columns of the table, whatever a sum is called.
        return f"""
            SELECT {at}, {keys}{", ".join(_MEASURES.values())}
            FROM {source}
            WHERE {self.range.where("hour")}{conditions}
            {f"GROUP BY {groups} ORDER BY {groups}" if groups else "HAVING sum(calls) > 0"}
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of this module

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        values = {f"w_{index}": value for index, (_, value) in enumerate(self.where)}
        closes = {"closes": list(self.closes)} if self.closes else {}
        return {**self.range.parameters(), **values, **closes, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> LedgerRow:
        """See `Query.row`."""
        at, *rest = values
        names = [name for name in self.by if name not in TIMES]
        keys = dict(zip(names, rest, strict=False))
        return LedgerRow(keys, None if at is None else from_micros(at), *rest[len(names) :])


@dataclass(frozen=True, slots=True)
class Days(Query[datetime]):
    """On which days of a period are there calls?

    Attributes:
        range: Whole hours, UTC; it bounds the days.
        closes: As in `Ledger`.
    """

    range: TimeRange
    closes: tuple[str, ...] = ()

    def sql(self) -> str:
        """See `Query.sql`."""
        source, more = "llm_hourly", ""
        if self.closes:
            source, more = "closed_hourly", " AND close_id IN {closes:Array(String)}"
        return f"""
            SELECT DISTINCT toUnixTimestamp({TIMES["day"]}) * 1000000 AS day
            FROM {source} WHERE {self.range.where("hour")}{more}
            ORDER BY day
        """  # noqa: S608 - constants of this module

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        closes = {"closes": list(self.closes)} if self.closes else {}
        return {**self.range.parameters(), **closes}

    def row(self, values: Sequence[Any]) -> datetime:
        """See `Query.row`."""
        return from_micros(values[0])


class Asks(Protocol):
    """What answers questions: `queries.connection.Store`."""

    def ask(self, query: Query[Row]) -> Answer[Row]:
        """Put one question."""
        ...


class LedgerTooLarge(ValueError):  # noqa: N818  (reads as the sentence it makes)
    """A grouping has more groups than can be held at once."""


def read(store: Asks, query: Ledger) -> tuple[LedgerRow, ...]:
    """Read a grouping whole.

    Raises:
        LedgerTooLarge: It has as many groups as the query's limit: some may be missing.
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused the question.
    """
    rows = store.ask(query).rows
    if len(rows) >= query.limit:
        raise LedgerTooLarge(
            f"the ledger by {', '.join(query.by)} has {query.limit:,} groups or more;"
            " choose fewer dimensions or a shorter period"
        )
    return rows


def stream(store: Asks, query: Ledger) -> Iterator[LedgerRow]:
    """Read a grouping by hours or days piece by piece, in the order of time and keys.

    One question a day of the range, so that neither side holds more than a day, and no time limit counts
    what the reader does with the rows.

    Raises:
        ValueError: The query does not group by time.
        LedgerTooLarge: See `read`.
    """
    if not any(name in TIMES for name in query.by):
        raise ValueError("a ledger is streamed by hours or days")
    for day in store.ask(Days(query.range, query.closes)).rows:
        start, end = max(day, query.range.start), min(day + timedelta(days=1), query.range.end)
        yield from read(store, replace(query, range=TimeRange(start, end)))


def month(text: str) -> TimeRange:
    """Read `2026-10`: from its first hour to the first of the next month, UTC.

    Raises:
        ValueError: The text is no month.
    """
    found = _MONTH.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no month: say {datetime.now(timezone.utc):%Y-%m}")
    start = datetime(int(found[1]), int(found[2]), 1, tzinfo=timezone.utc)
    return TimeRange(start, (start + timedelta(days=32)).replace(day=1))


def total(
    rows: Iterable[LedgerRow], keys: Mapping[str, str] | None = None, at: datetime | None = None
) -> LedgerRow:
    """Add rows up: what their calls used and cost together, under the keys given."""
    counts = dict.fromkeys(COUNTS, 0)
    cost: Decimal | None = None
    retries = _ZERO
    for row in rows:
        for name in COUNTS:
            counts[name] += getattr(row, name)
        if row.cost_usd is not None:
            cost = row.cost_usd if cost is None else add(cost, row.cost_usd)
        retries = add(retries, row.retries_cost_usd)
    return LedgerRow(keys or {}, at, **counts, cost_usd=cost, retries_cost_usd=retries)


def add(a: Decimal, b: Decimal) -> Decimal:
    """Add money exactly, whatever precision the caller's decimal context has: in billionths of a dollar."""
    return dollars(nanos(a) + nanos(b))


def nanos(usd: Decimal) -> int:
    """Money as a whole number of billionths of a dollar, exactly.

    Raises:
        ValueError: It has more than nine places.
    """
    numerator, denominator = usd.as_integer_ratio()
    number, rest = divmod(numerator * 10**9, denominator)
    if rest:
        raise ValueError(f"{usd} has more than nine places")
    return number


def dollars(nano_usd: int) -> Decimal:
    """Money from billionths of a dollar, exactly, with nine places."""
    return Decimal(f"{nano_usd}E-9")
