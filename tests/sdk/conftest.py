from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace

import promptspan
from billed import rich_recording
from faults.sink import Sink, running_sink
from promptspan import _guard
from recorded import Recorded
from replay import ReplayProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules that say ``BOTH_WAYS`` hold for an OpenTelemetry exporter and for our own sender."""
    if "way" in metafunc.fixturenames and "BOTH_WAYS" in metafunc.function.__globals__:
        metafunc.parametrize("way", ["exporter", "sender"])


@pytest.fixture
def way() -> str:
    """The way out."""
    return "exporter"


@pytest.fixture(scope="session")
def receiver() -> Iterator[Sink]:
    """Takes what our own sender sends."""
    with running_sink() as running:
        yield running


@pytest.fixture
def configured(way: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Recorded]]:
    """Configure the SDK with options of the test's own."""

    def make(**options: Any) -> Recorded:
        recorded = Recorded(request.getfixturevalue("receiver") if way == "sender" else None)
        recorded.configure(**options)
        return recorded

    yield make
    promptspan.shutdown(10)


@pytest.fixture
def recorded(configured: Callable[..., Recorded]) -> Recorded:
    """The SDK as it is by default: no content."""
    return configured()


@pytest.fixture
def captured(configured: Callable[..., Recorded]) -> Recorded:
    """The SDK with content capture on."""
    return configured(capture_content=True)


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our mistakes fail the test, and no span stays current."""
    monkeypatch.setattr(_guard, "reraise", True)
    before = context.get_current()
    failures = _guard.failures()
    yield
    assert trace.get_current_span() is trace.get_current_span(before), "a span was left current"
    assert not _guard.reraise or _guard.failures() == failures, "the guard caught a mistake of ours"


@pytest.fixture(scope="session")
def replay() -> Iterator[ReplayProvider]:
    """The providers' APIs on loopback, answering any prompt."""
    with ReplayProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def rich() -> Iterator[ReplayProvider]:
    """The same, with something in every bucket of the bill for one question."""
    with ReplayProvider([rich_recording()]) as provider:
        yield provider
