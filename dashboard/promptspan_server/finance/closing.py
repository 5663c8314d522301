"""Closes a month: freezes its ledger and all that its number rests on, once and for good.

What comes later (calls that arrive late, prices that are corrected, other allocation rules) is a revision:
the difference to what was frozen before. So all revisions together are the ledger, and none is ever changed.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.charge_source import RatesUsed
from promptspan_server.finance.close_pack import scratch, write_files
from promptspan_server.finance.closed import (
    ALLOCATION_FILE,
    PRICES_FILE,
    QUERIES_FILE,
    RATES_FILE,
    CloseError,
    Revision,
    basis,
    frozen_basis,
    revisions,
)
from promptspan_server.finance.focus import GROUPING
from promptspan_server.finance.focus_export import Ledgers
from promptspan_server.finance.frozen_rows import FrozenRows, Totals, freeze
from promptspan_server.finance.ledger import Days, Ledger, add
from promptspan_server.queries.query import Query
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.ledger import Asks
    from promptspan_server.store.executor import Executor

_DEFINITIONS: Final = ("0012_llm_costs.sql", "0013_ledger.sql", "0017_closes.sql")
_CLOSE_COLUMNS: Final = (
    "month",
    "revision",
    "close_id",
    "closed_at",
    "note",
    "calls",
    "uncharged_calls",
    "cost_usd",
    "adjusted_usd",
    "price_book",
    "price_book_version",
    "reporting_currency",
    "manifest",
)


@dataclass(frozen=True, slots=True)
class _Reconciled(Query[tuple[str, str]]):
    """Provider and report of what was reconciled for a month."""

    month: str
    limit: int = 1_000

    def sql(self) -> str:
        return """
            SELECT provider, report FROM reconciliations FINAL
            WHERE month = {month:Date} ORDER BY provider LIMIT {limit:UInt32}
        """

    def parameters(self) -> Mapping[str, Any]:
        return {"month": self.month, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> tuple[str, str]:
        provider, report = values
        return str(provider), str(report)


@dataclass(frozen=True, slots=True)
class _Uncharged(Query[tuple[str, str, int]]):
    """Which models have calls with usage and without a price?"""

    range: TimeRange
    limit: int = 20

    def sql(self) -> str:
        return f"""
            SELECT provider, request_model, sum(calls) FROM llm_hourly
            WHERE {self.range.where("hour")} AND price_status = 'unpriced'
            GROUP BY provider, request_model ORDER BY sum(calls) DESC, provider, request_model
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        return {**self.range.parameters(), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> tuple[str, str, int]:
        provider, model, calls = values
        return str(provider), str(model), int(calls)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a month is to be closed.

    Attributes:
        revise: It is closed: make a revision of what changed since.
        note: Why.
        with_unpriced: Close it although calls have usage and no price.
        texts: Allocation rules and exchange rates, by name of file; in a revision, those that are not given
            stay as they were.
        now: When this is; the clock if None.
    """

    revise: bool = False
    note: str = ""
    with_unpriced: bool = False
    texts: Mapping[str, str] | None = None
    now: datetime | None = None


def close_month(
    store: Asks, executor: Executor, month: TimeRange, wishes: Wishes
) -> tuple[Revision, ...] | None:
    """Freeze a month, or what changed in it since it was frozen.

    Args:
        store: Where the ledger is read.
        executor: The same store, as a user who may write.
        month: The month.
        wishes: How.

    Returns:
        Its revisions, the new one last; None if a revision was asked for and nothing has changed.

    Raises:
        CloseError: It cannot be closed (now, or so). Nothing was changed.
        RatesError: An exchange rate is missing.
        AllocationError: The allocation rules are wrong.
    """
    name = f"{month.start:%Y-%m}"
    before = revisions(store, month.start)
    book, version = _ready(store, month, before, wishes)
    texts = _texts(store, executor, month, before, wishes)
    close_id = uuid.uuid4().hex
    earlier = [revision.close_id for revision in before]
    freeze(store, executor, month, close_id, earlier)
    *_, changed = store.ask(Totals((close_id,))).rows[0]
    if before and not changed and _rules(texts) == _rules(frozen_basis(store, before[-1]).texts):
        return None
    calls, uncharged, cost, _ = store.ask(Totals((*earlier, close_id))).rows[0]
    if not before and not calls:
        raise CloseError(f"{month.start:%Y-%m} has no calls: there is nothing to close")
    found = basis(texts)
    closed = Revision(
        month=month.start,
        number=len(before) + 1,
        close_id=close_id,
        closed_at=wishes.now or datetime.now(timezone.utc),
        note=wishes.note,
        calls=calls,
        uncharged_calls=uncharged,
        cost_usd=cost,
        adjusted_usd=_less(cost, before[-1].cost_usd) if before else cost,
        price_book=book,
        price_book_version=version,
        currency=found.rates.currency if found.rates else "",
        manifest="",
    )
    executor.insert(
        "close_files",
        ("close_id", "name", "content", "sha256"),
        [[close_id, file, text, hashlib.sha256(text.encode()).hexdigest()] for file, text in texts.items()],
    )
    with scratch() as folder:
        closed = replace(closed, manifest=write_files(store, month, (*before, closed), folder))
    # Everything is there: from here on it is closed.
    executor.insert("closes", _CLOSE_COLUMNS, [_close_row(closed)])
    after = revisions(store, month.start)
    if after[len(before)].close_id != close_id:
        raise CloseError(
            f"{name} was closed by somebody else at the same moment: promptspan close show {name}"
        )
    return after


def _ready(store: Asks, month: TimeRange, before: Sequence[Revision], wishes: Wishes) -> tuple[str, str]:
    name = f"{month.start:%Y-%m}"
    now = wishes.now or datetime.now(timezone.utc)
    if now < month.end:
        raise CloseError(f"{name} is not over: it can be closed from {month.end:%Y-%m-%d} 00:00 UTC on")
    if before and not wishes.revise:
        raise CloseError(
            f"{name} is closed (revision {before[-1].number}): --revise freezes what changed since"
        )
    if wishes.revise and not before:
        raise CloseError(f"{name} is not closed: promptspan close {name}")
    book, version, open_hours = store.ask(Ledgers(month)).rows[0]
    if open_hours:
        raise CloseError(
            f"{open_hours} hours of {name} are still being computed: promptspan ledger does it now, and calls"
            " that came a moment ago take a minute to settle"
        )
    if before:
        # A ledger whose retention is over has not shrunk: it cannot be compared any more.
        frozen = store.ask(Days(month, tuple(revision.close_id for revision in before))).rows
        lost = sorted({*frozen} - {*store.ask(Days(month)).rows})
        if lost:
            raise CloseError(
                f"the ledger has nothing of {lost[0]:%Y-%m-%d} any more (PROMPTSPAN_KEEP_LEDGER_YEARS):"
                f" {name} stays as it was frozen"
            )
    unpriced = store.ask(_Uncharged(month)).rows
    if unpriced and not wishes.with_unpriced:
        models = ", ".join(f"{provider}/{model} ({calls:,} calls)" for provider, model, calls in unpriced[:3])
        more = f" and {len(unpriced) - 3} more" if len(unpriced) > 3 else ""
        raise CloseError(
            f"{name} has usage without a price, which its number would lack: {models}{more}. Give it one"
            " (promptspan prices import), or close with --with-unpriced, which says so in the pack"
        )
    return book, version


def _texts(
    store: Asks, executor: Executor, month: TimeRange, before: Sequence[Revision], wishes: Wishes
) -> dict[str, str]:
    given = dict(wishes.texts or {})
    new_rates = any(map(_is_rates, given))
    texts: dict[str, str] = {}
    if before:
        kept = frozen_basis(store, before[-1]).texts.items()
        texts = {
            name: text
            for name, text in kept
            if name == ALLOCATION_FILE or (_is_rates(name) and not new_rates)
        }
    texts |= given
    prices = executor.rows("SELECT content FROM price_files ORDER BY imported_at DESC LIMIT 1")
    if prices and prices[0][0]:
        texts[PRICES_FILE] = str(prices[0][0])
    for provider, report in store.ask(_Reconciled(f"{month.start:%Y-%m-%d}")).rows:
        texts[f"reconciliation-{provider}.json"] = report
    texts[QUERIES_FILE] = _queries()
    return dict(sorted(texts.items()))


def _rules(texts: Mapping[str, str]) -> dict[str, str]:
    """Without the queries: another version of this program is no reason for a revision."""
    return {name: text for name, text in texts.items() if name != QUERIES_FILE}


def _is_rates(name: str) -> bool:
    return name.startswith(f"{RATES_FILE}.")


def _queries() -> str:
    """The texts that the number was computed by: views of the store, and the questions of the pack."""
    folder = files("promptspan_server.store") / "migrations"
    parts = [f"-- {name}\n{(folder / name).read_text(encoding='utf-8')}" for name in _DEFINITIONS]
    month = TimeRange(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 2, 1, tzinfo=timezone.utc))
    for title, query in (
        ("charges", Ledger(month, GROUPING, closes=("",))),
        ("prices", RatesUsed(month, ("",))),
        ("ledger", FrozenRows(month, ("",))),
        ("totals", Totals(("",))),
    ):
        parts.append(f"-- {title}\n{query.sql().strip()};\n")
    return "\n".join(parts)


def _less(cost: Decimal, before: Decimal) -> Decimal:
    return add(cost, before.copy_negate())


def _close_row(closed: Revision) -> list[Any]:
    return [
        closed.month.date(),
        closed.number,
        closed.close_id,
        closed.closed_at,
        closed.note,
        closed.calls,
        closed.uncharged_calls,
        closed.cost_usd,
        closed.adjusted_usd,
        closed.price_book,
        closed.price_book_version,
        closed.currency,
        closed.manifest,
    ]
