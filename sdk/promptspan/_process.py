"""What may happen to a process: it forks, it ends. One hook each, for all pipelines."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_LONGEST_WAIT_S = 1.0

_log = logging.getLogger("promptspan")


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
            os.register_at_fork(
                before=_quiet.before, after_in_parent=_quiet.in_parent, after_in_child=_after_fork
            )


class _Quiet:
    """Lets a fork wait for what a background thread is in the middle of.

    Above all for its first imports: a module that is half imported at the fork can never be imported in the
    child, whose thread would wait for ever for one that is gone.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._held_by: set[int] = set()

    def before(self) -> None:
        if self.lock.acquire(timeout=_LONGEST_WAIT_S):
            self._held_by.add(threading.get_ident())

    def in_parent(self) -> None:
        if threading.get_ident() in self._held_by:
            self._held_by.discard(threading.get_ident())
            self.lock.release()

    def in_child(self) -> None:
        self.lock = threading.RLock()
        self._held_by.clear()


_quiet = _Quiet()


def not_while_forking() -> AbstractContextManager[bool]:
    """Hold this while at work in the background: a fork waits so long, for a second at most."""
    return _quiet.lock


def _after_fork() -> None:
    _quiet.in_child()
    for forkable in list(_forkables):
        forkable.after_fork()


class _Exit:
    """The end of the process: first what is still open is closed, then the pipelines send."""

    def __init__(self) -> None:
        self.closing: list[Callable[[], None]] = []
        self.sending: list[Callable[[], None]] = []
        self.watched_by = 0  # id of the process whose end is watched

    def watch(self) -> None:
        """Hook in, once a process.

        Workers of ``multiprocessing`` (and so of ``ProcessPoolExecutor``) leave by ``os._exit`` and know only
        the exit handlers of their own module, and those not across a fork.
        """
        if self.watched_by == os.getpid():
            return
        if not self.watched_by:
            atexit.register(self.run)
        self.watched_by = os.getpid()
        process: Any = sys.modules.get("multiprocessing.process")
        util: Any = sys.modules.get("multiprocessing.util")
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, self.run, exitpriority=100)

    def run(self) -> None:
        """Call all, whatever one of them does."""
        for step in (self.closing, self.sending):
            for callback in list(step):
                try:
                    callback()
                except Exception:  # noqa: BLE001, PERF203  # the others have their turn all the same
                    _log.exception("promptspan: the end of the process")


_exit = _Exit()


def close_at_exit(callback: Callable[[], None]) -> None:
    """Run a callback when the process ends in an orderly way, before anything is sent for the last time."""
    if callback not in _exit.closing:
        _exit.closing.append(callback)
    _exit.watch()


def send_at_exit(callback: Callable[[], None]) -> None:
    """Run a callback when the process ends in an orderly way, after what was open is closed."""
    if callback not in _exit.sending:
        _exit.sending.append(callback)
    _exit.watch()


def forget_exit(callback: Callable[[], None]) -> None:
    """The callback has nothing left to do."""
    if callback in _exit.sending:
        _exit.sending.remove(callback)
