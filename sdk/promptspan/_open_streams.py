"""Streams that nobody has read to their end yet: when the process ends, they are sent as they are then."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING

from ._process import watch_exit

if TYPE_CHECKING:
    from ._call import Call

_EXIT_FLUSH_S = 0.5

_open: weakref.WeakSet[Call] = weakref.WeakSet()


def stream_opened(call: Call) -> None:
    """Remember the call until its stream ends."""
    _hook_exit()
    _open.add(call)


def stream_ended(call: Call) -> None:
    """Forget the call."""
    _open.discard(call)


@functools.cache
def _hook_exit() -> None:
    watch_exit(_end_all)


def _end_all() -> None:
    open_now = list(_open)
    for call in open_now:
        call.abandoned()
    # The pipeline may have ended before, or start only now: it gets the time to keep them.
    for recorder in {call.recorder for call in open_now}:
        recorder.sink.flush(_EXIT_FLUSH_S)
