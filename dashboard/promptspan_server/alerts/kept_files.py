"""Files that may change while they are used: what they say now, or said before while they are wrong."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Generic, TypeVar

from promptspan_server.alerts.documents import DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")


class KeptFiles(Generic[T]):
    """What files say.

    Attributes:
        kept: What holds.
        wrong: What is wrong with the files as they are, with file and line; empty if nothing is.

    Args:
        listed: Which files there are; raises DocumentError or OSError if that cannot be told.
        load: Reads them; raises the same.

    Raises:
        DocumentError: The files are wrong at the start, when there is nothing before to hold on to.
    """

    def __init__(self, listed: Callable[[], Sequence[Path]], load: Callable[[], T]) -> None:
        self._listed, self._load = listed, load
        self._stamp = self._stamped()
        self.kept = load()
        self.wrong = ""

    def look(self) -> bool:
        """Read the files again if one of them changed, came or went.

        Returns:
            Whether one did.
        """
        # The stamp first: what is written while the files are read is a change for the next look.
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.kept, self.wrong = self._load(), ""
        except (DocumentError, OSError) as error:
            self.wrong = str(error)
        return True

    def _stamped(self) -> str:
        """What the files hold, as a hash; times are not asked, which a copy may set back."""
        found = hashlib.sha256()
        try:
            for path in self._listed():
                for part in (str(path).encode(), path.read_bytes()):
                    found.update(hashlib.sha256(part).digest())
        except (DocumentError, OSError) as error:
            return f"unreadable: {error}"
        return found.hexdigest()
