from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST_LINE_BYTES = 65_536


@dataclass(frozen=True)
class Part:
    """A process that `promptspan up` starts and watches.

    Attributes:
        name: What messages call it.
        module: The module that runs, as in `python -m module`.
        arguments: Its command line.
        environment: Variables added to ours.
        announces: It prints a JSON object with `"event": "ready"` on stdout when it serves.
        health_url: Answers 200 when it serves; asked after the announcement, if there is one.
        speaks: Its stdout is for the user, too, not only its stderr.
        start_s: How long it may take until it is ready, in seconds.
        stop_s: How long it may take to end after SIGTERM, in seconds.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    announces: bool = False
    health_url: str | None = None
    speaks: bool = False
    start_s: float = 60.0
    stop_s: float = 4.0


@dataclass(frozen=True)
class Line:
    """A line that a part wrote."""

    child: Child
    text: str
    is_error: bool


@dataclass(frozen=True)
class Exited:
    """A part's process ended, after its last line."""

    child: Child


class Child:
    """One running part, in a session of its own.

    Ctrl-C in the terminal therefore reaches only the supervisor, which decides about the rest, and signals
    go to the whole group, so that nothing the part started stays behind.
    """

    def __init__(self, part: Part, report: Callable[[Line | Exited], None]) -> None:
        self.part = part
        self.ready = False
        self.exit_code: int | None = None
        self._report = report
        self._process = subprocess.Popen(
            # -P: the directory the user stands in is not a place to import from.
            [sys.executable, "-P", "-m", "promptspan_server.cli.tether", part.module, *part.arguments],
            stdin=subprocess.PIPE,  # never written to; its closing is what tells the part that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **part.environment},
            start_new_session=True,
        )
        threading.Thread(target=self._wait, name=f"wait-{part.name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the part and to all that it started; nothing happens if it is gone."""
        if self.exit_code is None:
            self._signal_group(number)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # Gone already; macOS answers EPERM for a group of zombies.
            return

    def _wait(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, False), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, True), daemon=True),
        ]
        for reader in readers:
            reader.start()
        code = self._process.wait()
        self._signal_group(signal.SIGKILL)
        for reader in readers:
            reader.join(timeout=2.0)
        self.exit_code = code
        self._report(Exited(self))

    def _read(self, stream: IO[bytes], is_error: bool) -> None:
        for line in iter(lambda: stream.readline(_LONGEST_LINE_BYTES), b""):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if text:
                self._report(Line(self, text, is_error))
