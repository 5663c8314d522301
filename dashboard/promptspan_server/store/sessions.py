"""Sessions of the ClickHouse interface: a handle of the engine that lives from request to request."""

from __future__ import annotations

import contextlib
import time
from threading import Lock
from typing import TYPE_CHECKING

from promptspan_server.store.errors import StoreError
from promptspan_server.store.sql_lexer import tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from promptspan_server.store.engine import Engine, Handle

DEFAULT_TIMEOUT_S = 60
MAX_TIMEOUT_S = 3600
_MAX_SESSIONS = 512


class Session:
    """One session. What a request sets lasts for that request; what `SET` sets lasts."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.busy = True
        self.expires = 0.0
        self._applied: dict[str, str] = {}
        self._before: dict[str, str | None] = {}

    def apply(self, settings: Mapping[str, str]) -> None:
        """Give the handle the settings of the next request and take back those of the last.

        Raises:
            StoreError: An unknown setting or a bad value.
        """
        gone = [name for name in self._applied if name not in settings]
        new = {name: value for name, value in settings.items() if self._applied.get(name) != value}
        unseen = [name for name in new if name not in self._applied]
        if unseen:
            self._before.update(self._current(unseen))
        for name in gone:
            before = self._before.pop(name, None)
            self._applied.pop(name)
            if before is None:
                self.handle.query(f"SET {name} = DEFAULT")
            else:
                self.handle.set({name: before})
        if new:
            self.handle.set(new)
            self._applied.update(new)

    def forget(self, sql: str) -> None:
        """A `SET` ran: what it named is the session's own from now on."""
        found = list(tokens(sql))
        if found and found[0].is_word("SET"):
            for token in found:
                self._applied.pop(token.text, None)
                self._before.pop(token.text, None)

    def _current(self, names: list[str]) -> dict[str, str | None]:
        found = self.handle.query(
            "SELECT name, value FROM system.settings WHERE changed AND has({names:Array(String)}, name)",
            "TSVRaw",
            {"names": "[" + ",".join(repr(name) for name in names) + "]"},
        )
        rows = (line.partition("\t") for line in found.data.decode().splitlines())
        return dict.fromkeys(names) | {name: value for name, _, value in rows}


class Sessions:
    """All sessions of a store process, by user and id."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = Lock()
        self._sessions: dict[tuple[str, str], Session] = {}

    def take(self, user: str, session_id: str, *, must_exist: bool = False) -> Session:
        """The session, made if it is new, for one request alone.

        Raises:
            StoreError: 373 SESSION_IS_LOCKED if another request is using it; 372 SESSION_NOT_FOUND if it
                must exist and does not; 202 if there are too many.
        """
        with self._lock:
            stale = self._expired()
        for session in stale:
            session.handle.close()
        with self._lock:
            return self._take((user, session_id), must_exist=must_exist)

    def give_back(self, session: Session, timeout_s: float) -> None:
        """The request has ended; the session lives for `timeout_s` more."""
        with self._lock:
            session.expires = self._clock() + timeout_s
            session.busy = False

    def close(self) -> None:
        """End all sessions that no request is using."""
        with self._lock:
            idle = [key for key, session in self._sessions.items() if not session.busy]
            sessions = [self._sessions.pop(key) for key in idle]
        for session in sessions:
            with contextlib.suppress(RuntimeError):
                session.handle.close()

    def _take(self, key: tuple[str, str], *, must_exist: bool) -> Session:
        found = self._sessions.get(key)
        if found is None:
            if must_exist:
                raise StoreError(372, "SESSION_NOT_FOUND", f"Session {key[1]} not found")
            if len(self._sessions) >= _MAX_SESSIONS:
                raise StoreError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many sessions are open")
            found = self._sessions[key] = Session(self._engine.handle())
            return found
        if found.busy:
            raise StoreError(373, "SESSION_IS_LOCKED", f"Session {key[1]} is locked by a concurrent client")
        found.busy = True
        return found

    def _expired(self) -> list[Session]:
        now = self._clock()
        stale = [
            key for key, session in self._sessions.items() if not session.busy and session.expires <= now
        ]
        return [self._sessions.pop(key) for key in stale]
