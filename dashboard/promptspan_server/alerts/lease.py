"""Of several evaluators on one store, one evaluates: a lease by slots of time.

Everybody inserts a row for the slot, with the slot as the insert's deduplication token; the first row stays,
the others vanish, and whoever reads their own name has the slot. That is a compare-and-set on one server, by
the table's deduplication window, and on a cluster, where the window is in ClickHouse Keeper and shared by all
replicas: there a loser may read no row at all until replication brings the winner's, and is no owner either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.connection import Store

SLOT_S = 30
# Whoever had the last slot goes first, so that the lease seldom changes hands.
_COURTESY_S = 10


@dataclass(frozen=True, slots=True)
class Holders:
    """The store's clock, and who has its slot.

    Attributes:
        now: UTC.
        owner: Of the slot that is now; empty if nobody has it yet.
        before: Of the slot before.
    """

    now: datetime
    owner: str
    before: str

    @property
    def slot(self) -> int:
        """The number of the slot."""
        return int(self.now.timestamp()) // SLOT_S

    @property
    def left_s(self) -> float:
        """How long the slot still lasts, in seconds."""
        return (self.slot + 1) * SLOT_S - self.now.timestamp()


@dataclass(frozen=True, slots=True)
class HoldersNow(Query[Holders]):
    """Who has the slot?"""

    def sql(self) -> str:
        """See `Query.sql`."""
        return """
            WITH now64(6, 'UTC') AS now, intDiv(toUnixTimestamp(now), {length:Int64}) AS this
            SELECT toUnixTimestamp64Micro(now), anyIf(owner, slot = this), anyIf(owner, slot = this - 1)
            FROM alert_leases
            WHERE slot IN (this, this - 1)
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"length": SLOT_S}

    def row(self, values: Sequence[Any]) -> Holders:
        """See `Query.row`."""
        now, owner, before = values
        return Holders(from_micros(int(now)), owner, before)


def take(store: Store, owner: str) -> Holders | None:
    """Try to have the slot that is now.

    Returns:
        The store's clock, if `owner` has it; None if another one has, or is to go first.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused.
    """
    holders = store.ask(HoldersNow()).rows[0]
    if not holders.owner:
        if holders.before not in ("", owner) and SLOT_S - holders.left_s < _COURTESY_S:
            return None
        store.insert(
            "alert_leases",
            [{"slot": holders.slot, "owner": owner, "taken_at": holders.now}],
            token=f"alert-slot-{holders.slot}",
        )
        again = store.ask(HoldersNow()).rows[0]
        if again.slot != holders.slot:
            return None
        holders = again
    return holders if holders.owner == owner else None
