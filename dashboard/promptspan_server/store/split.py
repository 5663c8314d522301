"""Cut a file of SQL into statements, knowing strings, quoted names and comments."""

from __future__ import annotations

import re

# Whatever may hold a semicolon that ends nothing. A quote inside quotes is doubled or escaped by a backslash.
_PIECE = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
    | (?P<end> ; )
    | (?P<code> [^-/'"`;]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def split_statements(text: str) -> list[str]:
    """Split at the semicolons that end statements.

    Comments before and between statements are dropped, comments inside a statement stay.

    Args:
        text: Any number of statements; the last needs no semicolon.

    Returns:
        The statements without their semicolon, trimmed, empty ones left out.
    """
    statements: list[str] = []
    pieces: list[str] = []
    for found in _PIECE.finditer(text):
        kind = found.lastgroup
        if kind == "end":
            _keep(pieces, statements)
            pieces = []
        elif kind != "comment" or "".join(pieces).strip():
            pieces.append(found[0])
    _keep(pieces, statements)
    return statements


def _keep(pieces: list[str], statements: list[str]) -> None:
    statement = "".join(pieces).strip()
    if statement:
        statements.append(statement)
