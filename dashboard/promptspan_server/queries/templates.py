"""The texts of prompt templates, and who owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """One template of a prompt.

    Attributes:
        version: Version of the prompt.
        template_hash: SHA-256 of the template, hex; a version with two hashes was changed without a new name.
        template: Its text, variables unfilled; empty if it was not sent.
        owner: Who answers for it, empty if unknown.
        description: What it is for, empty if unknown.
        first_seen: When the store first saw it, UTC.
    """

    version: str
    template_hash: str
    template: str
    owner: str
    description: str
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Templates(Query[TemplateRow]):
    """Which texts has this prompt had? The newest first, at most 50.

    Templates are few and old ones matter: rows bound this question, time does not.

    Attributes:
        prompt: Name of the prompt.
    """

    prompt: str

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                prompt_version,
                template_hash,
                anyLast(template),
                anyLast(owner),
                anyLast(description),
                toUnixTimestamp64Micro(min(first_seen)) AS first_us
            FROM prompt_templates
            WHERE prompt_name = {{prompt:String}}
            GROUP BY prompt_version, template_hash
            ORDER BY first_us DESC, prompt_version, template_hash
            LIMIT {_MAX_ROWS}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"prompt": self.prompt}

    def row(self, values: Sequence[Any]) -> TemplateRow:
        """See `Query.row`."""
        *texts, first_us = values
        return TemplateRow(*(str(text) for text in texts), first_seen=from_micros(first_us))
