from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan._redaction import iban, luhn, redact

FOUND = [
    ("Write to ada.l+x@mail.example.org now", "Write to [email] now", "pii"),
    ("Card 4111-1111-1111-1111, thanks", "Card [card], thanks", "pii"),
    ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [iban].", "pii"),
    ("SSN 219-09-9999", "SSN [ssn]", "pii"),
    ("key sk-proj-abc123def456ghi789jkl012mno", "key [api key]", "secret"),
    ("AKIAIOSFODNN7EXAMPLE", "[aws key]", "secret"),
    ("ghp_" + "a1B2" * 9, "[github token]", "secret"),
    ("postgres://bob:hunter2@db:5432/x", "postgres://[password]@db:5432/x", "secret"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[private key]", "secret"),
    ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "t [json web token]", "secret"),
]
CLEAN = [
    "Order 4111 1111 1111 1112 of 2026-11-23",  # no card: the check digit is wrong
    "DE89 3704 0044 0532 0130 02",  # no IBAN
    "Call 900-12-3456",  # never issued
    "sk-learn-is-a-library-for-python-people",
    "a@b",
    "https://example.org/path?x=1",
    "1.2.3.4 and 2026-11-23T05:04:22Z",
    "f(x) = x@y",
]


@pytest.mark.parametrize(("text", "clean", "flag"), FOUND)
def test_what_must_not_leave_is_replaced_and_flagged(text: str, clean: str, flag: str) -> None:
    flags: set[str] = set()
    assert redact(text, flags) == clean
    assert flags == {flag}


@pytest.mark.parametrize("text", CLEAN)
def test_what_only_looks_like_it_stays(text: str) -> None:
    flags: set[str] = set()
    assert redact(text, flags) == text
    assert flags == set()


@given(st.text(), st.sampled_from([text for text, _, _ in FOUND]), st.text())
def test_nothing_is_missed_between_other_words(before: str, text: str, after: str) -> None:
    flags: set[str] = set()
    redact(f"{before} {text} {after}", flags)
    assert flags


def test_text_beyond_the_bound_does_not_leave_unsearched() -> None:
    clean = redact("x" * 100_000 + " ada@example.org")
    assert clean.endswith("[cut]")
    assert "ada" not in clean


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_exactly_one_check_digit_makes_a_card(digits: str) -> None:
    valid = [digit for digit in "0123456789" if luhn(digits + digit)]
    assert len(valid) == 1 or set(digits) == {"0"}


def test_a_changed_digit_makes_no_account() -> None:
    assert iban("GB82 WEST 1234 5698 7654 32")
    assert not iban("GB82 WEST 1234 5698 7654 33")


@pytest.mark.parametrize(
    "unit", ["a@", "1 ", "sk-", "AA11 ", "://x:", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----"]
)
def test_an_adversarial_text_does_not_take_for_ever(unit: str) -> None:
    started = time.process_time()
    redact(unit * (60_000 // len(unit)))
    assert time.process_time() - started < 30  # quadratic rules took minutes here; this is no measurement
