from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# What a terminal obeys instead of showing: C0 (not tab, newline), DEL, C1, the bidirectional overrides.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PREFIX_WIDTH = 9


def printable(text: str) -> str:
    r"""Replace control characters by their `\x1b` form: data must not be able to drive the terminal."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def _quiet(_step: str) -> None:
    """Nobody looks."""


class Voice:
    """What a running command tells the user besides its result: progress and its parts' lines, on stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)

    def say(self, part: str, text: str) -> None:
        """Print a line, prefixed by the part it comes from ("" for the command itself)."""
        line = Text()
        if part:
            line.append(f"{part:<{_PREFIX_WIDTH}} | ", style="dim")
        self._console.print(line.append(printable(text)))

    @contextmanager
    def steps(self, text: str) -> Generator[Callable[[str], None]]:
        """Show on a terminal how far long work has come; the caller says it. Elsewhere nothing is printed."""
        if self._console.is_terminal:
            with self._console.status(printable(text)) as status:

                def show(step: str) -> None:
                    status.update(printable(f"{text}: {step}"))

                yield show
        else:
            yield _quiet

    @contextmanager
    def progress(self, text: str) -> Generator[None]:
        """Show that something is under way: a spinner on a terminal, one line elsewhere."""
        if self._console.is_terminal:
            with self._console.status(printable(text)):
                yield
        else:
            self.say("", text)
            yield
