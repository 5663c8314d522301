"""When versions first ran, whatever range a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import hours
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_MAX_ROWS = 2_000
_SINCE = "toStartOfHour(now64(9, 'UTC')) - toIntervalDay({days:UInt32})"
_UNTIL = "now64(9, 'UTC') + INTERVAL 2 HOUR"


@dataclass(frozen=True, slots=True)
class FirstCallRow:
    """The first call of one version.

    Attributes:
        prompt: Name of the prompt.
        version: Its version.
        first_call: When it first ran, UTC.
    """

    prompt: str
    version: str
    first_call: datetime


@dataclass(frozen=True, slots=True)
class FirstCalls(Query[FirstCallRow]):
    """Since when has each version been running? The newest first, over 400 days, at most 2,000 versions.

    Attributes:
        prompt: Name of the prompt, None for all.
        days: How far back to look.
    """

    prompt: str | None = None
    days: int = 400

    def sql(self) -> str:
        """See `Query.sql`."""
        named = "" if self.prompt is None else "WHERE prompt_name = {prompt:String}"
        return f"""
            SELECT prompt_name, prompt_version, toUnixTimestamp64Micro(min(first_call)) AS first_us
            FROM {hours(_SINCE, _UNTIL)}
            {named}
            GROUP BY prompt_name, prompt_version
            ORDER BY first_us DESC, prompt_name, prompt_version
            LIMIT {_MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"days": self.days} if self.prompt is None else {"days": self.days, "prompt": self.prompt}

    def row(self, values: Sequence[Any]) -> FirstCallRow:
        """See `Query.row`."""
        prompt, version, first_us = values
        return FirstCallRow(prompt, version, from_micros(first_us))
