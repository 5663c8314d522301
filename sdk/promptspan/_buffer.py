"""Where spans wait to be sent: the batch that a sender takes, and the store in memory."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._stats import Book, Place

T = TypeVar("T")

_log = logging.getLogger("promptspan")


@dataclass(slots=True)
class Batch(Generic[T]):
    """The oldest spans of one store; they stay there until they are settled, from the front on.

    Attributes:
        items: What is to be sent.
        resource: Encoded resource attributes of the process that emitted them, for a request with so many.
        place: Where they wait.
        book: Who counts them.
        forget: Take the first ``n`` out of the store.
    """

    items: list[T]
    resource: Callable[[int], bytes]
    place: Place
    book: Book
    forget: Callable[[int], None]

    def delivered(self, count: int, rejected: int = 0, reason: str = "") -> None:
        """The first ``count`` were answered for; of these, ``rejected`` were not taken."""
        self.forget(count)
        with self.book.lock:
            self.book.move(count - rejected, self.place, "delivered")
            self.book.drop(rejected, self.place, reason)
        del self.items[:count]

    def dropped(self, count: int, reason: str) -> None:
        """The first ``count`` are lost."""
        self.delivered(count, count, reason)


class Store(Protocol):
    """What the writer fills and the sender empties."""

    durable: bool
    """Whether spans survive the process."""
    rescan_s: float | None
    """How often to look for spans that came from elsewhere, in seconds; ``None``: they do not."""

    def append(self, items: list[Any], sizes: list[int]) -> None:
        """Keep spans; from now on they are counted here and no longer in the writer's hands."""
        ...

    def batch(self, max_items: int, max_bytes: int) -> Batch[Any] | None:
        """The oldest spans, at least one, or ``None``."""
        ...

    def set_aside(self, item: Any, reason: str) -> None:
        """Deal with a span that the receiver refuses."""
        ...

    def tell_trouble(self) -> None:
        """Leave word for others of why spans wait; called after each failure."""
        ...

    def close(self) -> None:
        """The end; nobody sends any more."""
        ...

    def abandon(self) -> None:
        """In a forked child: let go of the parent's files."""
        ...

    def __len__(self) -> int:
        """How many of our own spans wait."""
        ...


class Way(Protocol):
    """Where batches go."""

    @property
    def max_bytes(self) -> int:
        """Size of a batch that is known to be taken."""
        ...

    @property
    def failures(self) -> int:
        """How many attempts have failed since one succeeded."""
        ...

    def deliver(self, batch: Batch[Any]) -> None:
        """Settle the spans of a batch, as far as possible before the sender has to stop."""
        ...

    def close(self) -> None:
        """The end."""
        ...

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connection."""
        ...


class MemoryStore(Generic[T]):
    """A bounded queue; over its bound the oldest spans go, and are counted. Any thread may use it."""

    durable = False
    rescan_s: float | None = None

    def __init__(self, max_bytes: int, book: Book, resource: Callable[[int], bytes]) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._book = book
        self._resource = resource
        self._lock = threading.RLock()
        self._taken = 0  # in the sender's hands: these are not dropped

    def __len__(self) -> int:
        return len(self._items)

    def append(self, items: list[T], sizes: list[int]) -> None:
        """Keep spans, dropping the oldest if they do not fit."""
        with self._lock:
            self._items.extend(zip(items, sizes, strict=True))
            self._bytes += sum(sizes)
            self._book.move(len(items), "hands", "memory")
            lost = 0
            while self._bytes > self._max_bytes and len(self._items) > self._taken:
                _, size = self._items[self._taken]
                del self._items[self._taken]
                self._bytes -= size
                lost += 1
            self._book.drop(lost, "memory", "memory_full")

    def batch(self, max_items: int, max_bytes: int) -> Batch[T] | None:
        """The oldest spans of at most these many bytes together, at least one."""
        with self._lock:
            items: list[T] = []
            total = 0
            for item, size in self._items:
                total += size
                if items and (total > max_bytes or len(items) >= max_items):
                    break
                items.append(item)
            self._taken = len(items)
        return Batch(items, self._resource, "memory", self._book, self._forget) if items else None

    def _forget(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._bytes -= self._items.popleft()[1]
            self._taken = max(0, self._taken - count)

    def set_aside(self, item: T, reason: str) -> None:
        """Say that a span is refused; there is nowhere to keep it."""
        del item
        _log.warning("promptspan: the receiver refuses one span (%s); it is lost", reason)

    def abandon(self) -> None:
        """Nothing to let go of."""

    def drain(self) -> list[T]:
        """Take all of it out, uncounted: for a store that takes over."""
        with self._lock:
            items = [item for item, _ in self._items]
            self._items.clear()
            self._bytes = self._taken = 0
        return items

    def tell_trouble(self) -> None:
        """Nobody else looks into memory; ``stats()`` has it."""

    def close(self) -> None:
        """The end: what is left is lost, and counted."""
        self._book.drop(len(self.drain()), "memory", "exit")
