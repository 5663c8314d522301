"""What a filter can offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.hours import hours, most_frequent
from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from promptspan_server.queries.scope import TimeRange

_MAX_VALUES = 200


@dataclass(frozen=True, slots=True)
class ChoicesRow:
    """The values that occur in a range, the most frequent first, at most 200 each.

    Attributes:
        prompts: Prompt names.
        features: Features.
        environments: Environments.
        services: Services.
        models: Requested models.
        flags: Safety flags.
    """

    prompts: tuple[str, ...]
    features: tuple[str, ...]
    environments: tuple[str, ...]
    services: tuple[str, ...]
    models: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choices(Query[ChoicesRow]):
    """Which prompts, features, environments, services, models and flags are there to filter by?

    Attributes:
        range: Where to look.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        columns = ("prompt_name", "feature", "environment", "service", "request_model")
        tops = ", ".join(f"topKWeighted({_MAX_VALUES})(toString({column}), calls)" for column in columns)
        return f"SELECT {tops}, sumMap(flags) FROM {hours()} LIMIT 1"

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> ChoicesRow:
        """See `Query.row`."""
        *tops, flags = values
        return ChoicesRow(
            *(tuple(str(value) for value in column) for column in tops),
            flags=most_frequent(flags, _MAX_VALUES),
        )
