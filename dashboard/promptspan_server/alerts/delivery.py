"""From the outbox to the destinations: each notice at least once, each destination in its own order and time.

A notice is told under an id and a deduplication key that never change, and what became of an attempt is
written down after it. So a process that dies between the two tells once more, under the same key, and none is
lost.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal, Protocol

from promptspan_server.alerts.destinations.outcome import Outcome, told
from promptspan_server.alerts.secrets import MissingSecretError
from promptspan_server.alerts.texts import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from promptspan_server.alerts.destinations.outcome import Sender
    from promptspan_server.alerts.notice import Alert, Notice

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
_IDLE_S = 0.5
_MAX_QUEUE = 10_000

_log = logging.getLogger("promptspan.alerts")

Ending = Literal["delivered", "retry", "refused", "expired"]
FINAL: frozenset[Ending] = frozenset({"delivered", "refused", "expired"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one attempt.

    Attributes:
        notice_id: Whose.
        destination: Its destination.
        attempt: From 1, counted over restarts.
        at: When it ended, UTC.
        outcome: `delivered`, `refused` and `expired` are final.
        detail: One line, without secrets.
    """

    notice_id: str
    destination: str
    attempt: int
    at: datetime
    outcome: Ending
    detail: str


class Outbox(Protocol):
    """Where notices wait and deliveries are written down. Raises what its store raises."""

    def waiting(self) -> Sequence[tuple[Notice, int]]:
        """Return the notices without a final outcome and their attempts so far, oldest first."""
        ...

    def firing(self, destination: str) -> Sequence[Alert]:
        """Return the alerts that fire, by what the destination was to be told last."""
        ...

    def record(self, deliveries: Sequence[Delivery]) -> None:
        """Write down attempts. Writing one twice does no harm."""
        ...


@dataclass(frozen=True, slots=True)
class Lane:
    """One destination, as delivery sees it.

    Attributes:
        sender: Tells it.
        per_minute: At most so many attempts a minute.
        give_up_after: A notice older than this is not tried again.
        resend: For a receiver that forgets what it does not hear of: tells it all that fires.
        resend_s: How often.
    """

    sender: Sender
    per_minute: int = 60
    give_up_after: timedelta = timedelta(hours=72)
    resend: Callable[[Sequence[Alert]], Outcome] | None = None
    resend_s: float = 60.0


def backoff_s(attempt: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after failed attempt `attempt` (from 1): doubling to five minutes, and spread."""
    whole = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt - 1, 20))
    return whole * (0.5 + jitter() / 2)


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    attempts: int


@dataclass(slots=True)
class _Queue:
    """The notices of one destination in order, and what is known of each."""

    entries: deque[_Waiting] = field(default_factory=deque["_Waiting"])
    known: set[str] = field(default_factory=set[str])


class Deliverer:
    """Delivers until it is stopped: a thread for each destination, so that none waits for another."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        outbox: Outbox,
        *,
        poll_s: float = 2.0,
        may_deliver: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        backoff: Callable[[int], float] = backoff_s,
    ) -> None:
        """Prepare to deliver; `start` begins.

        Args:
            lanes: The destinations by name.
            outbox: Where notices wait.
            poll_s: How often the outbox is looked into, unless `wake` is called.
            may_deliver: Whether this process is the one to deliver (its lease).
            now: The time, UTC; waiting goes by a clock that does not jump.
            backoff: Seconds to wait after a failed attempt.
        """
        self._lanes = dict(lanes)
        self._outbox = outbox
        self._poll_s = poll_s
        self._may_deliver = may_deliver
        self._now = now
        self._backoff = backoff
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._queues = {name: _Queue() for name in self._lanes}
        self._unwritten: list[Delivery] = []
        self._unknown: set[str] = set()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._arrived = {name: threading.Event() for name in self._lanes}
        self._threads = [
            threading.Thread(target=self._work, args=(name,), name=f"deliver-{name}", daemon=True)
            for name in self._lanes
        ]
        self._reader = threading.Thread(target=self._read, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._reader.start()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look into the outbox now."""
        self._wake.set()

    def stop(self, within_s: float = 5.0) -> None:
        """End after the attempts under way, or leave them: what is not written down is told again."""
        self._stopping.set()
        self._wake.set()
        for event in self._arrived.values():
            event.set()
        deadline = time.monotonic() + within_s
        for thread in (*self._threads, self._reader):
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._write_down()

    def backlog(self) -> dict[str, int]:
        """How many notices wait, by destination."""
        with self._lock:
            return {name: len(queue.entries) for name, queue in self._queues.items()}

    def _read(self) -> None:
        while not self._stopping.is_set():
            self._write_down()
            if self._may_deliver():
                self._take()
            else:
                self._let_go()
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def _take(self) -> None:
        try:
            found = self._outbox.waiting()
        except Exception as error:  # noqa: BLE001 - a store that is down is no reason to stop
            _log.warning("the outbox cannot be read: %s", told(str(error)))
            return
        with self._lock:
            # An attempt whose end could not be written down yet still waits in the store.
            ended = {each.notice_id for each in self._unwritten if each.outcome in FINAL}
            for notice, attempts in found:
                queue = self._queues.get(notice.destination)
                if queue is None:
                    self._say_unknown(notice.destination)
                elif notice.id not in queue.known and notice.id not in ended:
                    if len(queue.entries) >= _MAX_QUEUE:
                        break
                    queue.known.add(notice.id)
                    queue.entries.append(_Waiting(notice, attempts))
                    self._arrived[notice.destination].set()

    def _let_go(self) -> None:
        # Another process delivers now; what is still to do is in the store when our turn comes again.
        with self._lock:
            for queue in self._queues.values():
                queue.entries.clear()
                queue.known.clear()

    def _say_unknown(self, name: str) -> None:
        if name not in self._unknown:
            self._unknown.add(name)
            _log.error("a notice is for %s, which is no destination: configure it, it waits", told(name))

    def _write_down(self) -> None:
        with self._writing:
            self._write_all()

    def _write_all(self) -> None:
        with self._lock:
            writing = list(self._unwritten)
        if not writing:
            return
        try:
            self._outbox.record(writing)
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("deliveries cannot be written down yet: %s", told(str(error)))
            return
        with self._lock:
            del self._unwritten[: len(writing)]
            for each in writing:
                # Now the store knows; what it says it still waits for really does.
                if each.outcome in FINAL and each.destination in self._queues:
                    self._queues[each.destination].known.discard(each.notice_id)

    def _work(self, name: str) -> None:
        lane, queue, arrived = self._lanes[name], self._queues[name], self._arrived[name]
        gap_s = 60.0 / lane.per_minute
        failed = 0
        resend_at = time.monotonic() + lane.resend_s
        while not self._stopping.is_set():
            if lane.resend is not None and time.monotonic() >= resend_at:
                self._resend(name, lane.resend)
                resend_at = time.monotonic() + lane.resend_s
            with self._lock:
                head = queue.entries[0] if queue.entries else None
            if head is None or not self._may_deliver():
                arrived.wait(_IDLE_S)
                arrived.clear()
                continue
            outcome = self._attempt(name, lane, head)
            failed = failed + 1 if outcome.kind == "retry" else 0
            wait_s = gap_s
            if failed:
                wait_s = max(gap_s, outcome.after_s or 0.0, self._backoff(failed))
            if lane.resend is not None:
                # A long wait must not let what fires run out over there.
                wait_s = min(wait_s, lane.resend_s / 2)
            self._stopping.wait(wait_s)

    def _resend(self, name: str, resend: Callable[[Sequence[Alert]], Outcome]) -> None:
        if not self._may_deliver():
            return
        try:
            alerts = self._outbox.firing(name)
            outcome = resend(alerts) if alerts else None
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("%s could not be told again what fires: %s", name, type(error).__name__)
            return
        if outcome is not None and outcome.kind != "delivered":
            _log.warning("%s could not be told again what fires: %s", name, outcome.detail)

    def _attempt(self, name: str, lane: Lane, head: _Waiting) -> Outcome:
        notice = head.notice
        head.attempts += 1
        outcome = attempted(lane.sender, notice)
        ending: Ending = outcome.kind
        if ending == "retry" and self._now() - notice.created_at > lane.give_up_after:
            ending = "expired"
        if ending in {"refused", "expired"}:
            _log.error("%s: notice %s is %s: %s", name, notice.id, ending, outcome.detail)
        elif ending == "retry":
            _log.warning("%s: attempt %d failed: %s", name, head.attempts, outcome.detail)
        delivery = Delivery(notice.id, name, head.attempts, self._now(), ending, outcome.detail)
        with self._lock:
            self._unwritten.append(delivery)
            entries = self._queues[name].entries
            if ending in FINAL and entries and entries[0] is head:
                entries.popleft()
        self._wake.set()
        return outcome if ending != "expired" else Outcome("refused", outcome.detail)


def attempted(sender: Sender, notice: Notice) -> Outcome:
    """Make one attempt, whatever it may raise."""
    try:
        return sender.send(notice)
    except MissingSecretError as error:
        return Outcome("retry", str(error))
    except TemplateError as error:
        return Outcome("refused", told(str(error)))
    except Exception as error:  # noqa: BLE001 - one destination must not end the others
        # Its words may hold what it was sending with: the place says enough.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        _log.error("a sender failed: %s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
        return Outcome("retry", f"a fault of ours: {type(error).__name__}")
