"""What confirms that a run of characters is what its shape says: check digits, lengths, allocated ranges.

All of it works on bytes and is linear in what it is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Length of an account number by country (ISO 13616, the registry of SWIFT).
_IBAN_LENGTHS = {
    land: int(length)
    for length, lands in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU",
        "31": "MT SC",
        "32": "LC",
    }.items()
    for land in lands.split()
}
_GROUP = re.compile(rb"[0-9]+")
_IPV4 = re.compile(rb"(?<!\d)(?<!\d\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d])(?!\.\d)")
_IPV6 = re.compile(rb"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}")
_PHONE_WORDS = (b"phone", b"tel", b"mobil", b"cell", b"call", b"fax", b"whatsapp", b"handy", b"ring", b"sms")
_PHONE_WORD = re.compile(
    rb"(?<![a-z])(?:tele)?(?:phone|tel|mobile?|cell|call|fax|whatsapp|handy|ring|sms)(?![a-z])[^\n\d]{0,16}\Z"
)
_SEPARATORS = b" ().+/-"
# Social security and North American phone numbers; all else has 13 digits, a plus, or a word before.
_SHORT = re.compile(rb"\d{3}-\d\d-\d{4}|\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}")
# How payment cards are written: in one piece, in fours, or as American Express and Diners do.
_CARD_SHAPES = {(4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)}


def luhn(digits: bytes) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = digit - 48
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def card(digits: bytes) -> bool:
    """Whether some network issues cards with this beginning and length, and the check digit is right."""
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    issued = (
        (two in (34, 37) and length == 15)
        or (digits[:1] == b"4" and length in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (
            (four == 6011 or 6440 <= four <= 6599 or two == 62 or 3528 <= four <= 3589) and 16 <= length <= 19
        )
        or ((3000 <= four <= 3059 or two in (36, 38, 39)) and length == 14)
        or ((two in (50, 56, 57, 58) or two == 67) and 16 <= length <= 19)
    )
    return issued and luhn(digits) and len(set(digits)) > 1


def iban_at(data: bytes, start: int) -> int:
    """Where the account number that begins at ``start`` ends; 0 if there is none (ISO 13616, modulus 97)."""
    length = _IBAN_LENGTHS.get(data[start : start + 2].decode("ascii"))
    if length is None:
        return 0
    account = bytearray()
    at = start
    while len(account) < length:
        piece = data[at : at + 1]
        if piece == b" " and data[at - 1 : at] != b" ":
            at += 1
            continue
        if not (piece.isdigit() or piece.isupper()):
            return 0
        account += piece
        at += 1
    if data[at : at + 1].isalnum():
        return 0
    turned = account[4:] + account[:4]
    number = int("".join(str(int(chr(sign), 36)) for sign in turned))
    return at if number % 97 == 1 else 0


def ssn(area: bytes, group: bytes, serial: bytes) -> bool:
    """Areas 000, 666 and 900-999, group 00 and serial 0000 are never issued (ssa.gov)."""
    return area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"


def ip_at(data: bytes, start: int, end: int) -> bool:
    """Whether this is an address that can be a person's: a public one, and no version number."""
    octets = [int(part) for part in data[start:end].split(b".")]
    # Versions have few digits (1.2.3.4) or follow a name (Chrome/120.0.0.0, v10.0.19.1).
    before, after = data[max(0, start - 2) : start], data[end : end + 2]
    if end - start < 9 or max(octets) > 255 or octets[3] == 0 or (after[:1] == b"-" and after[1:].isalpha()):
        return False
    if before[-1:].isalpha() or before[-1:] == b"_" or (before[-1:] == b"/" and before != b"//"):
        return False
    return not is_special(*octets[:3])


def is_special(first: int, second: int, third: int) -> bool:
    """Private, shared, local, documentation, multicast (the registry of RFC 6890): nobody's own address."""
    return (
        first in (0, 10, 127)
        or first >= 224
        or (first == 100 and 64 <= second <= 127)
        or (first == 169 and second == 254)
        or (first == 172 and 16 <= second <= 31)
        or (first == 192 and (second == 168 or (second == 0 and third in (0, 2))))
        or (first == 198 and (second in (18, 19) or (second, third) == (51, 100)))
        or (first == 203 and (second, third) == (0, 113))
    )


def ipv6_at(data: bytes, start: int) -> int:
    """Where the public IPv6 address that begins at ``start`` ends; 0 if there is none."""
    match = _IPV6.match(data, start)
    if match is None or data[match.end() : match.end() + 1].isalnum():
        return 0
    import ipaddress  # late: 5 ms, for a text that has something like an address in it

    try:
        public = ipaddress.IPv6Address(match.group().decode("ascii")).is_global
    except ValueError:
        return 0
    return match.end() if public else 0


def numbers(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Cards, social security numbers, phone numbers and IP addresses in a run of digits and separators.

    Yields:
        Beginning, end and kind of each.
    """
    run = data[start:end]
    if run.count(b".") >= 3:
        for match in _IPV4.finditer(data, start, end):
            if ip_at(data, *match.span()):
                yield (*match.span(), "ip")
    digits = len(run.translate(None, _SEPARATORS))
    named = digits >= 7 and _is_phone_word(data, start)
    # Nearly all such runs are dates, times and amounts.
    if not named and digits < 13 and b"+" not in run and _SHORT.search(run) is None:
        return
    groups = [match.span() for match in _GROUP.finditer(data, start, end)]
    # The first or last digits may be the rest of a name, a hash, a date or a decimal number.
    if not _free(data[max(0, start - 2) : start]) and groups:
        del groups[0]
    if groups and _joined(data[groups[-1][1] : groups[-1][1] + 2]):
        del groups[-1]
    at = 0
    while at < len(groups):
        begins, ends = groups[at]
        if ends - begins < 3 and not (named and at == 0) and data[begins - 1 : begins] not in (b"+", b"("):
            at += 1  # nothing begins with so few digits
            continue
        taken = _at_group(data, groups, at, named=named and at == 0)
        if taken is None:
            at += 1
            continue
        kind, used, begins = taken
        yield begins, groups[at + used - 1][1], kind
        at += used


def _is_phone_word(data: bytes, end: int) -> bool:
    """Whether a word for "phone" stands before."""
    before = data[max(0, end - 28) : end].lower()
    for word in _PHONE_WORDS:  # a loop: faster than any() of a generator
        if word in before:
            return _PHONE_WORD.search(before) is not None
    return False


def _at_group(
    data: bytes, groups: list[tuple[int, int]], at: int, *, named: bool
) -> tuple[str, int, int] | None:
    """The kind of number that begins with this group, how many groups it has, and where it begins."""
    begins, ends = groups[at]
    if 13 <= ends - begins <= 19 and card(data[begins:ends]):
        return "card", 1, begins
    sizes: list[int] = []
    digits = b""
    separators: set[bytes] = set()
    for index in range(at, min(at + 6, len(groups))):
        first, last = groups[index]
        if index > at:
            separators.add(data[groups[index - 1][1] : first])
        sizes.append(last - first)
        digits += data[first:last]
        if len(digits) > 19:
            break
        if len(sizes) >= 3 and len(separators) == 1 and separators <= {b" ", b"-"}:
            follows = index + 1 < len(groups) and data[last : groups[index + 1][0]] in separators
            if tuple(sizes) in _CARD_SHAPES and card(digits):
                return "card", len(sizes), begins
            if sizes == [3, 2, 4] and separators == {b"-"} and not follows:
                parts = [data[first:last] for first, last in groups[at : at + 3]]
                if ssn(*parts):
                    return "ssn", 3, begins
    return _phone(data, groups, at, named=named)


def _phone(
    data: bytes, groups: list[tuple[int, int]], at: int, *, named: bool
) -> tuple[str, int, int] | None:
    """International numbers, North American ones in their usual forms, others only after a word for it."""
    begins = groups[at][0]
    used, digits = 1, groups[at][1] - groups[at][0]
    while at + used < len(groups):
        between = data[groups[at + used - 1][1] : groups[at + used][0]]
        more = groups[at + used][1] - groups[at + used][0]
        if len(between) > 2 or digits + more > 15 or b"+" in between:
            break
        digits += more
        used += 1
    if data[begins - 1 : begins] == b"+" and _free(data[max(0, begins - 3) : begins - 1]):
        # E.164: at most 15 digits, no country begins with 0.
        if digits >= 8 and data[begins : begins + 1] != b"0":
            return "phone", used, begins - 1
        return None
    opened = begins - 1 if data[begins - 1 : begins] == b"(" else begins
    sizes = [last - first for first, last in groups[at : at + 3]]
    if used >= 3 and sizes == [3, 3, 4]:
        parts = [data[first:last] for first, last in groups[at : at + 3]]
        between = data[groups[at + 1][1] : groups[at + 2][0]]
        # Area and exchange begin with 2 to 9 (North American Numbering Plan).
        if parts[0] >= b"200" and parts[1] >= b"200" and between in (b"-", b".", b" ") and used == 3:
            return "phone", 3, opened
    if named and 7 <= digits <= 15:
        return "phone", used, opened
    return None


def _free(before: bytes) -> bool:
    """Whether nothing that belongs to it stands before a number."""
    last = before[-1:]
    if last == b".":
        return not before[:1].isdigit()
    return not (last.isalnum() or last in (b"_", b"-", b"/", b"#", b"+") or last >= b"\x80") or before in (
        b"\\n",
        b"\\t",
        b"\\r",
    )


def _joined(after: bytes) -> bool:
    """Whether a number goes on as a word or as a fraction."""
    return after[:1].isalpha() or after[:1] in (b"_", b"%") or (after[:1] == b"." and after[1:].isdigit())
