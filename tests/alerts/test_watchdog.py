from __future__ import annotations

from typing import TYPE_CHECKING

from promptspan_server.alerts.destinations.posting import Poster
from promptspan_server.alerts.outgoing import Guard
from promptspan_server.alerts.secrets import Secret
from promptspan_server.alerts.watchdog import Watchdog

if TYPE_CHECKING:
    import pytest

    from alerts.conftest import Receiver

LOCAL = Poster(Guard.allowing(["127.0.0.1"]))


def test_the_address_outside_hears_from_us_only_while_we_see(receiver: Receiver) -> None:
    sees = [True, False, True]
    watchdog = Watchdog(lambda: f"{receiver.url}/ping/secret", LOCAL, lambda: sees.pop(0))
    assert [watchdog.ping() for _ in range(3)] == [True, False, True]
    assert [request.path for request in receiver.got] == ["/ping/secret"] * 2


def test_a_failing_ping_is_said_once_and_without_its_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers(500)
    watchdog = Watchdog(lambda: f"{receiver.url}/ping/secret", LOCAL, lambda: True)
    assert [watchdog.ping() for _ in range(3)] == [False, False, False]
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    assert not Watchdog(Secret("env:PROMPTSPAN_NOT_SET").reveal, LOCAL, lambda: True).ping()
