"""Writes a month's charges: of the ledger as it is, or of a closed month as it was frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.charge_source import groups, rates_used
from promptspan_server.finance.closed import frozen_basis
from promptspan_server.finance.currency import EXACT, Conversion
from promptspan_server.finance.focus import Charges, Terms
from promptspan_server.finance.focus_columns import COLUMNS, UNCHARGED_COLUMNS
from promptspan_server.finance.ledger import COUNTS, dollars, nanos
from promptspan_server.finance.table_files import Table, writing
from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from promptspan_server.finance.closed import Basis, Revision
    from promptspan_server.finance.ledger import Asks, LedgerRow
    from promptspan_server.queries.scope import TimeRange

FOCUS_TABLE: Final = Table("FOCUS", COLUMNS)
UNCHARGED_TABLE: Final = Table("Without a cost", UNCHARGED_COLUMNS)


class InexactExport(Exception):  # noqa: N818  (reads as the sentence it makes)
    """The charges are not the ledger's sum: nothing was written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        rows: Charges.
        billed_usd: Their sum: that of the ledger, to its last digit.
        calls: Calls of the month.
        uncharged_calls: Those without a known cost.
        uncharged_file: Where they are listed; None if there are none.
        currency: Reporting currency, empty for none.
        reporting_cost: The sum in it.
        revision: Of the closed month; None if it is not closed.
        open_hours: Hours that may still change because calls are coming in.
    """

    rows: int
    billed_usd: Decimal
    calls: int
    uncharged_calls: int
    uncharged_file: Path | None
    currency: str
    reporting_cost: Decimal
    revision: int | None
    open_hours: int


@dataclass(frozen=True, slots=True)
class Ledgers(Query[tuple[str, str, int]]):
    """Hash and version of the price book in force, and how many hours of a range are still open.

    Attributes:
        range: Whole hours, UTC.
    """

    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                (SELECT argMax(book, applied_at) FROM price_books),
                (SELECT argMax(version, applied_at) FROM price_books),
                (SELECT count() FROM open_hours WHERE {self.range.where("hour")})
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.range.parameters()

    def row(self, values: Sequence[Any]) -> tuple[str, str, int]:
        """See `Query.row`."""
        book, version, open_hours = values
        return str(book), str(version), int(open_hours)


def export_open(store: Asks, month: TimeRange, path: Path, basis: Basis) -> Exported:
    """Write the charges of a month that is not closed, from the ledger as it is now.

    Raises:
        TableFileError: The file's name has another ending than .csv, .parquet or .xlsx.
        RatesError: An exchange rate is missing.
        InexactExport: The charges are not the ledger's sum.
    """
    _, version, open_hours = store.ask(Ledgers(month)).rows[0]
    part = _Part(basis, _terms(month, version, basis, None), groups(store, month, basis.allocation))
    written = _write(store, month, path, [part], ())
    return replace(written, open_hours=open_hours)


def export_closed(store: Asks, month: TimeRange, path: Path, chain: Sequence[Revision]) -> Exported:
    """Write the charges of a closed month: those of the close, then the corrections of each revision.

    Args:
        store: The store.
        month: The month.
        path: The file.
        chain: Its revisions from the first to the one that is wanted.

    Raises:
        TableFileError: As `export_open`.
        InexactExport: The charges are not what was frozen.
    """
    closes = tuple(revision.close_id for revision in chain)
    written = _write(store, month, path, list(_parts(store, month, chain)), closes)
    if (written.billed_usd, written.calls) != (chain[-1].cost_usd, chain[-1].calls):
        path.unlink(missing_ok=True)
        raise InexactExport(
            f"{chain[-1].name} was frozen with {chain[-1].cost_usd} USD, its rows say {written.billed_usd}"
        )
    return replace(written, revision=chain[-1].number)


@dataclass(frozen=True, slots=True)
class _Part:
    basis: Basis
    terms: Terms
    rows: Iterable[LedgerRow]


def _parts(store: Asks, month: TimeRange, chain: Sequence[Revision]) -> Iterator[_Part]:
    before: Basis | None = None
    for index, revision in enumerate(chain):
        basis = frozen_basis(store, revision)
        allocation = basis.allocation
        closes = tuple(one.close_id for one in chain[: index + 1])
        terms = _terms(month, revision.price_book_version, basis, revision.number)
        if before is None or (before.same_rules(basis) and not basis.splits_by_spend):
            yield _Part(basis, terms, groups(store, month, allocation, closes[-1:]))
        else:
            # Booked otherwise now: what was booked is taken back, and all of it booked anew.
            old = groups(store, month, before.allocation, closes[:-1])
            back = _terms(month, revision.price_book_version, before, revision.number)
            yield _Part(before, back, map(_negative, old))
            yield _Part(basis, terms, groups(store, month, allocation, closes))
        before = basis


def _terms(month: TimeRange, version: str, basis: Basis, revision: int | None) -> Terms:
    rates = basis.rates
    return Terms(
        month.start,
        month.end,
        version,
        rates.currency if rates else "",
        Conversion(rates) if rates else None,
        revision,
    )


def _negative(row: LedgerRow) -> LedgerRow:
    return replace(
        row,
        **{name: -getattr(row, name) for name in COUNTS},
        cost_usd=None if row.cost_usd is None else row.cost_usd.copy_negate(),
        retries_cost_usd=row.retries_cost_usd.copy_negate(),
    )


def _write(
    store: Asks, month: TimeRange, path: Path, parts: Sequence[_Part], closes: tuple[str, ...]
) -> Exported:
    rates = rates_used(store, month, closes)
    rows, calls, uncharged_calls, listed = 0, 0, 0, 0
    billed = ledger = reporting = EXACT.create_decimal(0)
    beside = path.with_name(f"{path.stem}.uncharged.csv")
    with writing(path, FOCUS_TABLE) as file, writing(beside, UNCHARGED_TABLE) as list_file:
        for part in parts:
            charges = Charges(rates, part.terms)
            for _, day in groupby(part.rows, key=lambda row: row.at):
                rows += file.write(charges.of_day(day))
                listed += list_file.write(charges.uncharged)
                charges.uncharged.clear()
            billed = EXACT.add(billed, charges.billed)
            ledger = EXACT.add(ledger, charges.ledger)
            reporting = EXACT.add(reporting, charges.reporting)
            calls += charges.calls
            uncharged_calls += charges.uncharged_calls
        if billed != ledger:
            raise InexactExport(f"the charges come to {billed} USD and the ledger to {ledger}")
    if not listed:
        beside.unlink()
    currency = parts[-1].terms.currency
    return Exported(
        rows,
        dollars(nanos(billed)),
        calls,
        uncharged_calls,
        beside if listed else None,
        currency,
        reporting,
        None,
        0,
    )
