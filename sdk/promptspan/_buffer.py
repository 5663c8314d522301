"""Where spans wait to be sent: the batch that a sender takes, and the store in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ._stats import Book, Place

T = TypeVar("T")


@dataclass(slots=True)
class Batch(Generic[T]):
    """The oldest spans of one store; they stay there until they are settled, from the front on.

    Attributes:
        items: What is to be sent.
        resource: Encoded resource attributes of the process that emitted them.
        place: Where they wait.
        book: Who counts them.
        forget: Take the first ``n`` out of the store.
    """

    items: list[T]
    resource: Callable[[], bytes]
    place: Place
    book: Book
    forget: Callable[[int], None]

    def delivered(self, count: int, rejected: int = 0, reason: str = "") -> None:
        """The first ``count`` were answered for; of these, ``rejected`` were not taken."""
        with self.book.lock:
            self.book.move(count - rejected, self.place, "delivered")
            self.book.drop(rejected, self.place, reason)
            self.forget(count)
        del self.items[:count]

    def dropped(self, count: int, reason: str) -> None:
        """The first ``count`` are lost."""
        self.delivered(count, count, reason)


class Store(Protocol[T]):
    """What the writer fills and the sender empties."""

    def append(self, items: list[T], sizes: list[int]) -> None:
        """Keep spans; from now on they are counted here and no longer in the writer's hands."""
        ...

    def batch(self, max_items: int, max_bytes: int) -> Batch[T] | None:
        """The oldest spans, at least one, or ``None``."""
        ...

    def __len__(self) -> int:
        """How many of our own spans wait."""
        ...


class MemoryStore(Generic[T]):
    """A bounded queue; over its bound the oldest spans go, and are counted. Any thread may use it."""

    def __init__(self, max_bytes: int, book: Book, resource: Callable[[], bytes]) -> None:
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

    def put_back(self) -> None:
        """The sender gives up its batch for now; any of it may be dropped again."""
        with self._lock:
            self._taken = 0
