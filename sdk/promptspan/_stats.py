"""The loss ledger: where every span is. Emitted = delivered + spooled + queued + dropped, at any moment."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Place = Literal["hands", "memory", "disk", "delivered"]
"""Where a taken span is: in the writer's hands, in memory, on disk, or with the backend."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of spans.

    Attributes:
        emitted: All that were handed over.
        delivered: Accepted by the backend (or the exporter).
        spooled: On disk, not yet delivered; survive the process.
        queued: In memory, not yet delivered.
        dropped: Lost, by reason.
    """

    emitted: int
    delivered: int
    spooled: int
    queued: int
    dropped: Mapping[str, int]

    @property
    def dropped_total(self) -> int:
        """All that were lost."""
        return sum(self.dropped.values())


@dataclass(frozen=True, slots=True)
class Stats(Tally):
    """A snapshot of the ledger of this process.

    Attributes:
        adopted: Spans of earlier processes, found in the spool and sent on; not in the counts above.
        last_error: Why the last request failed; ``None`` once one has succeeded.
        failing_since: When the first of the requests failed that have failed since the last success, in
            seconds since the epoch; ``None`` once one has succeeded.
        endpoint: Where spans are sent; empty with an exporter of the user's.
    """

    adopted: Tally
    last_error: str | None
    failing_since: float | None = None
    endpoint: str = ""


class Book:
    """Counts of one origin (this process, or the processes before it). Guarded by the ledger's lock."""

    __slots__ = ("dropped", "drops", "entered", "lock", "no_spans", "places")

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        self.entered = 0
        self.no_spans = 0
        self.places: dict[Place, int] = {"hands": 0, "memory": 0, "disk": 0, "delivered": 0}
        self.dropped: dict[str, int] = {}
        self.drops = 0  # the sum of these

    def enter(self, count: int, place: Place) -> None:
        """Count spans that are new to this book."""
        with self.lock:
            self.entered += count
            self.places[place] += count

    def forget(self, count: int, place: Place) -> None:
        """Take back what turned out to be no span at all."""
        with self.lock:
            self.entered -= count
            self.no_spans += count
            self.places[place] -= count

    def move(self, count: int, source: Place, target: Place) -> None:
        """Move spans from one place to another."""
        with self.lock:
            self.places[source] -= count
            self.places[target] += count

    def drop(self, count: int, source: Place, reason: str) -> None:
        """Count spans as lost."""
        if count:
            with self.lock:
                self.places[source] -= count
                self.dropped[reason] = self.dropped.get(reason, 0) + count
                self.drops += count

    def tally(self, waiting: int = 0) -> Tally:
        """A snapshot; ``waiting`` are spans that were handed over and not yet taken."""
        with self.lock:
            places = self.places
            return Tally(
                emitted=self.entered + waiting,
                delivered=places["delivered"],
                spooled=places["disk"],
                queued=places["hands"] + places["memory"] + waiting,
                dropped=dict(self.dropped),
            )


class Ledger:
    """Both books under one lock. The lock is re-entrant: ``stats()`` may run inside a signal handler."""

    __slots__ = ("_waiting", "adopted", "endpoint", "failing_since", "last_error", "lock", "own")

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Start at zero; ``waiting`` says how many spans nobody has taken yet."""
        self.lock = threading.RLock()
        self.own = Book(self.lock)
        self.adopted = Book(self.lock)
        self.last_error: str | None = None
        self.failing_since: float | None = None
        self.endpoint = ""
        self._waiting = waiting

    def stats(self) -> Stats:
        """A snapshot in which the sums agree."""
        with self.lock:
            own = self.own.tally(self._waiting())
            return Stats(
                emitted=own.emitted,
                delivered=own.delivered,
                spooled=own.spooled,
                queued=own.queued,
                dropped=own.dropped,
                adopted=self.adopted.tally(),
                last_error=self.last_error,
                failing_since=self.failing_since,
                endpoint=self.endpoint,
            )

    def trouble(self) -> str | None:
        """Which endpoint takes nothing, why, and since when, for people; ``None`` while all is well."""
        error, since = self.last_error, self.failing_since
        if error is None or since is None:
            return error
        return f"{self.endpoint}: {error}, since {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(since))}"

    def handed_over(self) -> int:
        """How many notes there were, those included that turned out to be no span."""
        with self.lock:
            return self.own.entered + self.own.no_spans + self._waiting()

    def settled(self) -> int:
        """How many of these need no more work: delivered, lost, or no span at all."""
        with self.lock:
            return self.own.places["delivered"] + self.own.drops + self.own.no_spans

    def attributes(self, sending: int = 0) -> dict[str, int]:
        """What is sent along with the data, so that the store can show losses.

        Emitted is what this process emitted; delivered and dropped are what became of it and of what earlier
        processes left to it, so that the numbers of all processes of a service add up.

        Args:
            sending: How many spans of this process the numbers travel with: who reads them has got these.
        """
        with self.lock:
            own, adopted = self.own, self.adopted
            facts = {
                "promptspan.sdk.emitted": own.entered + self._waiting(),
                "promptspan.sdk.delivered": own.places["delivered"] + adopted.places["delivered"] + sending,
            }
            dropped = {
                reason: own.dropped.get(reason, 0) + adopted.dropped.get(reason, 0)
                for reason in {**own.dropped, **adopted.dropped}
            }
            if dropped:
                facts["promptspan.sdk.dropped"] = sum(dropped.values())
                facts.update({f"promptspan.sdk.dropped.{reason}": n for reason, n in dropped.items()})
            return facts
