"""What the HTTP interface must know of a statement before the engine sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptspan_server.store.sql_lexer import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

_STREAMED = {"SELECT", "WITH", "FROM"}
# What may stand between the name of an input format and its first byte of data.
_DATA_START = re.compile(r"[ \t]*(?:;[ \t]*)?\r?\n?")


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows come as data.

    Attributes:
        sql: The statement without FORMAT, VALUES and data.
        format: Input format; None where the statement names none.
        data_start: Offset of the first byte of data in the text that was parsed.
    """

    sql: bytes
    format: str | None
    data_start: int


@dataclass(frozen=True, slots=True)
class Statement:
    """Any other statement.

    Attributes:
        format: The output format that it asks for itself.
        streams: Whether the engine can give its result block by block.
        kill: The query id of a `KILL QUERY WHERE query_id = '...'`.
    """

    format: str | None
    streams: bool
    kill: str | None


def may_be_insert(text: str) -> bool:
    """Whether a text (perhaps only the beginning of it) starts like an INSERT."""
    first = next(iter(tokens(text)), None)
    return first is None or (first.kind == "word" and "INSERT".startswith(first.text.upper()[:6]))


def parse_insert(text: str, *, complete: bool) -> Insert | None:
    """The INSERT with data at the start of a text.

    Args:
        text: A statement, or the beginning of one with its data behind it, as Latin-1.
        complete: Whether nothing follows the text.

    Returns:
        None if it is no INSERT with data (INSERT ... SELECT is none), or if more text is needed to say.
    """
    found = list(tokens(text))
    position = _after_table(found)
    if position is None:
        return None
    depth = 0
    while position < len(found):
        token = found[position]
        following = found[position + 1] if position + 1 < len(found) else None
        if token.text == "(":
            if following is not None and following.is_word("SELECT", "WITH"):
                return None
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif depth == 0 and token.is_word("SELECT", "WITH", "WATCH", "FROM"):
            return None
        elif depth == 0 and token.is_word("VALUES"):
            return _insert(text, token, "Values", token.end)
        elif depth == 0 and token.is_word("FORMAT") and following is not None and following.kind == "word":
            if following.end == len(text) and not complete:
                return None
            start = _DATA_START.match(text, following.end)
            return _insert(text, token, following.text, start.end() if start else following.end)
        position += 1
    return Insert(_bytes(text).rstrip(b" \t\r\n;"), None, len(text)) if complete else None


def split_settings(sql: str) -> tuple[str, str]:
    """An INSERT without FORMAT and data, cut before its SETTINGS clause (which may be empty)."""
    depth = 0
    for token in tokens(sql):
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif depth == 0 and token.is_word("SETTINGS"):
            return sql[: token.start].rstrip(), sql[token.start :]
    return sql, ""


def describe(text: str) -> Statement:
    """What a complete statement that is no INSERT with data is, as far as HTTP is concerned."""
    found = list(tokens(text))
    leading = [token for token in found[:8] if token.text != "("]
    streams = bool(leading) and leading[0].is_word(*_STREAMED)
    # Totals come after the rows, and a stream has no place for them.
    streams = streams and not any(token.is_word("TOTALS", "OUTFILE") for token in found)
    return Statement(_format(found), streams, _killed(found))


def _after_table(found: Sequence[Token]) -> int | None:
    position = 0
    for words in (("INSERT",), ("INTO",), ("TABLE", "FUNCTION")):
        if position < len(found) and found[position].is_word(*words):
            position += 1
        elif words == ("INSERT",):
            return None
    if position >= len(found):
        return None
    # The name itself may be any word: `INSERT INTO values FORMAT CSV`.
    position += 1
    while position + 1 < len(found) and found[position].text == ".":
        position += 2
    return position


def _insert(text: str, clause: Token, format_name: str, data_start: int) -> Insert:
    return Insert(_bytes(text[: clause.start]).rstrip(), format_name, data_start)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _format(found: Sequence[Token]) -> str | None:
    depth = 0
    chosen: str | None = None
    for position, token in enumerate(found):
        if token.text in "([{":
            depth += 1
        elif token.text in ")]}":
            depth -= 1
        elif (
            depth == 0 and token.is_word("FORMAT") and position and found[position - 1].text not in {".", ","}
        ):
            rest = found[position + 1 : position + 3]
            if rest and rest[0].kind == "word" and (len(rest) == 1 or _ends_format(rest[1])):
                chosen = rest[0].text
    return chosen


def _ends_format(token: Token | None) -> bool:
    return token is None or token.text == ";" or token.is_word("SETTINGS")


def _killed(found: Sequence[Token]) -> str | None:
    heads = [token.text.upper() for token in found[:5]]
    if heads != ["KILL", "QUERY", "WHERE", "QUERY_ID", "="] or len(found) < 6 or found[5].kind != "string":
        return None
    if any(not (token.text == ";" or token.is_word("SYNC", "ASYNC")) for token in found[6:]):
        return None
    text = found[5].text[1:-1]
    return None if "\\" in text or "''" in text else text
