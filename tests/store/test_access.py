from __future__ import annotations

import base64

import pytest

from promptspan_server.store.access import Access, DeniedError, host_name, is_loopback


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def status(run: object) -> int:
    assert callable(run)
    try:
        run()
    except DeniedError as denied:
        return denied.status
    return 200


OPEN = Access("127.0.0.1")
LOCKED = Access("0.0.0.0", "secret")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_that_only_looks_like_it(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_host_header_loses_its_port() -> None:
    assert [host_name(h) for h in ("a:1", "[::1]:8123", "::1", "a")] == ["a", "::1", "::1", "a"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "127.0.0.1:8123"}, 200),
        ({"host": "localhost:8123"}, 200),
        ({}, 200),
        ({"host": "evil.example:8123"}, 403),
        ({"host": "127.0.0.1:8123", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:8123", "origin": "null"}, 403),
        ({"host": "127.0.0.1:8123", "origin": "http://127.0.0.1:9999"}, 403),
        ({"host": "127.0.0.1:8123", "origin": "http://127.0.0.1:8123"}, 200),
        ({"host": "127.0.0.1:8123", "sec-fetch-site": "cross-site"}, 403),
        ({"host": "127.0.0.1:8123", "sec-fetch-site": "none"}, 200),
    ],
)
def test_foreign_pages_are_refused_and_programs_are_not(headers: dict[str, str], expected: int) -> None:
    assert status(lambda: OPEN.check_page(headers)) == expected


def test_a_store_for_the_network_answers_to_any_name() -> None:
    LOCKED.check_page({"host": "store.internal:8123"})


def test_without_a_token_users_are_known_by_name() -> None:
    assert OPEN.user({}, {}) == "default"
    assert OPEN.user({"x-clickhouse-user": "reader"}, {}) == "reader"
    assert OPEN.user(basic("reader", ""), {}) == "reader"
    assert OPEN.user({}, {"user": "reader"}) == "reader"
    assert status(lambda: OPEN.user({}, {"user": "root"})) == 403


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"x-clickhouse-user": "default", "x-clickhouse-key": "secret"}, {}),
        (basic("default", "secret"), {}),
        ({"authorization": "Bearer secret"}, {}),
        ({}, {"user": "default", "password": "secret"}),
    ],
)
def test_with_a_token_every_way_of_presenting_it_works(
    headers: dict[str, str], params: dict[str, str]
) -> None:
    assert LOCKED.user(headers, params) == "default"


@pytest.mark.parametrize(
    ("headers", "params", "expected"),
    [
        ({}, {}, 401),
        (basic("default", ""), {}, 401),
        (basic("default", "wrong"), {}, 403),
        (basic("default", "secret "), {}, 403),
        ({"authorization": "Bearer sécret"}, {}, 403),
        ({"authorization": "Basic !!!"}, {}, 403),
        ({"authorization": "Digest x"}, {}, 403),
        ({"authorization": "Bearer secret"}, {"user": "root"}, 403),
        ({"x-clickhouse-user": "default"}, {"password": "secret"}, 401),
    ],
)
def test_with_a_token_nothing_else_opens(
    headers: dict[str, str], params: dict[str, str], expected: int
) -> None:
    assert status(lambda: LOCKED.user(headers, params)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Bearer secret", 200), ("bearer secret", 200), (None, 401), ("Bearer no", 403), ("Basic secret", 403)],
)
def test_otlp_asks_for_the_bearer_token(given: str | None, expected: int) -> None:
    assert status(lambda: LOCKED.check_bearer(given)) == expected
    assert status(lambda: OPEN.check_bearer(given)) == 200
