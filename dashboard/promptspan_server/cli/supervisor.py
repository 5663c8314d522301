from __future__ import annotations

import http.client
import json
import re
import signal
import time
import urllib.request
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.part import Child, Exited, Line, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, TracebackType

    from typing_extensions import Self

_POLL_S = 0.1
_KEPT_LINES = 20
_KILLED_S = 2.0
_OWN_NAME = re.compile(r"^promptspan(?: \w+)?: ")
# Loopback is asked directly, whatever proxy the environment names.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class StopRequested(Exception):  # noqa: N818  the user's wish, not an error
    """A signal asked for the end while a part was starting."""


@dataclass(frozen=True)
class _Signalled:
    number: int


class Supervisor:
    """Starts parts one after the other, watches them, and ends them all when one ends or a signal comes.

    Use as a context manager on the main thread: SIGINT, SIGTERM and SIGHUP are ours inside, and no part is
    left running outside. The first signal ends the parts, each within its `stop_s`, the first of them last; a
    second one kills what is left at once.

    Args:
        say: Takes a line for the user: the part's name, or "" for the supervisor itself, and the text.
    """

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        # Its put() may be called from a signal handler.
        self._events: SimpleQueue[Line | Exited | _Signalled] = SimpleQueue()
        self._children: list[Child] = []
        self._last_lines: dict[Child, deque[str]] = {}
        self._announcements: dict[Child, Mapping[str, Any]] = {}
        self._handlers: dict[int, Any] = {}
        self._signals = 0
        self._stopping = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before == signal.SIG_IGN:
                continue  # started under nohup: the terminal's end is not ours
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        for number, handler in self._handlers.items():
            # After a signal the program is about to end; an impatient further one means nothing else.
            signal.signal(number, signal.SIG_IGN if self._signals else handler)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by part."""
        return {child.part.name: child.pid for child in self._children}

    def start(self, part: Part) -> Mapping[str, Any]:
        """Start a part and wait until it serves.

        Returns:
            What it announced; empty if it does not announce.

        Raises:
            CommandError: It, or a part started before, ended; or it was not ready in time.
            StopRequested: A signal came first.
        """
        child = Child(part, self._events.put)
        self._children.append(child)
        self._last_lines[child] = deque(maxlen=_KEPT_LINES)
        deadline = time.monotonic() + part.start_s
        while not self._serves(child):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the {part.name} was not ready within {part.start_s:.0f} s{self._last_words(child)}", 1
                )
            self._handle_one(_POLL_S)
        child.ready = True
        for line in self._last_lines[child]:
            self._say(part.name, line)
        self._last_lines[child].clear()
        return self._announcements.get(child, {})

    def watch(self) -> None:
        """Return when a signal asks for the end.

        Raises:
            CommandError: A part ended by itself; exit code 1.
        """
        try:
            while True:
                self._handle_one(None)
        except StopRequested:
            return

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._events.put(_Signalled(number))

    def _handle_one(self, timeout_s: float | None) -> None:
        try:
            event = self._events.get(timeout=timeout_s)
        except Empty:
            return
        if isinstance(event, Line):
            self._take_line(event)
        elif isinstance(event, _Signalled):
            self._signals += 1
            if self._signals == 1:
                raise StopRequested
        elif not self._stopping:
            raise self._ended(event.child)

    def _take_line(self, line: Line) -> None:
        child = line.child
        if not line.is_error:
            announcement = _announcement(line.text) if child.part.announces and not child.ready else None
            if announcement is not None:
                self._announcements[child] = announcement
                return
            if not child.part.speaks:
                return
        if child.ready or child.part.speaks:
            self._say(child.part.name, line.text)
        # Until it is ready its lines wait: if it cannot start, the reason alone is the clearest message.
        self._last_lines[child].append(line.text)

    def _serves(self, child: Child) -> bool:
        if child.part.announces and child not in self._announcements:
            return False
        return child.part.health_url is None or _answers(child.part.health_url)

    def _ended(self, child: Child) -> CommandError:
        name, code = child.part.name, child.exit_code
        if code == 2 and not child.ready and self._last_lines[child]:
            # It could not start and says why in one line, as we do.
            return CommandError(_OWN_NAME.sub("", self._last_lines[child][-1]))
        if not child.ready and not child.part.speaks:
            for line in self._last_lines[child]:
                self._say(name, line)
        how = (
            f"was killed by {_signal_name(-code)}"
            if code is not None and code < 0
            else f"ended with exit code {code}"
        )
        return CommandError(f"the {name} {how}{self._last_words(child)}", 1)

    def _last_words(self, child: Child) -> str:
        return f": {self._last_lines[child][-1]}" if self._last_lines[child] else ""

    def _stop(self) -> None:
        self._stopping = True
        # The first part is what the others stand on: it ends when they have.
        self._end(self._children[1:])
        self._end(self._children[:1])

    def _end(self, children: Sequence[Child]) -> None:
        began = time.monotonic()
        for child in children:
            child.signal(signal.SIGTERM)
        for child in children:
            if self._wait_for(child, began + child.part.stop_s):
                continue
            if self._signals < 2:
                self._say("", f"the {child.part.name} did not stop within {child.part.stop_s:.0f} s: killed")
            child.signal(signal.SIGKILL)
            self._wait_for(child, time.monotonic() + _KILLED_S, patient=True)

    def _wait_for(self, child: Child, deadline: float, *, patient: bool = False) -> bool:
        while child.exit_code is None and time.monotonic() < deadline and (patient or self._signals < 2):
            with suppress(StopRequested):  # the first signal may come while we stop for another reason
                self._handle_one(_POLL_S)
        return child.exit_code is not None


def _announcement(text: str) -> Mapping[str, Any] | None:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    members = cast("dict[str, Any]", value)
    return members if members.get("event") == "ready" else None


def _answers(url: str) -> bool:
    try:
        with _open(url, timeout=1.0) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
