"""The data directory: who owns it, and the engine's configuration inside it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from promptspan_server.store.errors import StoreError, StoreLocked

_CONFIG = """<clickhouse>
  <!-- Written by promptspan at each start. Small caches: the store shares a machine with its users. -->
  <mark_cache_size>67108864</mark_cache_size>
  <primary_index_cache_size>67108864</primary_index_cache_size>
  <index_mark_cache_size>33554432</index_mark_cache_size>
  <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <vector_similarity_index_cache_size>0</vector_similarity_index_cache_size>
  <query_condition_cache_size>16777216</query_condition_cache_size>
</clickhouse>
"""
# An insert is acknowledged when the disk has it. Without, when the kernel has it: that survives the end of
# the process by any signal, not the end of the power.
_FSYNC = (
    "<merge_tree><fsync_after_insert>1</fsync_after_insert>"
    "<fsync_part_directory>1</fsync_part_directory></merge_tree>"
)


class DataDirectory:
    """A locked data directory: `engine/` (the engine's files), `engine.xml`, `store.pid` (lock and owner)."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd

    @classmethod
    def lock(cls, data_dir: str | Path, *, fsync: bool = False) -> DataDirectory:
        """Make the directory if it is absent and lock it for this process.

        Raises:
            StoreLocked: Another process owns it.
            StoreError: It cannot be made or written, or its name holds a character the engine cannot take.
        """
        path = Path(data_dir).expanduser().absolute()
        if "?" in str(path):
            raise StoreError(36, "BAD_ARGUMENTS", f"The data directory {path} has a '?' in its name.")
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock_fd = os.open(path / "store.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                76, "CANNOT_OPEN_FILE", f"Cannot use the data directory {path}: {reason}."
            ) from None
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(lock_fd, 32).decode(errors="replace").strip()
            os.close(lock_fd)
            who = f"process {owner}" if owner else "another process"
            raise StoreLocked(f"The data directory {path} is in use by {who}.") from None
        try:
            os.ftruncate(lock_fd, 0)
            os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
            config = _CONFIG.replace("</clickhouse>", f"{_FSYNC}</clickhouse>") if fsync else _CONFIG
            (path / "engine.xml").write_text(config, encoding="utf-8")
        except OSError as error:
            os.close(lock_fd)
            reason = error.strerror or str(error)
            raise StoreError(76, "CANNOT_OPEN_FILE", f"Cannot write to {path}: {reason}.") from None
        return cls(path, lock_fd)

    @property
    def address(self) -> str:
        """What the engine's `connect` takes."""
        return f"{self.path / 'engine'}?config-file={self.path / 'engine.xml'}"

    @property
    def has_database(self) -> bool:
        """Whether an earlier start made the database `default`."""
        return (self.path / "engine" / "metadata" / "default.sql").exists()

    def unlock(self) -> None:
        """Let others have the directory. Idempotent."""
        if self._lock_fd >= 0:
            # Emptied, not removed: a file that is locked and then unlinked could be locked twice.
            os.ftruncate(self._lock_fd, 0)
            os.close(self._lock_fd)
            self._lock_fd = -1
