"""Keeps what a reconciliation came to, for the pack of the month and for the page."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from promptspan_server.finance.ledger import dollars, nanos
from promptspan_server.finance.reconcile import sums, unexplained
from promptspan_server.finance.table_files import number_text
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from promptspan_server.finance.reconcile import Compared
    from promptspan_server.store.executor import Executor


@dataclass(frozen=True, slots=True)
class Invoice:
    """What whoever reconciled said of the invoice.

    Attributes:
        number: Empty if unsaid.
        usd: Its total, None if unsaid.
    """

    number: str = ""
    usd: Decimal | None = None


def report(
    provider: str,
    month: str,
    rows: Sequence[Compared],
    invoice: Invoice,
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Write a reconciliation as JSON values; amounts are text, digit for digit.

    Args:
        provider: Whose bill.
        month: `YYYY-MM`.
        rows: What was compared.
        invoice: Of the month.
        files: The exports, content by name.
    """
    billed = dollars(sum(nanos(row.billed_usd) for row in rows))
    booked = dollars(sum(nanos(row.ledger_usd) for row in rows))
    return {
        "provider": provider,
        "month": month,
        "invoice": {
            "number": invoice.number or None,
            "usd": None if invoice.usd is None else number_text(invoice.usd),
            "less_export_usd": None
            if invoice.usd is None
            else number_text(dollars(nanos(invoice.usd) - nanos(billed))),
        },
        "billed_usd": number_text(billed),
        "ledger_usd": number_text(booked),
        "difference_usd": number_text(dollars(nanos(billed) - nanos(booked))),
        "parts": {name: number_text(amount) for name, amount in sums(rows).items()},
        "unexplained_usd": number_text(_open(rows, invoice, billed)),
        "files": {
            name: hashlib.sha256(content.encode()).hexdigest() for name, content in sorted(files.items())
        },
        "rows": [
            {
                "day": row.day.isoformat(),
                "model": row.model,
                "key": row.key,
                "requests": row.requests,
                "calls": row.calls,
                "billed_usd": number_text(row.billed_usd),
                "ledger_usd": number_text(row.ledger_usd),
                "parts": {name: number_text(part) for name, part in row.parts.items()},
            }
            for row in rows
        ],
    }


def _open(rows: Sequence[Compared], invoice: Invoice, billed: Decimal) -> Decimal:
    """What nothing explains: in the rows, and between the export and the invoice."""
    beyond = 0 if invoice.usd is None else abs(nanos(invoice.usd) - nanos(billed))
    return dollars(nanos(unexplained(rows)) + beyond)


def keep(executor: Executor, made: Mapping[str, Any]) -> None:
    """Put a report into the store; it replaces the one of the same provider and month."""
    executor.insert(
        "reconciliations",
        (
            "month",
            "provider",
            "reconciled_at",
            "invoice",
            "billed_usd",
            "ledger_usd",
            "unexplained_usd",
            "report",
        ),
        [
            [
                f"{made['month']}-01",
                made["provider"],
                datetime.now(timezone.utc),
                made["invoice"]["number"] or "",
                Decimal(made["billed_usd"]),
                Decimal(made["ledger_usd"]),
                Decimal(made["unexplained_usd"]),
                json.dumps(made, indent=2, ensure_ascii=False) + "\n",
            ]
        ],
    )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A bill that was put beside the ledger.

    Attributes:
        provider: Whose.
        at: When, UTC.
        report: What `report` made of it.
    """

    provider: str
    at: datetime
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reconciliations(Query[Reconciled]):
    """Which bills of a month were put beside the ledger, the latest of each provider?

    Attributes:
        month: Its first day.
        limit: At most this many.
    """

    month: date
    limit: int = 100

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT provider, toUnixTimestamp64Micro(reconciled_at), report
            FROM reconciliations FINAL
            WHERE month = {month:Date} ORDER BY provider LIMIT {limit:UInt32}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"month": self.month.isoformat(), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> Reconciled:
        """See `Query.row`."""
        provider, at, text = values
        return Reconciled(str(provider), from_micros(at), json.loads(text))
