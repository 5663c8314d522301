from __future__ import annotations

import http.server
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from promptspan_server.queries.connection import (
    InvalidDsn,
    QueryFailed,
    Store,
    StoreUnreachable,
    connect,
    dsn_from_environment,
    parse_dsn,
)
from promptspan_server.queries.freshness import Freshness
from promptspan_server.queries.templates import Templates

if TYPE_CHECKING:
    from queries.live_store import LiveStore


@pytest.mark.parametrize(
    ("text", "host", "port", "user", "password", "database", "secure"),
    [
        ("http://reader@127.0.0.1:8123/default", "127.0.0.1", 8123, "reader", "", "default", False),
        ("clickhouse://u:p%40ss%2F@ch.example/prod", "ch.example", 8123, "u", "p@ss/", "prod", False),
        ("https://u:p@ch.example", "ch.example", 8443, "u", "p", "default", True),
        ("clickhouses://ch.example:9443/x", "ch.example", 9443, "default", "", "x", True),
        ("http://ch.example?secure=true", "ch.example", 8443, "default", "", "default", True),
        ("http://reader@[::1]:8123/default", "::1", 8123, "reader", "", "default", False),
    ],
)
def test_a_dsn_names_host_port_user_database_and_encryption(  # noqa: PLR0917
    text: str, host: str, port: int, user: str, password: str, database: str, secure: bool
) -> None:
    dsn = parse_dsn(text)
    assert (dsn.host, dsn.port, dsn.user, dsn.password) == (host, port, user, password)
    assert (dsn.database, dsn.secure) == (database, secure)
    assert parse_dsn(dsn.url) == dsn


def test_settings_in_a_dsn_are_kept() -> None:
    assert parse_dsn("http://h/d?max_threads=2").settings == (("max_threads", "2"),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no scheme"),
        ("localhost:8123", "no scheme"),
        ("postgres://u:hunter2@h/d", "postgres://"),
        ("http://", "no host"),
        ("http://u:hunter2@h:eight/d", "port"),
        ("http://h/a/b", "one database"),
    ],
)
def test_a_wrong_dsn_is_explained_without_its_password(text: str, complaint: str) -> None:
    with pytest.raises(InvalidDsn, match=complaint) as caught:
        parse_dsn(text)
    assert "hunter2" not in str(caught.value)


def test_a_password_never_shows_in_a_dsn_as_text() -> None:
    dsn = parse_dsn("http://u:hunter2@h/d")
    assert "hunter2" not in f"{dsn} {dsn!r} {dsn.address}"


def test_the_environment_chooses_the_store() -> None:
    assert dsn_from_environment({}).address == "http://reader@127.0.0.1:8123/default"
    given = dsn_from_environment({"PROMPTSPAN_CLICKHOUSE_URL": "http://u@h:1/d", "PROMPTSPAN_TOKEN": "t"})
    assert (given.address, given.password) == ("http://u@h:1/d", "")


def test_the_token_is_the_password_of_the_local_store_only() -> None:
    assert dsn_from_environment({"PROMPTSPAN_TOKEN": "t"}).password == "t"
    elsewhere = {"PROMPTSPAN_CLICKHOUSE_URL": "https://elsewhere.example/d", "PROMPTSPAN_TOKEN": "t"}
    assert dsn_from_environment(elsewhere).password == ""


def test_a_store_that_is_not_there_is_one_sentence_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreUnreachable, match="refuses connections; start it with `promptspan up`"):
        Store(parse_dsn(f"http://127.0.0.1:{port}/default")).ask(Freshness())


def test_another_web_server_is_told_from_clickhouse() -> None:
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b"not found")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(StoreUnreachable, match="not as ClickHouse does"):
            connect(parse_dsn(f"http://127.0.0.1:{server.server_address[1]}/default"))
        server.shutdown()


def test_a_question_that_the_store_refuses_keeps_its_code_and_says_what_to_do(live: LiveStore) -> None:
    class Missing(Templates):
        def sql(self) -> str:
            return "SELECT 1 FROM no_such_table WHERE {prompt:String} = '' LIMIT 1"

    with pytest.raises(QueryFailed, match="promptspan migrate") as caught:
        live.reader.ask(Missing("x"))
    assert caught.value.code == 60


def test_a_user_that_the_store_does_not_know_is_told_where_to_put_the_right_one(live: LiveStore) -> None:
    with pytest.raises(StoreUnreachable, match="does not accept this user"):
        connect(parse_dsn(f"http://nobody:wrong@127.0.0.1:{live.clickhouse_port}/default"))


def test_readers_cannot_write(live: LiveStore) -> None:
    class Writing(Templates):
        def sql(self) -> str:
            return "INSERT INTO prompt_templates (prompt_name) VALUES ({prompt:String})"

    with pytest.raises(QueryFailed):
        live.reader.ask(Writing("written by a reader"))
    assert live.value("SELECT count() FROM prompt_templates WHERE prompt_name = 'written by a reader'") == 0


def test_an_answer_says_when_it_was_asked_for(live: LiveStore) -> None:
    answer = live.reader.ask(Freshness())
    assert answer.elapsed_s > 0
    assert abs(answer.rows[0].store_time.timestamp() - answer.asked_at_s) < 60


def test_a_server_is_asked_without_the_settings_that_it_does_not_have(live: LiveStore) -> None:
    store = Store(live.reader.dsn)
    asked = "SELECT toString(getSetting('analyzer_inline_views')) AS inlined"
    assert store.table(asked, {}).to_pylist() == [{"inlined": "true"}]
    client = store._client  # pyright: ignore[reportPrivateUsage]
    assert client is not None
    client.server_settings.pop("analyzer_inline_views")
    assert store.table(asked, {}).to_pylist() == [{"inlined": "false"}]
    store.close()
