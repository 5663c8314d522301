"""A nameless file for one insert: the engine reads it by a path, and it is gone when closed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


@contextlib.contextmanager
def spooled(chunks: Iterable[bytes]) -> Generator[str]:
    """Write the chunks into memory (on Linux; elsewhere into a temporary file) and yield a path to them.

    The path holds for this process only and only inside the block.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("promptspan-insert")
        try:
            _fill(descriptor, chunks)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile("wb", buffering=0) as file:
            _fill(file.fileno(), chunks)
            yield file.name


def _fill(descriptor: int, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
