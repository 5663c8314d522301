"""The user's own functions on our thread's time: each on a thread of its own, within a budget.

Python cannot interrupt a function. One that takes too long is left behind where it is and rests: whatever it
does, it takes at most a small share of the pipeline's time, and holds up no other.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("promptspan")
_REST = 20  # budgets; doubled each time in a row
_LONGEST_REST_S = 60.0


class Skipped(Exception):  # noqa: N818  # what happened, not what is wrong
    """The function gave no answer for this call."""


class _Job:
    """One question and its answer."""

    __slots__ = ("done", "failure", "result", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.result: Any = None
        self.failure: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Hook:
    """A function of the user's; asked from one thread.

    Args:
        what: Names it in the log, for example ``detector 'toxic'``.
        function: Takes one argument.
        budget_s: How long an answer is waited for.

    Attributes:
        skipped: How often there was no answer in time, or no time to ask.
        failed: How often it raised.
    """

    def __init__(self, what: str, function: Callable[[Any], Any], budget_s: float) -> None:
        self._what = what
        self._function = function
        self._budget_s = budget_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: _Job | None = None
        self._rest_until = 0.0
        self._slow_in_a_row = 0
        self.skipped = 0
        self.failed = 0

    def ask(self, value: Any) -> Any:
        """The function's answer.

        Raises:
            Skipped: It raised, was too slow, or rests because it was too slow before.
        """
        if not self._ready():
            self.skipped += 1
            raise Skipped
        job = _Job(value)
        self._jobs.put(job)
        if not job.done.acquire(timeout=self._budget_s):
            self._pending = job
            self._too_slow()
            raise Skipped
        self._slow_in_a_row = 0
        if job.failure is not None:
            self._raised(job.failure)
            raise Skipped
        return job.result

    def close(self) -> None:
        """Let its thread go, once it is done with what it does."""
        if self._thread is not None:
            self._thread = None
            self._jobs.put(None)

    def _ready(self) -> bool:
        thread = self._thread
        if thread is None or not thread.is_alive():  # the first time, and in a forked child
            self._jobs = queue.SimpleQueue()
            self._pending = None
            thread = threading.Thread(
                target=_answer,
                args=(self._function, self._jobs),
                name=f"promptspan-{self._what}",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending
                return False
            self._thread = thread
        pending = self._pending
        if pending is not None:
            if not pending.done.acquire(blocking=False):
                return False
            self._pending = None
        return time.monotonic() >= self._rest_until

    def _too_slow(self) -> None:
        self.skipped += 1
        rest_s = min(self._budget_s * _REST * 2**self._slow_in_a_row, _LONGEST_REST_S)
        self._slow_in_a_row = min(self._slow_in_a_row + 1, 16)
        self._rest_until = time.monotonic() + rest_s
        if self.skipped == 1:
            _log.warning(
                "promptspan: %s took longer than %g ms and was skipped; so it is while it rests. "
                "Make it faster, or raise configure(hook_budget_s=...). Said once",
                self._what,
                self._budget_s * 1e3,
            )

    def _raised(self, failure: BaseException) -> None:
        self.failed += 1
        if self.failed == 1:
            # Without its text: that may quote the prompt.
            where = _place(failure)
            _log.warning(
                "promptspan: %s raised %s%s; it is skipped for that call. Said once",
                self._what,
                type(failure).__qualname__,
                where,
            )


def _answer(function: Callable[[Any], Any], jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        try:
            job.result = function(job.value)
        except BaseException as failure:  # noqa: BLE001  # a function of the user's
            job.failure = failure.with_traceback(failure.__traceback__)
        job.done.release()


def _place(failure: BaseException) -> str:
    trace = cast("Any", failure.__traceback__)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
