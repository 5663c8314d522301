"""One reading of a text for all that must not leave it and all that is worth a flag.

RE2 finds the beginnings of all rules in one pass, in time linear in the text whatever the text; each is then
confirmed over a bounded distance. ``google-re2`` loads with the first text, on the pipeline's thread.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from ._guard import Guard
from ._rules import RULES, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_SEARCHED = 100_000
_SHORTEST = 6  # a@b.cc
_LONG = 64  # shorter ones (names, ids, words) come again and again, and are remembered
_BETWEEN = b"\n\xff\n"  # of texts read together: no byte of UTF-8, and no rule's beginning reaches over it
_NOTHING = (-1, -1)
_SCAN = Guard("redaction")

# A fork may happen while another thread is inside RE2, with a lock that nobody gives back in the child.
_generation = 0


def _forked() -> None:
    global _generation  # noqa: PLW0603
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a text may leave as, and what it had in it.

    Attributes:
        text: The text with secrets and personal data replaced by ``[their kind]``.
        flags: Safety flags of what was found.
    """

    text: str
    flags: frozenset[str] = frozenset()


class Scanner:
    """The rules, compiled.

    Args:
        patterns: The user's own, by name, in RE2's syntax; what they match is replaced by ``[name]`` and
            raises a flag of that name.

    Raises:
        ValueError: A pattern is not RE2's; the message names it.
    """

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        import re2 as untyped  # late: 20 ms, and only where something is recorded

        re2: Any = untyped
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        self._generation = _generation
        gate = "|".join(f"({rule.gate})" for rule in RULES)
        # Made here and not by ``re2.compile``, whose cache would outlive a fork; asked without the wrapper
        # around it, which makes an object of each match.
        self._gate: Any = re2._Regexp(gate.encode("ascii"), options)._regexp  # noqa: SLF001
        self._anchor: Any = re2._Anchor.UNANCHORED  # noqa: SLF001
        self._own = [(name, _own_pattern(re2, name, pattern)) for name, pattern in (patterns or {}).items()]
        self._short = lru_cache(2_048)(self._scan)

    @property
    def outdated(self) -> bool:
        """Whether it was made before this process was forked off."""
        return self._generation != _generation

    def scan(self, text: str) -> Seen:
        """Read a text; what is beyond 100,000 characters is cut off, unread text never leaves."""
        if len(text) < _SHORTEST and not self._own:
            return Seen(text)
        with _SCAN:
            if len(text) < _LONG:
                return self._short(text)
            if len(text) > MOST_SEARCHED:
                text = f"{text[:MOST_SEARCHED]}… [cut]"
            return self._scan(text)
        return Seen("[withheld: it could not be read]")

    def clean_among(self, texts: list[str]) -> frozenset[str]:
        """Those of the longer texts in which no rule has anything to look at, found in one reading."""
        if self._own:
            return frozenset()
        room = MOST_SEARCHED
        read = [
            text for text in dict.fromkeys(texts) if len(text) >= _LONG and (room := room - len(text)) >= 0
        ]
        data = _BETWEEN.join([text.encode("utf-8", "surrogatepass") for text in read])
        match, anchor, size = self._gate.Match, self._anchor, len(data)
        suspect: set[int] = set()
        at = index = 0  # where the text of that index begins
        while at < size and (found := match(anchor, data, at, size)[0][0]) >= 0:
            index += data.count(_BETWEEN, at, found)
            suspect.add(index)
            index += 1
            if (end := data.find(_BETWEEN, found)) < 0:
                break
            at = end + len(_BETWEEN)
        return frozenset([text for place, text in enumerate(read) if place not in suspect])

    def without_secrets(self, text: str) -> str:
        """A developer's own text, whose addresses are meant to be read, as it may leave."""
        data = text.encode("utf-8", "surrogatepass")
        hits = [
            (start, end, kind)
            for start, end, kind, rule in self._findings(data)
            if rule.flag == a.FLAG_SECRET
        ]
        return _replaced(data, hits) if hits else text

    def _scan(self, text: str) -> Seen:
        data = text.encode("utf-8", "surrogatepass")
        flags: set[str] = set()
        hits: list[tuple[int, int, str]] = []
        for start, end, kind, rule in self._findings(data):
            flags.add(rule.flag)
            if rule.redact:
                hits.append((start, end, kind))
        if self._own:
            for name, pattern in self._own:
                for match in pattern.finditer(data):
                    if match.end() > match.start():
                        flags.add(name)
                        hits.append((match.start(), match.end(), name))
            hits.sort()
        if not flags:
            return Seen(text)
        return Seen(_replaced(data, hits) if hits else text, frozenset(flags))

    def _findings(self, data: bytes) -> Iterator[tuple[int, int, str, Rule]]:
        match, anchor, size = self._gate.Match, self._anchor, len(data)
        at = 0
        while at < size:
            spans = match(anchor, data, at, size)
            start, end = spans[0]
            if start < 0:
                return
            for index, rule in enumerate(RULES, 1):
                if spans[index] != _NOTHING:
                    for first, last, kind in rule.look(data, start, end):
                        yield first, last, kind, rule
                        end = max(end, last)
                    break
            at = end


def _own_pattern(re2: Any, name: str, pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2._Regexp(pattern.encode(), options)  # noqa: SLF001
    except re2.error as error:
        said = error.args[0]
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise ValueError(f"redact_patterns[{name!r}] is no pattern of RE2: {said}") from None


def _replaced(data: bytes, hits: list[tuple[int, int, str]]) -> str:
    pieces: list[bytes] = []
    at = 0
    for start, end, kind in hits:
        if end <= at:
            continue
        pieces += (data[at : max(at, start)], b"[", kind.encode("utf-8"), b"]")
        at = end
    pieces.append(data[at:])
    return b"".join(pieces).decode("utf-8", "surrogatepass")


def pseudonym(text: str) -> str:
    """A short name for a text that must not leave and has to stay apart from others."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
