"""What may happen to a process: it forks, it ends. One hook each, for all pipelines."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Forkable(Protocol):
    """Has to start anew in a forked child."""

    def after_fork(self) -> None:
        """Forget threads, files and what is the parent's to send."""
        ...


_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()
_hooking = threading.Lock()
_hooked: list[bool] = []


def watch_forks(forkable: Forkable) -> None:
    """Tell an object when it finds itself in a forked child, as long as it lives."""
    _forkables.add(forkable)
    with _hooking:
        if not _hooked and hasattr(os, "register_at_fork"):
            _hooked.append(True)
            os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for forkable in list(_forkables):
        forkable.after_fork()


def watch_exit(callback: Callable[[], None]) -> None:
    """Run a callback when the process ends in an orderly way.

    Workers of ``multiprocessing`` (and so of ``ProcessPoolExecutor``) leave by ``os._exit`` and know only the
    exit handlers of their own module.
    """
    atexit.register(callback)
    process: Any = sys.modules.get("multiprocessing.process")
    util: Any = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, callback, exitpriority=100)


def forget_exit(callback: Callable[[], None]) -> None:
    """The callback has nothing left to do."""
    atexit.unregister(callback)
