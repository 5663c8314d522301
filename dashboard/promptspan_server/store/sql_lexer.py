"""Tokens of ClickHouse SQL: enough to find clauses and names without mistaking a string for one.

Text is bytes decoded as Latin-1, so that offsets in the text are offsets in the bytes whatever the
encoding of the strings inside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Possessive throughout: linear on any input. A string that does not end reaches to the end of the text.
_TOKEN = re.compile(
    r"""
      (?P<gap> [\s\x00\xa0]++ | --[^\n]*+ | \#[\ !][^\n]*+ | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+ )
    | (?P<string> [xXbB]?+'(?:[^'\\]++|\\.|'')*+(?:\\\Z|')?+ )
    | (?P<quoted> "(?:[^"\\]++|\\.|"")*+(?:\\\Z|")?+ | `(?:[^`\\]++|\\.|``)*+(?:\\\Z|`)?+ )
    | (?P<heredoc> \$(?P<tag>\w*+)\$(?:(?!\$(?P=tag)\$).)*+(?:\$(?P=tag)\$)?+ )
    | (?P<word> [A-Za-z_\x80-\xff][\w$\x80-\xff]*+ )
    | (?P<number> \d[\w.]*+ )
    | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPED = re.compile(r"\\(.)|(``)|(\"\")", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that means something.

    Attributes:
        kind: `string`, `quoted` (an identifier), `heredoc`, `word`, `number` or `mark` (one character).
        text: As written.
        start: Offset of its first character.
        end: Offset after its last character.
    """

    kind: str
    text: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The identifier that a word or a quoted name spells, else an empty string."""
        if self.kind == "word":
            return self.text
        if self.kind == "quoted":
            return _ESCAPED.sub(lambda found: found[1] or found[0][0], self.text[1:-1])
        return ""

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords (given in upper case), not quoted."""
        return self.kind == "word" and self.text.upper() in words


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, without comments and white space."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "mark"
        if kind == "tag":
            kind = "heredoc"
        if kind != "gap":
            yield Token(kind, found[0], found.start(), found.end())
