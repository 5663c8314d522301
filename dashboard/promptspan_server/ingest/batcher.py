"""Groups the bodies of all senders into inserts, and tells each sender when the engine has its own.

An insert costs about a tenth of a second of processor time however small it is, so bodies wait for
company. While an insert runs, they gather for the next one; a second insert runs beside it only for a full
group. After it, the senders that it answered are expected back: the next begins when as many bodies are
there as senders were seen, or after a quarter of the time that the last one took (20 ms at least). A trickle
waits longer: small inserts may take a fifth of the time and 10 ms a span, and what was not taken is saved up
to a second. So the first few are made at once, and a lasting trickle of a few calls a second leaves the
machine to the application: its inserts wait half a second at most. A group is inserted whole or not at all;
if it fails, its halves are tried, down to the one body that is to blame, and only that one is refused.

A body that is sent again is recognised by its hash, whatever company it comes in: while it is on its way both
senders wait for the same insert, and for a while after it is acknowledged at once. Beyond that memory (a
restart, a batch that was cut differently) the tables' own keys make a call count once (`FINAL`).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from promptspan_server.store.engine import StoreClosed, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.store.engine import Engine, Handle

Signal = Literal["traces", "logs"]

_MAX_ITEMS = 10_000
_MAX_GROUP_BYTES = 28 << 20
_WAIT_S = 0.02
_WAIT_FACTOR = 0.25
_SMALL_ITEMS = 500
# The time that small inserts may take: a share of all time and some for each span, saved up.
_SMALL_SHARE = 0.2
_SMALL_ITEM_S = 0.01
_MAX_SAVED_S = 1.0
_MAX_REST_S = 0.5
# An insert that takes this long keeps nobody else waiting.
_SLOW_S = 1.0
_MAX_QUEUED_BYTES = 128 << 20
_REMEMBERED = 20_000
# Errors that say something about the body: cannot parse, bad value, malformed Protobuf, out of range...
_BODY_CODES = frozenset({6, 26, 27, 32, 33, 34, 36, 38, 41, 43, 53, 69, 70, 72, 117, 131, 407, 432, 444, 691})


class Land(Protocol):
    """Inserts bodies: `ingest.landing.land`."""

    def __call__(self, handle: Handle, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
        """Return when the engine has them; raise `StoreError` with nothing inserted."""
        ...


class RefusedError(Exception):
    """The engine cannot read this body; sending it again will not help."""


class OverloadedError(Exception):
    """The store has no room or no time for this body now; send it again later."""


@dataclass(frozen=True, slots=True)
class _Item:
    body: bytes
    items: int
    digest: bytes
    done: Future[None]
    came_at: float


class Batcher:
    """One queue of one signal, and the threads that empty it."""

    def __init__(
        self,
        engine: Engine,
        signal: Signal,
        land: Land,
        *,
        workers: int = 2,
        wait_s: float = _WAIT_S,
        max_items: int = _MAX_ITEMS,
        max_queued_bytes: int = _MAX_QUEUED_BYTES,
    ) -> None:
        self._engine = engine
        self._signal: Signal = signal
        self._land = land
        self._wait_s = wait_s
        self._max_items = max_items
        self._max_queued_bytes = max_queued_bytes
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[_Item] = deque()
        self._waiting_items = 0
        self._waiting_bytes = 0
        self._queued_bytes = 0
        self._closing = False
        self._running = 0
        self._expected = 0
        self._ended_at = 0.0
        self._took_s = 0.0
        self._saved_s = _MAX_SAVED_S
        self._on_their_way: dict[bytes, Future[None]] = {}
        self._landed: OrderedDict[bytes, None] = OrderedDict()
        self._threads = [
            threading.Thread(target=self._work, name=f"land-{signal}-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, body: bytes, items: int) -> Future[None]:
        """Queue a body.

        Args:
            body: An uncompressed OTLP protobuf request.
            items: Spans or records in it.

        Returns:
            Done when the engine has the body. Fails with `RefusedError` or `OverloadedError`.
        """
        digest = hashlib.blake2b(body, digest_size=16).digest()
        with self._lock:
            known = self._on_their_way.get(digest)
            if known is not None:
                return known
            done: Future[None] = Future()
            # From here on no waiter that leaves can cancel what others wait for.
            done.set_running_or_notify_cancel()
            if digest in self._landed:
                done.set_result(None)
                return done
            if self._closing:
                done.set_exception(OverloadedError("The store is shutting down."))
                return done
            if self._queued_bytes + len(body) > self._max_queued_bytes:
                done.set_exception(OverloadedError("The store is behind with its inserts."))
                return done
            self._queued_bytes += len(body)
            self._on_their_way[digest] = done
            self._waiting.append(_Item(body, items, digest, done, time.monotonic()))
            self._waiting_items += items
            self._waiting_bytes += len(body)
            self._changed.notify()
        return done

    def close(self) -> None:
        """Refuse new bodies, land those that are queued, end the threads."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while group := self._next_group():
            started = time.monotonic()
            self._try(group)
            items = sum(item.items for item in group)
            with self._lock:
                now = time.monotonic()
                self._took_s = now - started
                self._saved_s += _SMALL_SHARE * (now - self._ended_at)
                if items < _SMALL_ITEMS:
                    self._saved_s += items * _SMALL_ITEM_S - self._took_s
                self._saved_s = min(_MAX_SAVED_S, max(-_SMALL_SHARE * _MAX_REST_S, self._saved_s))
                self._ended_at = now
                self._running -= 1
                self._expected = len(group) + len(self._waiting)
                self._changed.notify_all()

    def _next_group(self) -> list[_Item]:
        """Wait for the next group; empty at the end."""
        with self._lock:
            while not (self._closing and not self._waiting):
                wait_s = self._due_at() - time.monotonic() if self._waiting else None
                if wait_s is not None and wait_s <= 0:
                    break
                self._changed.wait(wait_s)
            group: list[_Item] = []
            items = size = 0
            while self._waiting and items < self._max_items and size < _MAX_GROUP_BYTES:
                item = self._waiting.popleft()
                group.append(item)
                items += item.items
                size += len(item.body)
            self._waiting_items -= items
            self._waiting_bytes -= size
            self._running += bool(group)
            return group

    def _due_at(self) -> float:
        """When what waits now should be inserted (monotonic, seconds)."""
        if self._closing or self._waiting_items >= self._max_items or self._waiting_bytes >= _MAX_GROUP_BYTES:
            return 0.0
        came_at = self._waiting[0].came_at
        if self._running:
            return came_at + _SLOW_S
        small = self._waiting_items < min(_SMALL_ITEMS, self._max_items)
        rested_at = self._ended_at - min(0.0, self._saved_s) / _SMALL_SHARE if small else 0.0
        if len(self._waiting) >= self._expected:
            return rested_at
        patience_s = max(self._wait_s, _WAIT_FACTOR * self._took_s)
        return max(rested_at, max(came_at, self._ended_at) + patience_s)

    def _try(self, group: list[_Item]) -> None:
        try:
            with self._engine.handle() as handle:
                self._land(handle, self._signal, [item.body for item in group], _token(group))
        except StoreClosed:
            self._finish(group, OverloadedError("The store is shutting down."))
        except StoreError as error:
            if len(group) > 1:
                half = len(group) // 2
                self._try(group[:half])
                self._try(group[half:])
            elif error.code in _BODY_CODES:
                self._finish(group, RefusedError(f"The body cannot be read: {error.message[:300]}"))
            else:
                self._finish(
                    group, OverloadedError(f"The store could not take the body: {error.message[:300]}")
                )
        except Exception as error:  # noqa: BLE001 - a sender must hear of it, and the thread must live on
            self._finish(group, OverloadedError(f"The store failed: {type(error).__name__}"))
        else:
            self._finish(group, None)

    def _finish(self, group: list[_Item], error: Exception | None) -> None:
        with self._lock:
            for item in group:
                self._queued_bytes -= len(item.body)
                self._on_their_way.pop(item.digest, None)
                if error is None:
                    self._landed[item.digest] = None
            while len(self._landed) > _REMEMBERED:
                self._landed.popitem(last=False)
        for item in group:
            if error is None:
                item.done.set_result(None)
            else:
                item.done.set_exception(error)


def _token(group: Sequence[_Item]) -> str:
    """Names a group by its bodies: the same bodies in the same order are the same insert."""
    return hashlib.blake2b(b"".join(item.digest for item in group), digest_size=16).hexdigest()
