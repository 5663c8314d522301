from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promptspan_server.store.engine import Engine, StoreError
from promptspan_server.store.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Generator


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    with Engine.open(tmp_path_factory.mktemp("sessions")) as engine:
        yield engine


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(shared: Engine, clock: Clock) -> Generator[Sessions]:
    made = Sessions(shared, clock)
    yield made
    made.close()


def setting(session: object, name: str) -> str:
    handle = getattr(session, "handle")  # noqa: B009
    return handle.query(f"SELECT getSetting('{name}')").data.decode().strip()


def test_a_session_ends_when_its_time_is_over_and_its_handle_with_it(
    sessions: Sessions, clock: Clock
) -> None:
    first = sessions.take("default", "s")
    sessions.give_back(first, 10)
    clock.now += 9
    assert sessions.take("default", "s", must_exist=True) is first
    sessions.give_back(first, 10)
    clock.now += 11
    with pytest.raises(StoreError) as raised:
        sessions.take("default", "s", must_exist=True)
    assert raised.value.code == 372
    with pytest.raises(StoreError):
        first.handle.query("SELECT 1")


def test_a_busy_session_is_locked_and_does_not_expire(sessions: Sessions, clock: Clock) -> None:
    busy = sessions.take("default", "s")
    clock.now += 10_000
    with pytest.raises(StoreError) as raised:
        sessions.take("default", "s")
    assert raised.value.code == 373
    sessions.give_back(busy, 60)
    assert sessions.take("default", "s") is busy
    sessions.give_back(busy, 60)


def test_users_do_not_share_sessions(sessions: Sessions) -> None:
    one, other = sessions.take("default", "s"), sessions.take("reader", "s")
    assert one is not other
    sessions.give_back(one, 60)
    sessions.give_back(other, 60)


def test_settings_of_a_request_leave_with_it_and_those_of_the_session_stay(sessions: Sessions) -> None:
    session = sessions.take("default", "s")
    before = setting(session, "max_threads")
    session.handle.query("SET max_block_size = 111")
    session.apply({"max_threads": "3", "max_block_size": "222"})
    assert (setting(session, "max_threads"), setting(session, "max_block_size")) == ("3", "222")
    session.apply({"max_threads": "4"})
    assert (setting(session, "max_threads"), setting(session, "max_block_size")) == ("4", "111")
    session.apply({})
    assert (setting(session, "max_threads"), setting(session, "max_block_size")) == (before, "111")
    sessions.give_back(session, 60)


def test_what_a_set_statement_names_is_the_sessions_own_from_then_on(sessions: Sessions) -> None:
    session = sessions.take("default", "s")
    session.apply({"max_threads": "3"})
    session.handle.query("SET max_threads = 5")
    session.forget("SET max_threads = 5")
    session.apply({})
    assert setting(session, "max_threads") == "5"
    sessions.give_back(session, 60)


def test_a_bad_setting_leaves_the_session_usable(sessions: Sessions) -> None:
    session = sessions.take("default", "s")
    with pytest.raises(StoreError):
        session.apply({"no_such_setting": "1"})
    session.apply({})
    assert setting(session, "max_threads")
    sessions.give_back(session, 60)
