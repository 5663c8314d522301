"""Is the data complete: what arrives, what was lost, what has no price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import CLOSED, OPEN
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import TimeRange

_MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class MinuteRow:
    """Model calls of one minute.

    Attributes:
        at: Start of the minute, UTC.
        calls: Model calls that started in it.
    """

    at: datetime
    calls: int


@dataclass(frozen=True, slots=True)
class CallsByMinute(Query[MinuteRow]):
    """How many calls a minute arrived? Minutes without calls are left out.

    Attributes:
        range: Where to look, at most a day.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT toUnixTimestamp(toStartOfMinute(ts)) AS at_s, count()
            FROM llm_calls_once
            WHERE {self.range.where()} AND billable
            GROUP BY at_s
            ORDER BY at_s
            LIMIT 1440
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> MinuteRow:
        """See `Query.row`."""
        return MinuteRow(from_micros(int(values[0]) * 1_000_000), values[1])


@dataclass(frozen=True, slots=True)
class UnpricedRow:
    """Calls of one model whose cost is unknown.

    Attributes:
        provider: Provider, may be empty.
        model: Model that answered, else the one asked for, may be empty.
        price_status: unpriced or no_usage.
        calls: How many.
        failed: How many of them failed (a failed call seldom reports usage).
    """

    provider: str
    model: str
    price_status: str
    calls: int
    failed: int


@dataclass(frozen=True, slots=True)
class Unpriced(Query[UnpricedRow]):
    """Which models have calls without a cost, and why? The most calls first, at most 50.

    Attributes:
        range: Where to look.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT provider, model, price_status, sum(number) AS calls, sum(failed)
            FROM
            (
                SELECT
                    provider,
                    if(response_model != '', response_model, request_model) AS model,
                    price_status,
                    calls AS number,
                    errors AS failed
                FROM llm_hourly
                WHERE {CLOSED} AND price_status IN ('unpriced', 'no_usage')
                UNION ALL
                SELECT
                    provider,
                    if(response_model != '', response_model, request_model) AS model,
                    price_status,
                    1 AS number,
                    status = 'error' AS failed
                FROM llm_costs
                WHERE {self.range.where()} AND {OPEN} AND price_status IN ('unpriced', 'no_usage')
            )
            GROUP BY provider, model, price_status
            ORDER BY calls DESC, provider, model, price_status
            LIMIT {_MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> UnpricedRow:
        """See `Query.row`."""
        return UnpricedRow(*values)


@dataclass(frozen=True, slots=True)
class LossRow:
    """What the SDK processes of one service say about themselves.

    Attributes:
        service: Service.
        processes: Processes that reported.
        emitted: Spans handed to the SDK.
        delivered: Spans that a backend accepted, those included that earlier processes had left.
        dropped: Spans lost, by reason.
        last_seen: Newest report, UTC.
    """

    service: str
    processes: int
    emitted: int
    delivered: int
    dropped: Mapping[str, int]
    last_seen: datetime

    @property
    def lost(self) -> int:
        """Spans lost in all."""
        return sum(self.dropped.values())

    @property
    def waiting(self) -> int:
        """Spans that the processes still had when they last reported: on disk, or in memory."""
        return max(0, self.emitted - self.delivered - self.lost)


@dataclass(frozen=True, slots=True)
class Losses(Query[LossRow]):
    """Did the SDKs lose spans? The most lost first, at most 50 services.

    Attributes:
        range: In which the processes reported.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                service,
                count(),
                sum(process_emitted),
                sum(process_delivered),
                sumMap(process_dropped) AS lost,
                toUnixTimestamp64Micro(max(seen))
            FROM
            (
                SELECT
                    service,
                    instance_id,
                    max(emitted) AS process_emitted,
                    max(delivered) AS process_delivered,
                    maxMap(dropped) AS process_dropped,
                    max(last_seen) AS seen
                FROM sdk_losses
                GROUP BY service, instance_id
                HAVING {self.range.where("seen")}
            )
            GROUP BY service
            ORDER BY arraySum(mapValues(lost)) DESC, service
            LIMIT {_MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> LossRow:
        """See `Query.row`."""
        service, processes, emitted, delivered, dropped, last = values
        return LossRow(service, processes, emitted, delivered, dict(dropped), from_micros(last))


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """Values that were set aside.

    Attributes:
        field: Column that they were meant for.
        reason: Why.
        instrumentation: What produced them.
        values: How many.
        example: One of them.
        last_seen: Newest, UTC.
    """

    field: str
    reason: str
    instrumentation: str
    values: int
    example: str
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Quarantine(Query[QuarantineRow]):
    """Which values could not be believed? The most frequent first, at most 50.

    Attributes:
        range: Where to look.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                field, reason, instrumentation, count() AS number, anyLast(value),
                toUnixTimestamp64Micro(max(ts))
            FROM quarantine FINAL
            WHERE {self.range.where()}
            GROUP BY field, reason, instrumentation
            ORDER BY number DESC, field, reason, instrumentation
            LIMIT {_MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> QuarantineRow:
        """See `Query.row`."""
        *facts, last = values
        return QuarantineRow(*facts, last_seen=from_micros(last))


@dataclass(frozen=True, slots=True)
class PriceBookRow:
    """The price book in force.

    Attributes:
        version: Name for people.
        book: SHA-256 of its rows.
        models: Priced models.
        applied_at: Since when it is in force here, UTC.
    """

    version: str
    book: str
    models: int
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class PriceBook(Query[PriceBookRow]):
    """Which price book is in force? No row if prices were never loaded."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT version, book, models, toUnixTimestamp64Micro(applied_at)
            FROM price_books
            ORDER BY applied_at DESC
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> PriceBookRow:
        """See `Query.row`."""
        version, book, models, applied = values
        return PriceBookRow(version, book, models, from_micros(applied))


@dataclass(frozen=True, slots=True)
class MigrationRow:
    """One applied migration.

    Attributes:
        version: Its number.
        name: Its name.
    """

    version: int
    name: str


@dataclass(frozen=True, slots=True)
class LastMigration(Query[MigrationRow]):
    """Up to which migration is the schema? No row on a store that was never migrated."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return "SELECT toUInt32(version), name FROM schema_migrations ORDER BY version DESC LIMIT 1"

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> MigrationRow:
        """See `Query.row`."""
        return MigrationRow(*values)
