"""The one guard between our own mistakes and the host application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_log = logging.getLogger("promptspan")
_log.addHandler(logging.NullHandler())

# Our own tests set this, so that no mistake hides behind the guard.
reraise = False
_MOST_FRAMES = 20


class Guard:
    """Swallows an ``Exception`` of our own code: counted each time, logged once a place.

    Never around the user's call. ``CancelledError``, ``KeyboardInterrupt`` and ``GeneratorExit`` are no
    ``Exception`` and pass through. Instances are made once, at import: entering one costs next to nothing.
    """

    __slots__ = ("failures", "place")

    def __init__(self, place: str) -> None:
        self.place = place
        self.failures = 0
        GUARDS.append(self)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return isinstance(exc, Exception) and self.caught(exc)

    def caught(self, exc: Exception) -> bool:
        """Count and log a mistake of ours; for ``except`` clauses where even ``with`` would be felt.

        Returns:
            Whether the application goes on; false in our own tests, where the mistake is to be raised again.
        """
        self.failures += 1
        if self.failures == 1:
            _log.error(
                "promptspan failed at %r; the application goes on without this record: %s",
                self.place,
                without_words(exc),
            )
        return not reraise


def without_words(exc: BaseException) -> str:
    """The class of an exception and where it came from, for logs: its own words may quote a prompt."""
    import traceback  # late: for our mistakes only

    frames = traceback.extract_tb(exc.__traceback__)[-_MOST_FRAMES:]
    where = "".join(f"\n  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return f"{type(exc).__module__}.{type(exc).__qualname__}{where}"


GUARDS: list[Guard] = []


def failures() -> dict[str, int]:
    """How often each guarded place failed since the start, without the places that never did."""
    return {guard.place: guard.failures for guard in GUARDS if guard.failures}
