"""What another price book would do to the past, before it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from promptspan_server.pricing.names import current_book
from promptspan_server.pricing.sync import lay_out

if TYPE_CHECKING:
    from decimal import Decimal

    from promptspan_server.store.executor import Executor

_MIGRATION = "0012_llm_costs.sql"
_VIEW = "CREATE VIEW priced_calls AS\nWITH (SELECT argMax(book, applied_at) FROM price_books) AS current\n"
MAX_MONTHS = 36


@dataclass(frozen=True, slots=True)
class MonthChange:
    """A month of one model whose cost or coverage another book changes.

    Attributes:
        month: Its first moment, UTC.
        provider: Of the calls.
        model: That was asked for.
        calls: Billable calls.
        before_usd: What they cost by the book in force, exactly; None if not one of them is priced.
        after_usd: What they would cost.
        unpriced_before: Calls without a price by the book in force.
        unpriced_after: Calls that would have none.
    """

    month: datetime
    provider: str
    model: str
    calls: int
    before_usd: Decimal | None
    after_usd: Decimal | None
    unpriced_before: int
    unpriced_after: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial of another book came to.

    Attributes:
        before: Version of the book in force, empty if there is none.
        after: Version of the other book.
        same: Whether the two price every call alike.
        changes: Months and models that differ, newest month first, then by the size of the change.
        totals: All calls of the same months by both books: before and after in USD.
    """

    before: str
    after: str
    same: bool
    changes: tuple[MonthChange, ...]
    totals: tuple[Decimal | None, Decimal | None]


def try_prices(
    executor: Executor, content: str | None, name: str = "prices.yaml", *, months: int = 3
) -> Trial:
    """Price the last months by another book as well.

    The other book is laid out in the store, but not put in force: no cost that anybody reads changes.

    Args:
        executor: The store; it must be one that may write.
        content: A price file, YAML; None for the one that was imported last, above the installed package.
        name: What to call it in messages.
        months: How many months back, the current one included; 1 to `MAX_MONTHS`.

    Raises:
        PriceFileError: The file is wrong.
        ValueError: `months` is out of range.
    """
    if not 1 <= months <= MAX_MONTHS:
        raise ValueError(f"1 to {MAX_MONTHS} months can be compared")
    built = lay_out(executor, content, name)
    book = current_book(executor)
    versions = executor.rows("SELECT version FROM price_books ORDER BY applied_at DESC LIMIT 1")
    before = str(versions[0][0]) if versions else ""
    if built.hash == book:
        return Trial(before, built.version, same=True, changes=(), totals=(None, None))
    old = _by_month(executor, book, months)
    new = _by_month(executor, built.hash, months)
    changes = [
        MonthChange(*key, calls, spent, after[1], unpriced, after[2])
        for key, (calls, spent, unpriced) in old.items()
        if (after := new.get(key, (0, None, 0)))[1:] != (spent, unpriced)
    ]
    changes.sort(key=_order)
    return Trial(before, built.version, same=False, changes=tuple(changes), totals=(_total(old), _total(new)))


_Key = tuple[datetime, str, str]
_Sums = dict[_Key, tuple[int, "Decimal | None", int]]


def _by_month(executor: Executor, book: str, months: int) -> _Sums:
    rows = executor.rows(
        f"""
        SELECT toUnixTimestamp(toStartOfMonth(ts)::DateTime('UTC')), provider, request_model, count(),
            if(count(cost_usd) = 0, NULL, sum(cost_usd)), countIf(price_status = 'unpriced')
        FROM ({_costs()})
        WHERE billable AND ts >= toStartOfMonth(now('UTC')) - toIntervalMonth({{back:UInt32}})
        GROUP BY ALL
        """,  # noqa: S608 - the text of our own view, values are bound
        {"book": book, "back": str(months - 1)},
    )
    return {
        (datetime.fromtimestamp(at, timezone.utc), str(provider), str(model)): (calls, usd, unpriced)
        for at, provider, model, calls, usd, unpriced in rows
    }


@cache
def _costs() -> str:
    """The text of `priced_calls` for a book that is given, not the one in force: money is defined once."""
    text = (files("promptspan_server.store") / "migrations" / _MIGRATION).read_text(encoding="utf-8")
    _, found, body = text.partition(_VIEW)
    if not found:
        raise RuntimeError(f"{_MIGRATION} does not begin priced_calls as expected")
    return "WITH {book:String} AS current\n" + body.partition(";\n")[0]


def _order(change: MonthChange) -> tuple[Any, ...]:
    size = abs((change.after_usd or 0) - (change.before_usd or 0))
    return -change.month.timestamp(), -size, change.provider, change.model


def _total(sums: _Sums) -> Decimal | None:
    known = [usd for _, usd, _ in sums.values() if usd is not None]
    return sum(known[1:], known[0]) if known else None
