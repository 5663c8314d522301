"""What the store process does between requests: it keeps the ledger up with the calls."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from promptspan_server.pricing.rollup import recompute
from promptspan_server.store.engine import StoreClosed, StoreError
from promptspan_server.store.executor import HandleExecutor

if TYPE_CHECKING:
    from promptspan_server.store.engine import Engine

_EVERY_S = 5.0

_log = logging.getLogger(__name__)


class Housekeeping:
    """A thread that recomputes the hours that are due."""

    def __init__(self, engine: Engine, every_s: float = _EVERY_S) -> None:
        self._engine = engine
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_s: float = 3.0) -> None:
        """End, after the run that is under way."""
        self._stopping.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self._recompute()

    def _recompute(self) -> None:
        try:
            with self._engine.handle() as handle:
                while recompute(HandleExecutor(handle)).more and not self._stopping.is_set():
                    pass
        except StoreClosed:
            self._stopping.set()
        except StoreError as error:
            # The hours stay marked, so the next run tries them again.
            _log.warning("the ledger could not be recomputed: %s", error)
