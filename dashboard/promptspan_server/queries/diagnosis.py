"""What `promptspan doctor` asks besides `health`: does the store answer, is data coming in, is there room?"""

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
class LastModelCall(Query["datetime | None"]):
    """When did the newest model call start? None in a store without any."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT if(count() = 0, NULL, toUnixTimestamp64Micro(max(ts)))
            FROM llm_calls
            WHERE billable AND ts >= now() - INTERVAL 400 DAY
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> datetime | None:
        """See `Query.row`."""
        return from_micros_or_none(values[0])


@dataclass(frozen=True, slots=True)
class RecentCallsRow:
    """Traffic of a window.

    Attributes:
        calls: Model calls.
        errors: Those with status `error`.
    """

    calls: int
    errors: int


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
            SELECT count(), countIf(status = 'error')
            FROM llm_calls_once
            WHERE billable AND ts >= now64(9, 'UTC') - toIntervalMinute({minutes:UInt32})
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"minutes": self.minutes}

    def row(self, values: Sequence[Any]) -> RecentCallsRow:
        """See `Query.row`."""
        return RecentCallsRow(*values)


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
