"""What people and pipelines did, for charts and incidents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros
from promptspan_server.store.markers import Marker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from promptspan_server.queries.scope import TimeRange

MAX_MARKERS = 100


@dataclass(frozen=True, slots=True)
class Markers(Query[Marker]):
    """What happened? The newest first, at most 100.

    Attributes:
        range: When.
        environment: Only what concerns it: of it, or of all. The same for the next two; None for any.
        service: See `environment`.
        prompt: See `environment`.
        incident: What is about this alert is there whatever else it concerns.
        kinds: Only these; empty for all.
    """

    range: TimeRange
    environment: str | None = None
    service: str | None = None
    prompt: str | None = None
    incident: str = ""
    kinds: tuple[str, ...] = ()

    def sql(self) -> str:
        """See `Query.sql`."""
        concerns = " AND ".join(
            f"({column} = '' OR {column} = {{{column}:String}})" for column, _ in self._chosen()
        )
        return f"""
            SELECT id, toUnixTimestamp64Micro(toDateTime64(at, 6, 'UTC')), kind, text, author, environment,
                service, prompt_name, prompt_version, incident, link
            FROM markers FINAL
            WHERE at >= fromUnixTimestamp64Micro({{start_us:Int64}}, 'UTC')
                AND at < fromUnixTimestamp64Micro({{end_us:Int64}}, 'UTC')
                AND (empty({{kinds:Array(String)}}) OR has({{kinds:Array(String)}}, kind))
                AND ({concerns or "1"} OR (incident != '' AND incident = {{incident:String}}))
            ORDER BY at DESC, id
            LIMIT {MAX_MARKERS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {
            "start_us": int(self.range.start.timestamp() * 1e6),
            "end_us": int(self.range.end.timestamp() * 1e6),
            "incident": self.incident,
            "kinds": list(self.kinds),
            **dict(self._chosen()),
        }

    def row(self, values: Sequence[Any]) -> Marker:
        """See `Query.row`."""
        identity, at, *rest = values
        return Marker(identity, from_micros(at), *rest)

    def _chosen(self) -> list[tuple[str, str]]:
        chosen = (("environment", self.environment), ("service", self.service), ("prompt_name", self.prompt))
        return [(column, value) for column, value in chosen if value is not None]
