"""One append-only file of spooled records, each with a checksum, and a mark of what has been acknowledged.

    file   = MAGIC (8) | acknowledged offset (8) | its CRC32 (4) | padding (4) | record ...
    record = MARK (4) | payload length (4) | CRC32 (4) | sequence number (4) | kind (1) | payload

The sequence number counts spans, so a gap says how many a damaged stretch has cost. There is no fsync:
the page cache outlives the process, and only a crash of the whole machine can cost what was not written back.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC = b"PSSPOOL1"
MARK = b"\xf5PS\x01"  # 0xf5 never occurs in UTF-8, so text cannot look like the start of a record
MAX_PAYLOAD_BYTES = 2 * 1024 * 1024

KIND_RESOURCE = 1
KIND_LEDGER = 2
KIND_SPAN = 3

_ACK_AT = len(MAGIC)
_FIRST_AT = 24
_ack = struct.Struct(">QI")
_head = struct.Struct(">4sIIIB")
_sealed = struct.Struct(">IIB")  # the part of the head that the checksum covers
_WINDOW_BYTES = 64 * 1024
_SAFE_OPEN = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class Record:
    """A sound record.

    Attributes:
        kind: One of the ``KIND_`` numbers.
        sequence: Of a span, its own number; of other kinds, that of the next span.
        payload: What was written.
        start: Offset of the record in the file.
        end: Offset behind it.
    """

    kind: int
    sequence: int
    payload: bytes
    start: int
    end: int


def record(kind: int, sequence: int, payload: bytes) -> bytes:
    """The bytes of one record."""
    size = len(payload)
    return _head.pack(MARK, size, _checksum(size, sequence, kind, payload), sequence, kind) + payload


def _checksum(size: int, sequence: int, kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_sealed.pack(size, sequence, kind)))


def _record_at(data: bytes, at: int, base: int) -> Record | None:
    """The sound record at this place, if there is one; ``base`` is the data's own offset in the file."""
    if at + _head.size > len(data):
        return None
    mark, size, checksum, sequence, kind = _head.unpack_from(data, at)
    start = at + _head.size
    end = start + size
    if mark != MARK or end > len(data):
        return None
    payload = data[start:end]
    if _checksum(size, sequence, kind, payload) != checksum:
        return None
    return Record(kind, sequence, payload, base + at, base + end)


def _goes_on(data: bytes, at: int) -> bool:
    """Whether what starts here may be a record that ends behind the data."""
    if at + _head.size > len(data):
        return MARK.startswith(data[at : at + len(MARK)])
    mark, size = _head.unpack_from(data, at)[:2]
    return mark == MARK and size <= MAX_PAYLOAD_BYTES and at + _head.size + size > len(data)


def _sound_records(data: bytes, base: int, *, whole: bool) -> Iterator[Record]:
    """All sound records; after damage, from the next one that is sound.

    Args:
        data: A part of the file, from the start of a record on.
        base: Its offset in the file.
        whole: Whether the file ends with the data. Otherwise a record that may go on behind it ends the walk.
    """
    at = 0
    while 0 <= at < len(data):
        found = _record_at(data, at, base)
        if found is not None:
            yield found
            at = found.end - base
        elif not whole and _goes_on(data, at):
            return
        else:
            at = data.find(MARK, at + 1)


class Segment:
    """A spool file. Opened when needed; reading, writing and closing may happen on different threads."""

    def __init__(self, path: Path) -> None:
        """Name the file; see ``create`` and ``load``."""
        self.path = path
        self.end = _FIRST_AT
        self.acked = _FIRST_AT
        self.waiting = 0  # spans that are written and not acknowledged
        self.written = 0  # sequence number of the next span
        self.read_sequence = 0  # sequence number of the first span that is not acknowledged
        self.resource = b""
        self.ledger = b""
        self.lock = threading.RLock()
        self._fd = -1

    def create(self, resource: bytes) -> None:
        """Make the file.

        Raises:
            OSError: It cannot be made or written.
        """
        with self.lock:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE_OPEN
            self._fd = os.open(self.path, flags, 0o600)
            head = MAGIC + _ack.pack(0, 0)
            self.end = 0
            self._write(head.ljust(_FIRST_AT, b"\0") + record(KIND_RESOURCE, 0, resource))
            self.resource = resource

    def append(self, spans: list[bytes], ledger: bytes = b"") -> None:
        """Write spans, all or none.

        Raises:
            OSError: Disk full, read-only, broken.
        """
        with self.lock:
            sequence = self.written
            parts = [record(KIND_SPAN, sequence + i, span) for i, span in enumerate(spans)]
            if ledger:
                parts.append(record(KIND_LEDGER, sequence + len(spans), ledger))
            self._write(b"".join(parts))
            self.written += len(spans)
            self.waiting += len(spans)

    def _write(self, data: bytes) -> None:
        fd = self._open()
        view = memoryview(data)
        at = self.end
        try:
            while view:
                count = os.pwrite(fd, view, at)
                at += count
                view = view[count:]
        except OSError:
            # What was written in part must not be found later: these spans go another way.
            os.ftruncate(fd, self.end)
            raise
        self.end = at

    def load(self) -> int:
        """Read the state of a file that another process has left; returns how many spans of it are damaged.

        Raises:
            OSError: It cannot be read.
        """
        with self.lock:
            fd = self._open()
            self.end = os.fstat(fd).st_size
            head = os.pread(fd, _FIRST_AT, 0).ljust(_FIRST_AT, b"\0")
            acked, checksum = _ack.unpack_from(head, _ACK_AT)
            if checksum == zlib.crc32(head[_ACK_AT : _ACK_AT + 8]) and _FIRST_AT <= acked <= self.end:
                self.acked = acked
            first = -1
            expected = 0 if self.acked == _FIRST_AT else -1
            sound, seen_to = 0, _FIRST_AT
            # The facts may stand before the acknowledged part, so all of the file is walked through.
            for found in _sound_records(os.pread(fd, self.end, _FIRST_AT), _FIRST_AT, whole=True):
                seen_to = found.end
                if found.kind == KIND_RESOURCE:
                    self.resource = found.payload
                elif found.kind == KIND_LEDGER:
                    self.ledger = found.payload
                if found.start < self.acked:
                    expected = found.sequence + (found.kind == KIND_SPAN)
                    continue
                if first < 0:
                    first = expected if expected >= 0 else found.sequence
                expected = found.sequence + (found.kind == KIND_SPAN)
                sound += found.kind == KIND_SPAN
            torn = int(
                seen_to < self.end and self.acked < self.end
            )  # it died while it wrote, or the end is damaged
            self.written = max(expected, 0) + torn
            self.read_sequence = first if first >= 0 else max(expected, 0)
            self.waiting = self.written - self.read_sequence
            return self.waiting - sound

    def read(self, max_spans: int, max_bytes: int) -> tuple[list[bytes], list[int], int]:
        """The oldest unacknowledged spans, the offset behind each, and how many damaged came before.

        The damaged ones are acknowledged by this, so they are told once. At least one span if one is sound.

        Raises:
            OSError: The file cannot be read.
        """
        with self.lock:
            window = max_bytes + _WINDOW_BYTES
            while True:
                stop = min(self.end, self.acked + window)
                spans, ends, lost = self._read_to(stop, max_spans, max_bytes)
                if spans or stop == self.end:
                    break
                window *= 2
            if not spans and self.waiting > 0:
                lost += self.waiting
                self.acknowledge(self.end, self.waiting)
            return spans, ends, lost

    def _read_to(self, stop: int, max_spans: int, max_bytes: int) -> tuple[list[bytes], list[int], int]:
        spans: list[bytes] = []
        ends: list[int] = []
        lost = 0
        start = self.acked
        data = os.pread(self._open(), stop - start, start)
        for found in _sound_records(data, start, whole=stop == self.end):
            if found.kind != KIND_SPAN:
                continue
            gap = found.sequence - self.read_sequence - len(spans)
            if gap > 0:
                if spans:
                    break
                lost += gap
                self.acknowledge(found.start, gap)
            if spans and found.end - start > max_bytes:
                break
            spans.append(found.payload)
            ends.append(found.end)
            if len(spans) >= max_spans:
                break
        return spans, ends, lost

    def peek(self) -> bytes:
        """The oldest unacknowledged span, empty if there is none; changes nothing.

        Raises:
            OSError: The file cannot be read.
        """
        with self.lock:
            data = os.pread(self._open(), _WINDOW_BYTES + MAX_PAYLOAD_BYTES, self.acked)
            spans = (r for r in _sound_records(data, self.acked, whole=True) if r.kind == KIND_SPAN)
            return next((found.payload for found in spans), b"")

    def described(self, _: int = 0) -> bytes:
        """Resource attributes of the process that wrote it, with the last ledger that it left."""
        return self.resource + self.ledger

    def acknowledge(self, offset: int, count: int) -> None:
        """Remember that everything before ``offset`` is settled; ``count`` spans of it were waiting."""
        with self.lock:
            self.acked = offset
            self.waiting -= count
            self.read_sequence += count
            place = struct.pack(">Q", offset)
            try:
                os.pwrite(self._open(), place + struct.pack(">I", zlib.crc32(place)), _ACK_AT)
            except OSError:
                return  # sent again by whoever reads it next; the store counts a span once

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | _SAFE_OPEN)
        return self._fd

    def close(self) -> None:
        """Close the file; it opens again when needed."""
        with self.lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def abandon(self) -> None:
        """Close without the lock: in a forked child, where the lock may be held by a thread that is gone."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def put_aside(self) -> None:
        """Rename the file, so that nobody tries to read it again."""
        self.close()
        try:
            self.path.rename(self.path.with_suffix(".unreadable"))
        except OSError:
            return  # the next one who finds it will say so again

    def remove(self) -> None:
        """Delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)
