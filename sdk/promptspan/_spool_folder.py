"""The spool's folder on disk: its name, who may read it, and the locks that say which process is alive."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SAFE_OPEN = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


def spool_folder(root: Path, service: str, endpoint: str) -> Path:
    """The folder of one service and one endpoint: what was meant for one receiver never goes to another."""
    import hashlib  # loads OpenSSL, so not before there is something to spool

    mark = hashlib.sha256(f"{service}\0{endpoint}".encode("utf-8", "replace")).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", service)[:40].strip(".") or "service"
    return root / f"{name}-{mark}"


class WriterLock:
    """Held as long as its process lives; whoever gets it owns the segments that carry its name."""

    def __init__(self, path: Path) -> None:
        """Name the file; see ``take``."""
        self.path = path
        self._fd = -1

    @property
    def writer(self) -> str:
        """The name that its segments begin with."""
        return self.path.stem

    def take(self, *, create: bool) -> bool:
        """Get the lock if nobody has it.

        Raises:
            OSError: Neither locked nor free: no such directory, no locks on this file system.
        """
        flags = os.O_RDWR | _SAFE_OPEN | (os.O_CREAT | os.O_EXCL if create else 0)
        try:
            fd = os.open(self.path, flags, 0o600)
        except (FileExistsError, FileNotFoundError):
            if self.path.parent.is_dir():
                return False
            raise
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Somebody may have finished with it, and removed it, between the two calls.
            if os.fstat(fd).st_nlink:
                self._fd, fd = fd, -1
                return True
        except BlockingIOError:
            return False
        finally:
            if fd >= 0:
                os.close(fd)
        return False

    def release(self, *, remove: bool) -> None:
        """Let go; ``remove`` when nothing is left that carries its name."""
        if remove:
            self.path.unlink(missing_ok=True)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def make_private(folder: Path) -> None:
    """Make a folder that only this user can read and write.

    Raises:
        OSError: It cannot be made, or belongs to somebody else.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not is_private(folder):
        raise PermissionError(f"{folder} is open to other users")


def is_private(folder: Path) -> bool:
    """What others could write would be sent with our token, so such a folder is not used."""
    try:
        facts = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077
