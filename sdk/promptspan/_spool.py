"""The disk spool: finished spans are written here before the network sees them, and sent from here.

    {root}/{service}-{hash of the endpoint}/      0700, shared by all that send the same to the same
        {writer}.lock            held by the process that writes; a lock that is free is an orphan's
        {writer}-{number}.seg    the oldest number first
        refused.otlp             spans that the receiver refuses, as delimited OTLP requests

When the disk does not take spans they wait in memory instead, and the disk is tried again some seconds later.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ._buffer import Batch, MemoryStore
from ._encode import encode_request, encode_resource
from ._segment import Segment
from ._spool_folder import WriterLock, is_private, make_private
from ._value import varint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ._stats import Book, Ledger

RESCAN_S = 10.0
LAST_ERROR_KEY = "promptspan.sdk.last_error"
REFUSED_KEY = "promptspan.sdk.refused"
REFUSED_FILE = "refused.otlp"

_SEGMENT_BYTES = 4_000_000
_DISK_RETRY_S = 5.0
_LEDGER_EVERY_S = 1.0
_QUARANTINE_BYTES = 4_000_000
_SAFE_OPEN = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)

_log = logging.getLogger("promptspan")


class Spool:
    """Spans of this process on disk, and those that dead processes have left.

    ``append`` belongs to the writer's thread, ``batch`` and what it returns to the sender's.
    """

    durable = True
    rescan_s: float | None = RESCAN_S

    def __init__(
        self,
        folder: Callable[[], Path],
        max_bytes: int,
        ledger: Ledger,
        resource: bytes,
        memory: MemoryStore[bytes],
    ) -> None:
        """Prepare; nothing is opened before the first span.

        Args:
            folder: Says where; see ``_spool_folder``.
            max_bytes: Size of all segments at which the oldest are dropped.
            ledger: Counts what is where.
            resource: Encoded resource attributes of this process.
            memory: Takes spans that the disk does not.
        """
        self._find_folder = folder
        self._found: Path | None = None
        self._max_bytes = max_bytes
        self._segment_bytes = max(4_096, min(_SEGMENT_BYTES, max_bytes // 8))
        self._ledger = ledger
        self._resource = resource
        self._memory = memory
        self._guard = (
            threading.RLock()
        )  # the lists below; held for writes, not for reads and not for the network
        self._lock: WriterLock | None = None
        self._segments: deque[Segment] = deque()
        self._active: Segment | None = None
        self._number = 0
        self._disk_after = 0.0
        self._told = False
        self._ledger_at = 0.0
        self._ledger_drops = 0
        self._error_told: str | None = None
        self._orphan_lock: WriterLock | None = None
        self._orphan_paths: deque[Path] = deque()
        self._orphans: deque[Segment] = deque()
        self._orphans_turn = False
        self._scan_after = 0.0
        self._pinned: Segment | None = None  # in the sender's hands: never dropped

    @property
    def _folder(self) -> Path:
        # No cached_property: until Python 3.12 it has a lock, which a fork may leave locked in the child.
        if self._found is None:
            self._found = self._find_folder()
        return self._found

    def __len__(self) -> int:
        places = self._ledger.own.places
        return places["disk"] + places["memory"]

    # The writer's side

    def append(self, items: list[bytes], sizes: list[int]) -> None:
        """Write spans to disk, or keep them in memory if that is not possible."""
        done = 0
        if time.monotonic() >= self._disk_after:
            try:
                while done < len(items):
                    with self._guard:
                        done += self._write(items, done)
                self._told = False
            except OSError as error:
                self._disk_after = time.monotonic() + _DISK_RETRY_S
                self._rotate()
                if not self._told:
                    self._told = True
                    _log.warning(
                        "promptspan: spans are kept in memory, as %s cannot be used: %s", self._folder, error
                    )
        if done < len(items):
            self._memory.append(items[done:], sizes[done:])

    def _write(self, items: list[bytes], first: int) -> int:
        """Write what the current segment has room for, all or none; returns how many spans that were."""
        segment = self._writable()
        room = self._segment_bytes - segment.end
        upto, size = first, 0
        while upto < len(items) and (upto == first or size + len(items[upto]) <= room):
            size += len(items[upto])
            upto += 1
        segment.append(items[first:upto], self._ledger_record())
        self._ledger.own.move(upto - first, "hands", "disk")
        return upto - first

    def _ledger_record(self) -> bytes:
        """From time to time the ledger goes to disk too, so that losses are known after a sudden end."""
        now = time.monotonic()
        drops = self._ledger.own.drops
        if now < self._ledger_at and drops == self._ledger_drops:
            return b""
        self._ledger_at = now + _LEDGER_EVERY_S
        self._ledger_drops = drops
        return self._described_ledger()

    def _described_ledger(self) -> bytes:
        facts: dict[str, Any] = dict(self._ledger.attributes())
        self._error_told = self._ledger.last_error
        if trouble := self._ledger.trouble():
            facts[LAST_ERROR_KEY] = trouble
        return encode_resource(facts)

    def _writable(self) -> Segment:
        if self._active is not None and self._active.end < self._segment_bytes:
            return self._active
        self._rotate()
        if self._lock is not None and not self._lock.path.exists():
            # Somebody has cleared the folder: what is written from now on needs a lock that others see.
            self._lock.release(remove=False)
            self._lock = None
        if self._lock is None:
            self._lock = self._new_lock()
        self._keep_to_size()
        self._number += 1
        segment = Segment(self._folder / f"{self._lock.writer}-{self._number:06d}.seg")
        try:
            segment.create(self._resource)
        except OSError:
            segment.remove()
            raise
        self._segments.append(segment)
        self._active = segment
        return segment

    def _rotate(self) -> None:
        """Write no more to the newest segment; files are open only while they are written or read."""
        with self._guard:
            if self._active is not None:
                self._active.close()
                self._active = None

    def _new_lock(self) -> WriterLock:
        make_private(self._folder)
        while True:
            name = f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}"
            lock = WriterLock(self._folder / f"{name}.lock")
            if lock.take(create=True):
                return lock

    def _keep_to_size(self) -> None:
        """Drop the oldest segments until a new one fits: first what dead processes left, then our own."""
        total = sum(entry.stat().st_size for entry in os.scandir(self._folder) if entry.name.endswith(".seg"))
        limit = self._max_bytes - self._segment_bytes
        while total > limit:
            segment, book = self._oldest()
            if segment is None:
                return
            total -= segment.end
            book.drop(segment.waiting, "disk", "spool_full")
            segment.remove()

    def _oldest(self) -> tuple[Segment | None, Book]:
        """Take the oldest segment that is not being sent out of the lists."""
        while all(segment is self._pinned for segment in self._orphans) and self._next_orphan():
            continue
        for segments, book in ((self._orphans, self._ledger.adopted), (self._segments, self._ledger.own)):
            for segment in segments:
                if segment is not self._pinned:
                    segments.remove(segment)
                    return segment, book
        return None, self._ledger.own

    # The sender's side

    def batch(self, max_items: int, max_bytes: int) -> Batch[bytes] | None:
        """The oldest spans of this process, in turn with those that dead processes left."""
        self._orphans_turn = not self._orphans_turn
        sources = [self._own_batch, self._memory.batch]
        sources.insert(0 if self._orphans_turn else 2, self._orphan_batch)
        for source in sources:
            found = source(max_items, max_bytes)
            if found is not None:
                return found
        return None

    def _own_batch(self, max_items: int, max_bytes: int) -> Batch[bytes] | None:
        while (head := self._pin(self._segments)) is not None:
            found = self._read(head, self._ledger.own, self._live_resource, max_items, max_bytes)
            if found is not None:
                return found
        return None

    def _pin(self, segments: deque[Segment]) -> Segment | None:
        """The first segment with anything to send; those before it are done with."""
        with self._guard:
            self._pinned = None
            while segments and not segments[0].waiting and segments[0] is not self._active:
                segments.popleft().remove()
            if segments and segments[0].waiting:
                self._pinned = segments[0]
            return self._pinned

    def _live_resource(self, sending: int) -> bytes:
        return self._resource + encode_resource(self._ledger.attributes(sending))

    def _orphan_batch(self, max_items: int, max_bytes: int) -> Batch[bytes] | None:
        while (head := self._pin(self._orphans)) is not None or self._next_orphan():
            if head is None:
                continue
            found = self._read(head, self._ledger.adopted, head.described, max_items, max_bytes)
            if found is not None:
                return found
        return None

    def _read(
        self, segment: Segment, book: Book, resource: Callable[[int], bytes], max_items: int, max_bytes: int
    ) -> Batch[bytes] | None:
        try:
            spans, ends, lost = segment.read(max_items, max_bytes)
        except OSError as error:
            _log.warning(
                "promptspan: %s cannot be read, %d spans are lost: %s", segment.path, segment.waiting, error
            )
            book.drop(segment.waiting, "disk", "unreadable")
            segment.waiting = 0
            return None
        book.drop(lost, "disk", "damaged")
        if not spans:
            return None

        def forget(count: int) -> None:
            segment.acknowledge(ends[count - 1], count)
            del ends[:count]

        return Batch(spans, resource, "disk", book, forget)

    def _next_orphan(self) -> bool:
        """Load one more segment of a dead process; true if there was one."""
        with self._guard:
            if not self._orphan_paths and not self._adopt():
                return False
            segment = Segment(self._orphan_paths.popleft())
            book = self._ledger.adopted
            try:
                segment.load()
                segment.close()
            except OSError as error:
                _log.warning("promptspan: %s cannot be read and is put aside: %s", segment.path, error)
                segment.put_aside()
                return True
            book.enter(segment.waiting, "disk")
            self._orphans.append(segment)
            return True

    def _adopt(self) -> bool:
        """Take over what one dead process has left; true if there is any."""
        self._let_orphan_go()
        if self._orphan_lock is not None or time.monotonic() < self._scan_after:
            return False
        self._scan_after = time.monotonic() + RESCAN_S
        if not is_private(self._folder):
            return False
        for path in sorted(self._folder.glob("*.lock")):
            lock = WriterLock(path)
            try:
                if (self._lock is not None and path == self._lock.path) or not lock.take(create=False):
                    continue
            except OSError:
                continue
            self._orphan_lock = lock
            self._orphan_paths.extend(sorted(self._folder.glob(f"{lock.writer}-*.seg")))
            if self._orphan_paths:
                self._scan_after = 0.0  # there may be more
                return True
            self._let_orphan_go()
        return False

    def _let_orphan_go(self) -> None:
        """Release the dead process's lock when nothing that was its is in our hands any more."""
        lock = self._orphan_lock
        if lock is not None and not self._orphans and not self._orphan_paths:
            self._orphan_lock = None
            lock.release(remove=not any(self._folder.glob(f"{lock.writer}-*.seg")))

    def set_aside(self, item: bytes, reason: str) -> None:
        """Keep a span that the receiver refuses, for people to look at."""
        request = encode_request(self._resource + encode_resource({REFUSED_KEY: reason}), [item])
        path = self._folder / REFUSED_FILE
        kept = False
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFE_OPEN, 0o600)
            try:
                if os.fstat(fd).st_size + len(request) <= _QUARANTINE_BYTES:
                    kept = bool(os.write(fd, varint(len(request)) + request))
            finally:
                os.close(fd)
        except OSError as error:
            _log.warning("promptspan: a refused span could not be kept: %s", error)
        done = f"set aside in {path}" if kept else f"lost, as {path} takes no more"
        _log.warning("promptspan: the receiver refuses one span (%s); it is %s", reason, done)

    def tell_trouble(self) -> None:
        """Write down why spans wait, unless that stands there: an idle process writes nothing else."""
        with self._guard:
            segment = self._active
            if (
                segment is None
                or not segment.waiting
                or segment.end >= self._segment_bytes
                or self._ledger.last_error == self._error_told
            ):
                return
            try:
                segment.append([], self._described_ledger())
            except OSError:
                return  # the disk is in trouble itself; the next span says so

    def close(self) -> None:
        """Leave what is not delivered to the next process; called when nobody sends any more."""
        with self._guard:
            self._spill()
            self._leave_ledger()
            self._active = self._pinned = None
            for segment in (*self._segments, *self._orphans):
                segment.close()
                if not segment.waiting:
                    segment.remove()
            self._orphan_paths.clear()
            self._orphans.clear()
            self._let_orphan_go()
            left = any(segment.waiting for segment in self._segments)
            self._segments.clear()
            if self._lock is not None:
                self._lock.release(remove=not left)
                self._lock = None

    def _spill(self) -> None:
        """What waits in memory gets a last chance on disk."""
        items = self._memory.drain()
        if not items:
            return
        self._disk_after = 0.0
        own = self._ledger.own
        own.move(len(items), "memory", "hands")
        self.append(items, [len(item) for item in items])
        self._memory.close()

    def _leave_ledger(self) -> None:
        last = self._segments[-1] if self._segments else None
        if last is None or not last.waiting:
            return
        try:
            last.append([], self._described_ledger())
        except OSError:
            return  # the counts of the last second are missing then, the spans are not

    def abandon(self) -> None:
        """In a forked child: close the parent's files; what they hold and who has them locked stays."""
        for segment in (*self._segments, *self._orphans):
            segment.abandon()
        for lock in (self._lock, self._orphan_lock):
            if lock is not None:
                lock.release(remove=False)
