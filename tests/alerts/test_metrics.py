from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.examples import HOSTILE
from promptspan_server.alerts.exposition import Family, exposed
from promptspan_server.alerts.metrics_server import MetricsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read the exposition format by its grammar; anything else fails."""
    assert text == "" or text.endswith("\n")
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    typed: set[str] = set()
    for line in text.split("\n")[:-1]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in {"gauge", "counter"}
            assert name not in typed
            typed.add(name)
            continue
        if line.startswith("# HELP "):
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, line
        name, inside, value = sample.groups()
        assert name in typed
        labels: list[tuple[str, str]] = []
        place = 0
        while place < len(inside or ""):
            label = _LABEL.match(inside, place)
            assert label is not None, line
            value_of = re.sub(r'\\["\\n]', lambda each: _UNESCAPED[each.group()], label[2])
            labels.append((label[1], value_of))
            place = label.end()
        assert (name, tuple(labels)) not in found, line
        found[name, tuple(labels)] = float(value)
    return found


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False))
def test_any_label_and_number_comes_back(text: str, value: float) -> None:
    family = Family("promptspan_x", "gauge", text).add(value, a=text, b='"').add(1, a=f"{text}.")
    assert parsed(exposed([family]).replace("\r", "\r")) == {
        ("promptspan_x", (("a", text), ("b", '"'))): value,
        ("promptspan_x", (("a", f"{text}."),)): 1.0,
    }


def test_what_is_unknown_is_left_out() -> None:
    assert exposed([Family("promptspan_x", "gauge", "x")]) == ""
    assert parsed(exposed([Family("promptspan_x", "gauge", "x").add(0, a=HOSTILE)]))


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    asked: list[int] = []

    def collect() -> str:
        asked.append(1)
        return exposed([Family("promptspan_asked", "gauge", "x").add(len(asked))])

    serving = MetricsServer(collect, 0)
    serving.start()
    yield serving
    serving.stop()


def get(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_several_scrapers_ask_the_store_once(server: MetricsServer) -> None:
    answers = [get(server.port) for _ in range(3)]
    assert {status for status, _ in answers} == {200}
    assert [parsed(text)["promptspan_asked", ()] for _, text in answers] == [1.0, 1.0, 1.0]


def test_another_page_and_a_rebound_name_are_refused(server: MetricsServer) -> None:
    assert get(server.port, "/")[0] == 404
    assert get(server.port, host="evil.example")[0] == 403


def test_beyond_loopback_there_is_a_token() -> None:
    with pytest.raises(ValueError, match="token"):
        MetricsServer(lambda: "", 0, "0.0.0.0")
    serving = MetricsServer(lambda: "", 0, "127.0.0.1", "s3cret")
    serving.start()
    try:
        assert get(serving.port)[0] == 401
        assert get(serving.port, authorization="Bearer wrong")[0] == 401
        assert get(serving.port, authorization="Bearer s3cret")[0] == 200
    finally:
        serving.stop()
