"""Model and provider names as rows: `genai-prices` match logic, in tests that ClickHouse can run.

A clause tree becomes alternatives (disjunctive normal form). An alternative is one row of `price_match`:
every literal in it must hold for a name in lower case. Patterns are RE2, which has no look-around, so a
leading negative look-ahead (the only kind the package uses) becomes a pattern that must not match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from genai_prices import types as genai

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOKAROUND = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]")
_NEGATIVE_PREFIX = "^(?!"


class UntranslatableClauseError(ValueError):
    """A match clause that RE2 cannot express; its model keeps no name and its calls stay unpriced."""


@dataclass(frozen=True)
class Alternative:
    """One conjunction of tests on a lower case name. Empty fields test nothing."""

    equals: str = ""
    starts: str = ""
    ends: str = ""
    contains: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    not_patterns: tuple[str, ...] = ()


ANYTHING = Alternative()
"""Matches every name."""


def alternatives(clause: Any) -> tuple[Alternative, ...]:
    """Translate one `genai_prices.types.MatchLogic` clause.

    Raises:
        UntranslatableClauseError: A regular expression needs look-around or a back-reference.
    """
    return tuple(_walk(clause))


def glob(pattern: str) -> Alternative:
    """Translate a user's name with `*` for any characters, case-insensitive."""
    text = pattern.lower()
    if "*" not in text:
        return Alternative(equals=text)
    return Alternative(patterns=("^" + ".*".join(_literal(part) for part in text.split("*")) + "$",))


def _walk(clause: Any) -> Iterator[Alternative]:
    if isinstance(clause, genai.ClauseEquals):
        yield Alternative(equals=clause.equals.lower())
    elif isinstance(clause, genai.ClauseStartsWith):
        yield Alternative(starts=clause.starts_with.lower())
    elif isinstance(clause, genai.ClauseEndsWith):
        yield Alternative(ends=clause.ends_with.lower())
    elif isinstance(clause, genai.ClauseContains):
        yield Alternative(contains=(clause.contains.lower(),))
    elif isinstance(clause, genai.ClauseRegex):
        yield _pattern(clause.regex)
    elif isinstance(clause, genai.ClauseOr):
        for part in clause.or_:
            yield from _walk(part)
    elif isinstance(clause, genai.ClauseAnd):
        for parts in product(*(tuple(_walk(part)) for part in clause.and_)):
            joined = ANYTHING
            for part in parts:
                joined = _both(joined, part)
            yield joined
    else:
        raise UntranslatableClauseError(f"unknown clause {clause!r}")


def _both(left: Alternative, right: Alternative) -> Alternative:
    patterns = list(left.patterns + right.patterns)
    # A row has room for one of each: a second one is written as a pattern.
    if left.equals and right.equals:
        patterns.append(f"^{_literal(right.equals)}$")
    if left.starts and right.starts:
        patterns.append(f"^{_literal(right.starts)}")
    if left.ends and right.ends:
        patterns.append(f"{_literal(right.ends)}$")
    return Alternative(
        equals=left.equals or right.equals,
        starts=left.starts or right.starts,
        ends=left.ends or right.ends,
        contains=left.contains + right.contains,
        patterns=tuple(patterns),
        not_patterns=left.not_patterns + right.not_patterns,
    )


def _pattern(regex: str) -> Alternative:
    not_patterns: list[str] = []
    rest = regex
    while rest.startswith(_NEGATIVE_PREFIX):
        inner, rest = _split_group(rest[len(_NEGATIVE_PREFIX) :])
        not_patterns.append(f"^(?:{inner})")
        rest = "^" + rest
    if any(_LOOKAROUND.search(text) for text in (rest, *not_patterns)):
        raise UntranslatableClauseError(f"RE2 has no look-around: {regex!r}")
    return Alternative(patterns=() if rest == "^" else (rest,), not_patterns=tuple(not_patterns))


def _split_group(text: str) -> tuple[str, str]:
    """Split after the parenthesis that closes an already opened group."""
    depth = 1
    index = 0
    in_class = False
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return text[:index], text[index + 1 :]
        index += 1
    raise UntranslatableClauseError(f"unbalanced group in {text!r}")


def _literal(text: str) -> str:
    return re.sub(r"([^A-Za-z0-9_])", r"\\\1", text)
