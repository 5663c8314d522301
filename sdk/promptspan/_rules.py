"""What must not leave, and what is worth a flag: the beginnings that the gate looks for, and what follows.

A rule's ``gate`` is for RE2: a few literal characters, so that all rules together are one small automaton
that reads a text once. What the gate finds is looked at from there, over a bounded distance: no text makes
this slow. Provider's key formats are facts of their documentation.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _attributes as a
from ._checks import iban_at, ipv6_at, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # Beginning, end and kind of what was found, for the place where the gate opened.
    Found = Iterable[tuple[int, int, str]]

_LONGEST_KEY = 16_384  # of a private key with its armour
_LONGEST_USER = 64  # of an e-mail address (RFC 5321)


@dataclass(frozen=True, slots=True)
class Rule:
    """One family of things.

    Attributes:
        gate: What RE2 looks for (bytes, Latin-1): the beginning.
        look: Says what is there, given the text, and where the gate's match begins and ends.
        flag: Safety flag that it raises.
        redact: Whether it is replaced; else it only raises the flag.
    """

    gate: str
    look: Callable[[bytes, int, int], Found]
    flag: str
    redact: bool = True


_TOKENS = re.compile(
    rb"(?P<api_key>sk-[\w-]{20,250}|gsk_[A-Za-z0-9]{40,64}|xai-[A-Za-z0-9]{60,100}|hf_[A-Za-z]{30,40}\b"
    rb"|pplx-[A-Za-z0-9]{40,64}|r8_[A-Za-z0-9]{37}\b|npm_[A-Za-z0-9]{36}\b|pypi-AgE[\w-]{50,250}"
    rb"|SG\.[\w-]{16,32}\.[\w-]{30,60}|do[opr]_v1_[a-f0-9]{64}\b|dapi[a-f0-9]{32}\b"
    rb"|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b)"
    rb"|(?P<aws_key>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b)"
    rb"|(?P<google_key>AIza[\w-]{35}|GOCSPX-[\w-]{24,32}|ya29\.[\w-]{20,500})"
    rb"|(?P<github_token>gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255})"
    rb"|(?P<gitlab_token>gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w.-]{20,250})"
    rb"|(?P<slack_token>xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[A-Za-z0-9-]{20,250})"
    rb"|(?P<stripe_key>[rs]k_(?:live|test)_[A-Za-z0-9]{16,200}|whsec_[A-Za-z0-9+/]{24,80})"
    rb"|(?P<json_web_token>eyJ[\w-]{8,1000}\.eyJ[\w-]{8,8000}\.[\w-]{8,2000})"
)
_BEGINNINGS = (
    r"sk-|gsk_|xai-|hf_|pplx-|r8_|npm_|pypi-AgE|SG\.|do[opr]_v1_|dapi[a-f0-9]|shp(?:at|ca|pa|ss)_"
    r"|AKIA|ASIA|ABIA|ACCA|AIza|GOCSPX-|ya29\.|gh[pousr]_|github_pat_|gl[a-z]{2,5}-|xox[abeoprs]-|xapp-"
    r"|[rs]k_(?:live|test)_|whsec_|eyJ"
)
_ARMOURED = re.compile(rb"[A-Za-z0-9+/=\s\\:,-]*")
_BEARER = re.compile(rb"[A-Za-z0-9._~+/-]{16,2000}={0,2}")
_PASSWORD_IN_URL = re.compile(rb"://[^\s:/@\[\]]{0,100}:([^\s/@]{1,200})@")
_VALUE = re.compile(rb"""[^\s"'`,;&<>)\]}\\]{6,500}""")
_DIGIT = re.compile(rb"[0-9]")
_PARTS = re.compile(rb"[-_.]")
_DOMAIN = re.compile(rb"(?:[A-Za-z0-9\x80-\xff-]{1,63}\.){1,8}([A-Za-z\x80-\xff]{2,24})(?![\w-])")
_USER_SIGNS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-'" + bytes(range(128, 256))
_FILE_ENDINGS = frozenset(b"png jpg jpeg gif svg webp css js ts py md json txt pdf html zip gz".split())
_ESCAPES = (b"\\n", b"\\t", b"\\r")


def _begins(data: bytes, start: int) -> bool:
    """Whether a word begins here; a line break in JSON ends in a letter."""
    before = data[start - 1 : start]
    return not (before.isalnum() or before == b"_") or data[max(0, start - 2) : start] in _ESCAPES


def mixed(token: bytes, shortest: int = 12) -> bool:
    """Whether a piece of it has digits and letters: a key has, words with hyphens have not."""
    return _DIGIT.search(token) is not None and any(
        len(part) >= shortest and not part.isalpha() and not part.isdigit() for part in _PARTS.split(token)
    )


def _token(data: bytes, start: int, _: int) -> Found:
    match = _TOKENS.match(data, start) if _begins(data, start) else None
    if match is not None and match.lastgroup is not None:
        if match.group().startswith(b"sk-") and not mixed(match.group()[3:]):
            return
        yield start, match.end(), match.lastgroup.replace("_", " ")


def _private_key(data: bytes, start: int, end: int) -> Found:
    close = data.find(b"-----END", end, end + _LONGEST_KEY)
    last = data.find(b"-----", close + 8, close + 64) if close >= 0 else -1
    rest = _ARMOURED.match(data, end, end + _LONGEST_KEY)
    # Cut off before its end it is a key still: all that a key can consist of goes.
    until = last + 5 if last >= 0 else rest.end() if rest else end
    yield start, until, "private key"


def _bearer(data: bytes, start: int, end: int) -> Found:
    match = _BEARER.match(data, end) if _begins(data, start) else None
    if match is None:
        return
    token = match.group()
    if data[start : start + 5].lower() == b"basic":
        with_colon = False
        with contextlib.suppress(binascii.Error):
            with_colon = b":" in base64.b64decode(token, validate=True)
        if with_colon:
            yield end, match.end(), "password"
    elif mixed(token, 8):
        yield end, match.end(), "bearer token"


def _password_in_url(data: bytes, start: int, _: int) -> Found:
    match = _PASSWORD_IN_URL.match(data, start)
    if match is not None and b"{" not in match.group(1):
        yield (*match.span(1), "password")


def _assignment(data: bytes, start: int, end: int) -> Found:
    """``password=...``, ``"api_key": "..."``: a literal, neither a variable, a call nor a placeholder."""
    match = _VALUE.match(data, end)
    if match is None:
        return
    value = match.group()
    if any(sign in value for sign in (b"(", b"[", b"{", b"$", b"*", b"...", b"://")):
        return
    quoted = data[end - 1 : end] in (b'"', b"'")
    name = data[start:end].lower()
    password = name.startswith((b"pass", b"pwd"))
    has_digit = any(48 <= sign <= 57 for sign in value)
    has_letter = any(sign > 64 for sign in value)
    if password:
        # An attribute or a type is no password: ``password=form.password``, ``password: str``.
        good = (
            quoted or (has_digit and has_letter) or not value.replace(b".", b"").replace(b"_", b"").isalnum()
        )
    else:
        good = has_digit and has_letter and len(value) >= 12 and mixed(value, 8)
    if good:
        yield end, match.end(), "password" if password else "secret"


def _email(data: bytes, start: int, _: int) -> Found:
    at = data.index(b"@", start)
    match = _DOMAIN.match(data, at + 1)
    if match is None or match.group(1).lower() in _FILE_ENDINGS:
        return
    window = data[max(0, at - _LONGEST_USER) : at]
    user = window[len(window.rstrip(_USER_SIGNS)) :].lstrip(b".%+-'")
    if data[at - len(user) - 1 : at - len(user)] == b"\\" and user[:1] in b"ntr":
        user = user[1:]  # a line break in JSON
    if user and user != b"git":
        yield at - len(user), match.end(), "email"


def _iban(data: bytes, start: int, _: int) -> Found:
    end = iban_at(data, start) if _begins(data, start) else 0
    if end:
        yield start, end, "iban"


def _ipv6(data: bytes, start: int, _: int) -> Found:
    end = ipv6_at(data, start) if _begins(data, start) else 0
    if end:
        yield start, end, "ip"


# Sentences with which a text tries to take over the model that reads it, and signs of chat templates.
_TAKEOVER = re.compile(
    rb"""(?isx)
    (?:ignore|disregard|forget|override|bypass) \s{1,4}
    (?:(?:all|any|of|the|your|my|these|those|every|everything|and) \s{1,4}){0,4}
    (?:(?:previous|prior|above|earlier|preceding|foregoing|system|initial|original|safety|before) \s{1,4})?
    (?:\w{1,12} \s{1,4})?
    (?:instructions?|prompts?|rules|directions?|directives?|guidelines|commands|messages|context|restrictions
      |you \s (?:were|have \s been) \s told) \b
    |(?:reveal|print|repeat|show|output|display|leak|send|tell) \s{1,4}
    (?:(?:me|us) \s{1,4})? (?:all \s{1,4} (?:of \s{1,4})?)? (?:your|the) \s{1,4}
    (?:(?:full|entire|exact|original|complete|secret) \s{1,4})?
    (?:system|hidden|initial|developer|secret) \s{1,4} (?:prompt|instructions?|message)
    |you \s{1,4} are \s{1,4} now \s{1,4} (?:in \s{1,4})?
    (?:dan \b|developer \s{1,4} mode|jailbroken|unrestricted|an? \s{1,4} unfiltered|free \s{1,4} from)
    |do \s{1,4} anything \s{1,4} now \b
    |<\| (?:im_start|im_end|system|endoftext|start_header_id) \|> |\[ /? INST \] |<< /? SYS >>
    |(?:ignor(?:iere|iert|ez|e|a|ar|i|ate)|vergiss|oublie[zr]?|olvida) \s{1,4} (?:\S{1,10} \s{1,4}){0,3}
    (?:anweisungen|instructions|instrucciones|instru\S{2,4}es|istruzioni|regeln|consignes) \b
    """
)
_ENGLISH = (b"ignore", b"disregard", b"forget", b"override", b"bypass")
_IN_FORCE = (
    b"previous prior above earlier preceding foregoing before system initial original safety your told"
)


def _takeover(data: bytes, start: int, _: int) -> Found:
    if not _begins(data, start):
        return
    match = _TAKEOVER.match(data, start)
    if match is not None and _is_order(match.group()):
        yield start, match.end(), "injection"


def _is_order(said: bytes) -> bool:
    """Whether something is said of instructions in force: "ignore the context" alone is ordinary."""
    words = said.lower().split()
    return (
        words[0] not in _ENGLISH or b"all" in words[1:3] or any(word in _IN_FORCE.split() for word in words)
    )


def _smuggled(data: bytes, start: int, _: int) -> Found:
    """Ten and more invisible tag characters: a flag of a region has six."""
    end = start
    while data[end : end + 2] == b"\xf3\xa0" and data[end + 2 : end + 3] in (b"\x80", b"\x81"):
        end += 4
    if end - start >= 40:
        yield start, end, "injection"


RULES = (
    Rule(r"[+(]?[0-9][0-9 ().+/-]{5,}[0-9]", numbers, a.FLAG_PII),
    Rule(r"[A-Za-z0-9._%+'\x80-\xff-]@[A-Za-z0-9\x80-\xff]", _email, a.FLAG_PII),
    Rule(r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}", _iban, a.FLAG_PII),
    Rule(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:", _ipv6, a.FLAG_PII),
    Rule(_BEGINNINGS, _token, a.FLAG_SECRET),
    Rule(r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----", _private_key, a.FLAG_SECRET),
    Rule(r"(?i:bearer|basic) +", _bearer, a.FLAG_SECRET),
    Rule(r"://", _password_in_url, a.FLAG_SECRET),
    Rule(
        r"(?i:passwor[dt]|passwd|passphrase|pwd|secret|token|(?:api|access|account|private|auth)[_-]?key)"
        r"""\w*\\?["']?\s?[:=]\s?\\?["']?""",
        _assignment,
        a.FLAG_SECRET,
    ),
    Rule(
        r"(?i:ignore|disregard|forget|override|bypass|reveal|print|repeat|show|output|display|leak|send|tell"
        r"|you\s+are\s+now|do\s+anything|ignor(?:iere|ez|a|ar|i|ate)|vergiss|oublie[zr]?|olvida)\s"
        r"|<\|[a-z_]{6,16}\|>|\[/?INST\]|<</?SYS>>",
        _takeover,
        a.FLAG_INJECTION,
        redact=False,
    ),
    Rule(r"\xf3\xa0[\x80\x81]", _smuggled, a.FLAG_INJECTION, redact=False),
)
