"""What is known of closed months: their revisions, and the texts that were frozen with each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.allocation import parse_allocation
from promptspan_server.finance.currency import parse_rates
from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.finance.allocation import Allocation
    from promptspan_server.finance.currency import ExchangeRates
    from promptspan_server.finance.ledger import Asks

ALLOCATION_FILE: Final = "allocation.yaml"
RATES_FILE: Final = "rates"
PRICES_FILE: Final = "prices.yaml"
QUERIES_FILE: Final = "queries.sql"
MAX_REVISIONS: Final = 1_000


class CloseError(ValueError):
    """A month that cannot be closed or read so. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A frozen revision of a month.

    Attributes:
        month: Its first moment, UTC.
        number: 1 for the close, 2 and more for what was adjusted later.
        close_id: What its rows and files carry.
        closed_at: UTC.
        note: Why, as whoever closed it said.
        calls: Billable calls of the month, as of this revision.
        uncharged_calls: Those of them without a known cost.
        cost_usd: Exact sum of the ledger, as of this revision.
        adjusted_usd: Difference to the revision before; `cost_usd` in the first.
        price_book: Hash of the book that was in force.
        price_book_version: Its version, for people.
        currency: Reporting currency, empty for none.
        manifest: JSON text with every file's SHA-256.
    """

    month: datetime
    number: int
    close_id: str
    closed_at: datetime
    note: str
    calls: int
    uncharged_calls: int
    cost_usd: Decimal
    adjusted_usd: Decimal
    price_book: str
    price_book_version: str
    currency: str
    manifest: str

    @property
    def name(self) -> str:
        """`2026-10`."""
        return f"{self.month:%Y-%m}"

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Size and SHA-256 of the files of the pack, by name."""
        return {file["name"]: file for file in json.loads(self.manifest)["files"]}

    @property
    def totals(self) -> dict[str, Any]:
        """The manifest's totals; amounts are text, digit for digit."""
        return json.loads(self.manifest)["totals"]


@dataclass(frozen=True, slots=True)
class Revisions(Query[Revision]):
    """Which months are closed, and how often were they revised?

    Attributes:
        month: First day of one month; None for all.
        limit: At most this many revisions.
    """

    month: date | None = None
    limit: int = MAX_REVISIONS

    def sql(self) -> str:
        """See `Query.sql`."""
        which = "" if self.month is None else "WHERE month = {month:Date}"
        return f"""
            SELECT
                toUnixTimestamp(toDateTime(month, 'UTC')) * 1000000, revision, close_id,
                toUnixTimestamp64Micro(closed_at), note, calls, uncharged_calls, cost_usd, adjusted_usd,
                price_book, price_book_version, reporting_currency, manifest
            FROM closed_months
            {which}
            ORDER BY month, revision
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of this module

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        month = {} if self.month is None else {"month": self.month.isoformat()}
        return {**month, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> Revision:
        """See `Query.row`."""
        month, number, close_id, closed_at, *rest = values
        return Revision(from_micros(month), number, close_id, from_micros(closed_at), *rest)


@dataclass(frozen=True, slots=True)
class FrozenFiles(Query[tuple[str, str]]):
    """Name and content of the texts that were frozen with a revision.

    Attributes:
        close_id: Of the revision.
        limit: At most this many.
    """

    close_id: str
    limit: int = 1_000

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            SELECT name, content FROM close_files
            WHERE close_id = {close_id:String} ORDER BY name LIMIT {limit:UInt32}
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"close_id": self.close_id, "limit": self.limit}

    def row(self, values: Sequence[Any]) -> tuple[str, str]:
        """See `Query.row`."""
        name, content = values
        return str(name), str(content)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a revision was made by, besides the ledger.

    Attributes:
        texts: Content by name of file.
        allocation: The allocation rules; without any, everything is unallocated.
        rates: The exchange rates, None for USD alone.
    """

    texts: Mapping[str, str]
    allocation: Allocation
    rates: ExchangeRates | None

    @property
    def splits_by_spend(self) -> bool:
        """Whether a rule divides costs by what others cost: then one call moves many shares."""
        return any(rule.split_by is not None for rule in self.allocation.rules)

    def same_rules(self, other: Basis) -> bool:
        """Whether the same call is booked alike by both."""
        rates = (self.rates.text if self.rates else "", other.rates.text if other.rates else "")
        return self.allocation == other.allocation and rates[0] == rates[1]


def basis(texts: Mapping[str, str]) -> Basis:
    """Read allocation rules and exchange rates among the texts of a pack.

    Raises:
        AllocationError: The rules are wrong.
        RatesError: The rates are wrong.
    """
    rates = next((name for name in sorted(texts) if name.startswith(f"{RATES_FILE}.")), None)
    return Basis(
        texts,
        parse_allocation(texts.get(ALLOCATION_FILE, ""), ALLOCATION_FILE),
        parse_rates(texts[rates], rates) if rates else None,
    )


def frozen_basis(store: Asks, revision: Revision) -> Basis:
    """Read what a revision was made by."""
    return basis(dict(store.ask(FrozenFiles(revision.close_id)).rows))


def revisions(store: Asks, month: datetime) -> tuple[Revision, ...]:
    """The revisions of a month, first to last; none if it is not closed."""
    return store.ask(Revisions(month.astimezone(timezone.utc).date())).rows


def up_to(found: Sequence[Revision], number: int | None, name: str) -> tuple[Revision, ...]:
    """The revisions from the first to one.

    Args:
        found: All of the month.
        number: The last that is wanted, None for the latest.
        name: The month, for messages.

    Raises:
        CloseError: The month is not closed, or has no such revision.
    """
    if not found:
        raise CloseError(f"{name} is not closed: promptspan close {name}")
    if number is not None and not 1 <= number <= found[-1].number:
        raise CloseError(f"{name} has no revision {number}: its latest is {found[-1].number}")
    return tuple(revision for revision in found if number is None or revision.number <= number)
