"""How fresh the data is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros, from_micros_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class FreshnessRow:
    """The newest facts of the store.

    Attributes:
        store_time: The store's own clock, UTC.
        last_call: Start of the newest model call, None in a store without calls.
        store_version: Version of the engine.
    """

    store_time: datetime
    last_call: datetime | None
    store_version: str

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest call started, never negative; None without calls."""
        if self.last_call is None:
            return None
        return max(0.0, (self.store_time - self.last_call).total_seconds())


@dataclass(frozen=True, slots=True)
class Freshness(Query[FreshnessRow]):
    """When did the last call arrive, if any? The store knows without reading rows: from its parts' maxima."""

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT
                toUnixTimestamp64Micro(now64(6, 'UTC')),
                if(count() = 0, NULL, toUnixTimestamp64Micro(max(ts))),
                version()
            FROM llm_calls
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {}

    def row(self, values: Sequence[Any]) -> FreshnessRow:
        """See `Query.row`."""
        now, last, version = values
        return FreshnessRow(from_micros(now), from_micros_or_none(last), version)
