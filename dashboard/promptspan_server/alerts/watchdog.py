"""The dead man's switch: while all is well, an address outside hears from us; when it does not, it tells.

This machine cannot report its own death. A service outside can (healthchecks.io, Dead Man's Snitch, another
Alertmanager's heartbeat), so it is told only while the evaluator sees its data and notices get out.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from promptspan_server.alerts.secrets import MissingSecretError

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.alerts.destinations.posting import Poster

_log = logging.getLogger("promptspan.alerts")


class Watchdog:
    """A thread that says that we live.

    Args:
        url: Reads the address.
        poster: How it is reached.
        healthy: Whether there is nothing to hide: the newest evaluation is fresh and was not blind.
        every_s: How often, in seconds.
    """

    def __init__(
        self, url: Callable[[], str], poster: Poster, healthy: Callable[[], bool], every_s: float = 60.0
    ) -> None:
        self._url = url
        self._poster = poster
        self._healthy = healthy
        self._every_s = every_s
        self._silent = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_s: float = 2.0) -> None:
        """End. The address outside is not told: a stop that nobody meant looks the same."""
        self._stopping.set()
        self._thread.join(within_s)

    def ping(self) -> bool:
        """Say that we live, if we do.

        Returns:
            Whether it was said and heard.
        """
        if not self._healthy():
            self._say("not sent: the evaluator is blind or late")
            return False
        try:
            outcome = self._poster.post(self._url(), b"", {"content-type": "text/plain"})
        except MissingSecretError as error:
            self._say(str(error))
            return False
        if outcome.kind != "delivered":
            self._say(outcome.detail)
            return False
        self._silent = False
        return True

    def _say(self, detail: str) -> None:
        if not self._silent:
            _log.warning("the watchdog outside hears nothing: %s", detail)
        self._silent = True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.ping()
            self._stopping.wait(self._every_s)
