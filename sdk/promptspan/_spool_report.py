"""What waits in spools, looked at from outside: for ``promptspan doctor`` and for people."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._segment import Segment
from ._spool import LAST_ERROR_KEY, REFUSED_FILE, REFUSED_KEY
from ._spool_folder import is_private
from ._transport_config import default_spool_dir

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["LAST_ERROR_KEY", "REFUSED_KEY", "Waiting", "default_spool_dir", "waiting_in"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one folder of a spool holds.

    Attributes:
        folder: Where.
        spans: Not yet delivered.
        size_bytes: Of its files.
        oldest: The oldest of them as the field ``spans`` of an OTLP ``ScopeSpans``, empty if none waits.
        writers: Processes that write here now.
        orphans: Processes that ended and left spans.
        resource: Encoded attributes of an OTLP ``Resource``: who wrote, and its last ledger.
        refused: The file of spans that the receiver refuses, if there is one.
    """

    folder: Path
    spans: int
    size_bytes: int
    oldest: bytes
    writers: int
    orphans: int
    resource: bytes
    refused: Path | None


def waiting_in(root: Path) -> list[Waiting]:
    """Look into all folders of a spool; changes nothing, and leaves out what cannot be read."""
    try:
        folders = sorted(path for path in root.iterdir() if is_private(path))
    except OSError:
        return []
    return [_look_into(folder) for folder in folders]


def _look_into(folder: Path) -> Waiting:
    spans = size_bytes = 0
    oldest = resource = b""
    left: set[str] = set()
    for path in sorted(folder.glob("*.seg")):
        segment = Segment(path)
        try:
            segment.load()
            oldest = oldest or segment.peek()
        except OSError:  # it was sent meanwhile
            continue
        finally:
            segment.close()
        size_bytes += segment.end
        resource = segment.described()
        if segment.waiting > 0:
            spans += segment.waiting
            left.add(path.name.rpartition("-")[0])
    locks = {path.stem: _is_held(path) for path in folder.glob("*.lock")}
    refused = folder / REFUSED_FILE
    return Waiting(
        folder=folder,
        spans=spans,
        size_bytes=size_bytes,
        oldest=oldest,
        writers=sum(locks.values()),
        orphans=sum(not locks.get(writer, False) for writer in left),
        resource=resource,
        refused=refused if refused.exists() else None,
    )


def _is_held(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
