"""Secrets and personal data in texts: found by shape, confirmed by a check where there is one.

One pass with literal-anchored patterns; what a pattern finds is checked (Luhn, IBAN's modulus) before it
counts, because shapes alone alter too many clean texts. Texts longer than a bound are searched in their first
part and cut there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _attributes as a

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SEARCHED = 100_000
_SHORTEST = 6  # a@b.cc


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing that must not leave.

    Attributes:
        name: What replaces it: ``[name]``.
        flag: Safety flag that it raises.
        pattern: Its shape.
        needs: A text without any of these cannot contain it (checked first, in lower case).
        check: Confirms a match.
    """

    name: str
    flag: str
    pattern: re.Pattern[str]
    needs: tuple[str, ...]
    check: Callable[[str], bool] | None = None


def luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    numbers = [int(char) for char in digits if char.isdigit()]
    if not 13 <= len(numbers) <= 19 or len(set(numbers)) < 2:
        return False
    doubled = [n * 2 - 9 if n > 4 else n * 2 for n in numbers[-2::-2]]
    return (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """The check digits of account numbers (ISO 13616, modulus 97)."""
    account = text.replace(" ", "").upper()
    if not 15 <= len(account) <= 34 or not account.isalnum():
        return False
    turned = account[4:] + account[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def us_social_security(text: str) -> bool:
    """Areas 000, 666 and 900-999, group 00 and serial 0000 are never issued (ssa.gov)."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _mixed(text: str) -> bool:
    """A key has digits and letters; a word that only looks like one has not."""
    return any(char.isdigit() for char in text) and any(char.isalpha() for char in text)


_RULES = (
    Rule(
        "private key",
        a.FLAG_SECRET,
        re.compile(
            r"-----BEGIN (?:[A-Z]{2,10} )?PRIVATE KEY-----"
            r"[A-Za-z0-9+/=\s]{0,8000}(?:-----END [A-Z ]{0,20}KEY-----)?"
        ),
        ("private key-----",),
    ),
    Rule(
        "api key",
        a.FLAG_SECRET,
        re.compile(r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,200}"),
        ("sk-",),
        _mixed,
    ),
    Rule("aws key", a.FLAG_SECRET, re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), ("akia", "asia")),
    Rule(
        "github token",
        a.FLAG_SECRET,
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})"),
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    Rule("slack token", a.FLAG_SECRET, re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,200}"), ("xox",)),
    Rule("google key", a.FLAG_SECRET, re.compile(r"\bAIza[A-Za-z0-9_-]{35}"), ("aiza",)),
    Rule(
        "stripe key",
        a.FLAG_SECRET,
        re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}"),
        ("k_live_", "k_test_"),
    ),
    Rule(
        "json web token",
        a.FLAG_SECRET,
        re.compile(r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,1000}"),
        ("eyj",),
    ),
    Rule(
        "password",
        a.FLAG_SECRET,
        re.compile(r"(?<=://)[^\s:/@]{1,100}:[^\s/@]{1,200}(?=@)"),
        ("://",),
    ),
    Rule(
        "email",
        a.FLAG_PII,
        re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}\b"),
        ("@",),
    ),
    Rule("card", a.FLAG_PII, re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), (), luhn),
    Rule(
        "iban",
        a.FLAG_PII,
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        (),
        iban,
    ),
    Rule("ssn", a.FLAG_PII, re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), ("-",), us_social_security),
)


def redact(text: str, flags: set[str] | None = None) -> str:
    """``text`` with secrets and personal data replaced by ``[their kind]``.

    Args:
        text: Any text; what is beyond 100,000 characters is cut off, unsearched text never leaves.
        flags: Gets the safety flags of what was found.
    """
    if len(text) > MOST_SEARCHED:
        text = f"{text[:MOST_SEARCHED]}… [cut]"
    if len(text) < _SHORTEST:
        return text
    lower = text.lower()
    for rule in _RULES:
        if contains_any(lower, rule.needs):
            text = _apply(rule, text, flags)
    return text


def contains_any(lower: str, words: tuple[str, ...]) -> bool:
    """Whether a text in lower case has one of these words in it; no words are in every text."""
    if not words:
        return True
    for word in words:  # noqa: SIM110  # twice as fast as any() of a generator, and this is the hot path
        if word in lower:
            return True
    return False


def _apply(rule: Rule, text: str, flags: set[str] | None) -> str:
    def replaced(match: re.Match[str]) -> str:
        found = match.group()
        if rule.check is not None and not rule.check(found):
            return found
        if flags is not None:
            flags.add(rule.flag)
        return f"[{rule.name}]"

    return rule.pattern.sub(replaced, text)
