"""Names that calls have, matched against a book where the insert that brought them could not do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.store.executor import Executor

_SEEN = "INSERT INTO price_names_seen (book, provider, request_model, response_model, service_tier)\n"
_NEW = "name_key NOT IN (SELECT name_key FROM price_names WHERE book = {book:String})"


def current_book(executor: Executor) -> str:
    """The hash of the book in force, empty before the first synchronisation."""
    return str(executor.rows("SELECT argMax(book, applied_at) FROM price_books")[0][0])


def match_remembered(executor: Executor, book: str) -> None:
    """Match every remembered name against a book. Names that it has already are left alone."""
    executor.command(
        f"""{_SEEN} SELECT DISTINCT {{book:String}}, provider, request_model, response_model, service_tier
        FROM price_names WHERE {_NEW}""",  # noqa: S608 - constants of this module
        {"book": book},
    )


def match_calls(executor: Executor, book: str, hours: Mapping[str, str]) -> None:
    """Match the names of the calls of some hours that no insert matched.

    An insert that runs while the book changes matches its new names against the book that was in force
    before.

    Args:
        executor: The store.
        book: Hash of the book.
        hours: The parameter `hours`, an array of starts of hours.
    """
    executor.command(
        f"""{_SEEN} SELECT DISTINCT {{book:String}}, provider, request_model, response_model, service_tier
        FROM
        (
            SELECT *, cityHash64(provider, request_model, response_model, service_tier) AS name_key
            FROM llm_calls
            WHERE billable AND toStartOfHour(ts) IN (SELECT arrayJoin({{hours:Array(DateTime('UTC'))}}))
        )
        WHERE {_NEW}""",  # noqa: S608 - constants of this module
        {"book": book, **hours},
    )
