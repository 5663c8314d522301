"""What `promptspan doctor` asks: is data coming in, is it complete, is there room for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros, from_micros_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoreClockRow:
    """The engine, as it presents itself.

    Attributes:
        time: Its clock, UTC.
        version: Its version.
        zone: Its default time zone.
    """

    time: datetime
    version: str
    zone: str


@dataclass(frozen=True, slots=True)
class StoreClock(Query[StoreClockRow]):
    """Does the engine answer, which version is it, and what time is it there?"""

    def sql(self) -> str:
        """See `Query.sql`."""
        return "SELECT toUnixTimestamp64Micro(now64(6, 'UTC')), version(), timezone() LIMIT 1"

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> StoreClockRow:
        """See `Query.row`."""
        time, version, zone = values
        return StoreClockRow(from_micros(time), version, zone)


@dataclass(frozen=True, slots=True)
class RecentCallsRow:
    """Traffic of a window.

    Attributes:
        calls: Model calls.
        errors: Those with status `error`.
        newest: Start of the newest of them, None without calls.
    """

    calls: int
    errors: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class RecentCalls(Query[RecentCallsRow]):
    """How much came in lately?

    Attributes:
        minutes: How far back to look.
    """

    minutes: int = 60

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT
                count(),
                countIf(status = 'error'),
                if(count() = 0, NULL, toUnixTimestamp64Micro(max(ts)))
            FROM llm_calls_once
            WHERE billable
              AND ts >= now64(9, 'UTC') - toIntervalMinute({minutes:UInt32})
              AND ts <= now64(9, 'UTC') + INTERVAL 1 HOUR
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"minutes": self.minutes}

    def row(self, values: Sequence[Any]) -> RecentCallsRow:
        """See `Query.row`."""
        calls, errors, newest = values
        return RecentCallsRow(calls, errors, from_micros_or_none(newest))


@dataclass(frozen=True, slots=True)
class UnpricedModelRow:
    """A model whose calls have usage and no price.

    Attributes:
        provider: Who serves it.
        model: Its name as answered, else as asked for.
        calls: Calls without a cost.
    """

    provider: str
    model: str
    calls: int


@dataclass(frozen=True, slots=True)
class UnpricedModels(Query[UnpricedModelRow]):
    """Which models cost something that nobody knows?

    Attributes:
        days: How far back to look.
        limit: At most this many models, those with most calls first.
    """

    days: int = 7
    limit: int = 20

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT
                provider,
                if(response_model != '', response_model, request_model) AS model,
                count() AS calls
            FROM llm_costs
            WHERE billable
              AND price_status = 'unpriced'
              AND ts >= now64(9, 'UTC') - toIntervalDay({days:UInt32})
            GROUP BY provider, model
            ORDER BY calls DESC, provider, model
            LIMIT {limit:UInt32}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"days": self.days, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> UnpricedModelRow:
        """See `Query.row`."""
        return UnpricedModelRow(*values)


@dataclass(frozen=True, slots=True)
class SdkLossRow:
    """What the processes of a service lost, by their own account.

    Attributes:
        service: Name of the service.
        reason: Why the spans were lost.
        spans: How many.
    """

    service: str
    reason: str
    spans: int


@dataclass(frozen=True, slots=True)
class SdkLosses(Query[SdkLossRow]):
    """Which spans never came, as the SDKs that dropped them say?

    Attributes:
        days: Only processes that reported in the last so many days.
        limit: At most this many rows, the largest losses first.
    """

    days: int = 7
    limit: int = 20

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT service, reason, sum(spans) AS lost
            FROM (
                SELECT service, instance_id, maxMap(dropped) AS by_reason
                FROM sdk_losses
                GROUP BY service, instance_id
                HAVING max(last_seen) >= now64(9, 'UTC') - toIntervalDay({days:UInt32})
            )
            ARRAY JOIN mapKeys(by_reason) AS reason, mapValues(by_reason) AS spans
            GROUP BY service, reason
            HAVING lost > 0
            ORDER BY lost DESC, service, reason
            LIMIT {limit:UInt32}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"days": self.days, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> SdkLossRow:
        """See `Query.row`."""
        return SdkLossRow(*values)


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """Values that were set aside.

    Attributes:
        field: The column that they were meant for.
        reason: What is wrong with them.
        service: Who sent them.
        values: How many.
    """

    field: str
    reason: str
    service: str
    values: int


@dataclass(frozen=True, slots=True)
class Quarantine(Query[QuarantineRow]):
    """Which values were too strange to be believed?

    Attributes:
        days: How far back to look.
        limit: At most this many rows, the most frequent first.
    """

    days: int = 7
    limit: int = 20

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT field, reason, service, count() AS values
            FROM quarantine
            WHERE ts >= now64(9, 'UTC') - toIntervalDay({days:UInt32})
            GROUP BY field, reason, service
            ORDER BY values DESC, field, reason, service
            LIMIT {limit:UInt32}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"days": self.days, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> QuarantineRow:
        """See `Query.row`."""
        return QuarantineRow(*values)


@dataclass(frozen=True, slots=True)
class DiskRow:
    """A disk of the store.

    Attributes:
        name: ClickHouse's name of it.
        free_bytes: What is left.
        total_bytes: Its size.
        used_bytes: What our tables take on it.
    """

    name: str
    free_bytes: int
    total_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class Disks(Query[DiskRow]):
    """How much room is there, and how much do we take?"""

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT name, unreserved_space, total_space, used
            FROM system.disks AS disk
            LEFT JOIN (
                SELECT disk_name, sum(bytes_on_disk) AS used
                FROM system.parts
                WHERE active AND database = currentDatabase()
                GROUP BY disk_name
            ) AS parts ON parts.disk_name = disk.name
            ORDER BY name
            LIMIT 100
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> DiskRow:
        """See `Query.row`."""
        return DiskRow(*values)


@dataclass(frozen=True, slots=True)
class SpanArrivedRow:
    """Where a span was found.

    Attributes:
        in_spans: It is in `spans`.
        in_calls: It is in `llm_calls`.
    """

    in_spans: bool
    in_calls: bool


@dataclass(frozen=True, slots=True)
class SpanArrived(Query[SpanArrivedRow]):
    """Did a span arrive?

    Attributes:
        trace_id: Its trace, lower case hex.
    """

    trace_id: str

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT
                (SELECT count() FROM spans WHERE trace_id = {trace_id:String} LIMIT 1) > 0,
                (SELECT count() FROM llm_calls
                 WHERE trace_id = {trace_id:String} AND ts >= now64(9, 'UTC') - INTERVAL 1 DAY LIMIT 1) > 0
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"trace_id": self.trace_id}

    def row(self, values: Sequence[Any]) -> SpanArrivedRow:
        """See `Query.row`."""
        return SpanArrivedRow(bool(values[0]), bool(values[1]))
