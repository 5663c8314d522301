from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from promptspan_server.store.markers import read_marker

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=timezone.utc)


def test_a_marker_needs_a_line_and_no_more() -> None:
    marker = read_marker({"text": "  moved to\n gpt-5  "}, NOW)
    assert (marker.text, marker.kind, marker.at) == ("moved to gpt-5", "note", NOW)
    assert marker.id


def test_the_same_thing_said_twice_is_one_marker() -> None:
    at = {"text": "v7", "at": "2026-11-20T09:00:00Z"}
    assert read_marker(at, NOW) == read_marker(at, NOW + timedelta(minutes=1))
    assert read_marker({**at, "text": "v8"}, NOW).id != read_marker(at, NOW).id
    assert read_marker({"text": "x", "id": "run-17"}, NOW).id == "run-17"


@pytest.mark.parametrize(
    ("text", "utc"),
    [("2026-11-20T09:00:00Z", 9), ("2026-11-20T09:00:00", 9), ("2026-11-20T09:00:00+02:00", 7)],
)
def test_times_become_utc(text: str, utc: int) -> None:
    assert read_marker({"text": "x", "at": text}, NOW).at == NOW.replace(hour=utc)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "text is missing"),
        ({"text": " \n"}, "text is missing"),
        ({"text": "x", "colour": "red"}, "colour"),
        ({"text": 7}, "text is text"),
        ({"text": "x", "kind": "party"}, "deploy"),
        ({"text": "x" * 2001}, "longer"),
        ({"text": "x", "prompt_name": "y" * 201}, "longer"),
        ({"text": "a\x1b[31m"}, "cannot be shown"),
        ({"text": "a\u202eb"}, "cannot be shown"),
        ({"text": "x", "link": "javascript:alert(1)"}, "https://"),
        ({"text": "x", "at": "yesterday"}, "time like"),
        ({"text": "x", "at": "2099-01-01T00:00:00Z"}, "within"),
        ({"text": "x", "at": "1999-01-01T00:00:00Z"}, "within"),
        ({"text": "x", "at": 1700000000}, "at is text"),
    ],
)
def test_what_is_no_marker_is_refused_in_words(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_marker(given, NOW)
