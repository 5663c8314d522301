from __future__ import annotations

import contextlib
import gzip
import json
import random
import re
import socket
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import lz4.frame as lz4_frame
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptspan_server.store.access import Access
from promptspan_server.store.engine import Engine
from promptspan_server.store.native_compression import BlockDecoder, BlockEncoder
from store.serving import serving

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

lz4: Any = lz4_frame  # it has no types


def unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    with Engine.open(tmp_path_factory.mktemp("http")) as opened:
        with opened.handle() as handle:
            handle.query("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
        yield opened


@pytest.fixture(scope="module")
def port(engine: Engine) -> Generator[int]:
    with serving(engine) as listening:
        yield listening


@pytest.fixture
def http(port: int) -> Generator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def empty(engine: Engine) -> None:
    with engine.handle() as handle:
        handle.query("TRUNCATE TABLE t")


def rows(engine: Engine, sql: str = "SELECT a, b FROM t ORDER BY a") -> str:
    with engine.handle() as handle:
        return handle.query(sql, "CSV").data.decode()


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_without_a_query_it_says_ok(http: httpx.Client, path: str) -> None:
    assert http.get(path).text == "Ok.\n"
    head = http.head(path)
    assert (head.status_code, head.content) == (200, b"")


def test_a_query_comes_in_the_url_in_the_body_or_in_both(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("/", content="SELECT 2").text == "2\n"
    assert http.post("/", params={"query": "SELECT 3 +"}, content="4").text == "7\n"
    # What curl -d sends.
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert http.post("/", content="SELECT 5", headers=form).text == "5\n"
    assert http.post("/?query=SELECT%20'%FF'%20FORMAT%20RawBLOB").content == b"\xff"


def test_headers_tell_what_clients_read(http: httpx.Client) -> None:
    answer = http.post(
        "/", params={"query_id": "mine-1"}, content="SELECT number FROM numbers(10) FORMAT JSONEachRow"
    )
    assert answer.headers["x-clickhouse-query-id"] == "mine-1"
    assert answer.headers["x-clickhouse-format"] == "JSONEachRow"
    assert answer.headers["content-type"] == "application/x-ndjson; charset=UTF-8"
    assert answer.headers["x-clickhouse-timezone"]
    assert answer.headers["x-clickhouse-server-display-name"]
    summary = json.loads(answer.headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("10", "10")
    assert int(summary["elapsed_ns"]) > 0
    answer = http.post("/", content="CREATE TABLE IF NOT EXISTS t (a UInt64)")
    assert "x-clickhouse-format" not in answer.headers
    assert len(http.post("/", content="SELECT 1").headers["x-clickhouse-query-id"]) == 36


@pytest.mark.parametrize(
    ("params", "sql", "expected"),
    [
        ({"default_format": "JSONCompactEachRow"}, "SELECT 1, 'a'", '[1, "a"]\n'),
        ({"default_format": "JSONCompactEachRow"}, "SELECT 1 FORMAT CSV", "1\n"),
        ({"param_x": "a\\tb", "param_n": "5"}, "SELECT {x:String}, {n:UInt8}", "a\\tb\t5\n"),
        ({"param_i": "numbers"}, "SELECT count() FROM system.{i:Identifier} WHERE 0", "0\n"),
        ({"max_block_size": "7"}, "SELECT getSetting('max_block_size')", "7\n"),
        ({"database": "system"}, "SELECT currentDatabase()", "system\n"),
        ({}, "SELECT 1 AS format, 2 AS x FORMAT TSVWithNames", "format\tx\n1\t2\n"),
        ({}, "WITH 1 AS x SELECT x", "1\n"),
        (
            {},
            "SELECT number, count() FROM numbers(2) GROUP BY number WITH TOTALS ORDER BY 1",
            "0\t1\n1\t1\n\n0\t2\n",
        ),
        ({"extremes": "1"}, "SELECT number FROM numbers(2)", "0\n1\n\n0\n1\n"),
        ({}, "SHOW TABLES", "t\n"),
        ({}, "EXISTS TABLE t", "1\n"),
        ({}, "-- a comment\nSELECT 1 -- another", "1\n"),
        ({}, "SELECT 1;", "1\n"),
        ({"wait_end_of_query": "1"}, "SELECT sum(number) FROM numbers(1000)", "499500\n"),
    ],
)
def test_statements_and_parameters(
    http: httpx.Client, params: dict[str, str], sql: str, expected: str
) -> None:
    answer = http.post("/", params=params, content=sql)
    assert (answer.status_code, answer.text) == (200, expected)


@pytest.mark.parametrize(
    ("params", "content"),
    [
        ({"query": "INSERT INTO t FORMAT CSV"}, b"1,x\n2,y\n"),
        ({"query": "INSERT INTO t (a, b) FORMAT JSONEachRow"}, b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}'),
        ({"query": "INSERT INTO t"}, b"(1, 'x'), (2, 'y')"),
        ({"query": "INSERT INTO t VALUES"}, b"(1, 'x'), (1 + 1, lower('Y'))"),
        ({"query": "INSERT INTO t VALUES (1, 'x'), (2, 'y')"}, b""),
        ({"query": "INSERT INTO t SETTINGS max_threads = 1 FORMAT CSV"}, b"1,x\n2,y\n"),
        ({"query": "INSERT INTO `t` (`a`, `b`) FORMAT TabSeparated;"}, b"1\tx\n2\ty\n"),
        ({"query": "INSERT INTO {t:Identifier} FORMAT CSV", "param_t": "t"}, b"1,x\n2,y\n"),
        ({"query": "INSERT INTO default.t FORMAT CSV"}, b"1,x\n2,y\n"),
        ({"query": "INSERT INTO t", "default_format": "CSV"}, b"1,x\n2,y\n"),
        ({}, b"INSERT INTO t FORMAT CSV\n1,x\n2,y\n"),
        ({}, b"INSERT INTO t FORMAT CSV 1,x\n2,y\n"),
        ({}, b"insert into t values (1, 'x'), (2, 'y')"),
        ({}, b"/* values */ INSERT INTO t (a, b) -- format CSV\n FORMAT CSV\r\n1,x\n2,y\n"),
        ({}, b"INSERT INTO t SELECT number + 1, if(number = 1, 'y', 'x') FROM numbers(2)"),
        ({"query": "INSERT INTO t SELECT number + 1, if(number = 1, 'y', 'x')"}, b"FROM numbers(2)"),
    ],
)
@pytest.mark.usefixtures("empty")
def test_an_insert_has_its_data_anywhere(
    http: httpx.Client, engine: Engine, params: dict[str, str], content: bytes
) -> None:
    answer = http.post("/", params=params, content=content)
    assert (answer.status_code, answer.text) == (200, "")
    assert json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] == "2"
    assert rows(engine) == '1,"x"\n2,"y"\n'


@pytest.mark.usefixtures("empty")
def test_a_large_insert_arrives_in_pieces_cut_anywhere(http: httpx.Client, engine: Engine) -> None:
    document = b"INSERT INTO t FORMAT CSV\n" + b"".join(b'%d,"row, ""%d"""\n' % (i, i) for i in range(50_000))
    rng = random.Random(3)

    def pieces() -> Iterator[bytes]:
        position = 0
        while position < len(document):
            size = rng.choice([1, 3, 17, 5000, 100_000])
            yield document[position : position + size]
            position += size

    assert http.post("/", content=pieces()).status_code == 200
    assert rows(engine, "SELECT count(), sum(a), uniqExact(b) FROM t") == "50000,1249975000,50000\n"


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("lz4", lz4.compress),
    ],
)
@pytest.mark.usefixtures("empty")
def test_bodies_come_compressed(http: httpx.Client, engine: Engine, encoding: str, encode: Any) -> None:
    headers = {"content-encoding": encoding}
    assert (
        http.post("/", content=encode(b"INSERT INTO t FORMAT CSV\n1,x\n"), headers=headers).status_code == 200
    )
    params = {"query": "INSERT INTO t FORMAT CSV"}
    assert http.post("/", params=params, content=encode(b"2,y\n"), headers=headers).status_code == 200
    assert http.post("/", content=encode(b"SELECT 1"), headers=headers).text == "1\n"
    assert rows(engine) == '1,"x"\n2,"y"\n'
    broken = http.post("/", params=params, content=encode(b"3,z\n" * 100)[:-3], headers=headers)
    assert broken.status_code == 400
    assert rows(engine) == '1,"x"\n2,"y"\n'


@pytest.mark.parametrize(
    ("accepted", "decode"),
    [
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("zstd", unzstd),
        ("lz4", lz4.decompress),
    ],
)
def test_results_go_compressed_to_those_who_accept_it(http: httpx.Client, accepted: str, decode: Any) -> None:
    for size in (300_000, 1000):
        sql = f"SELECT number FROM numbers({size})"
        with http.stream("POST", "/", content=sql, headers={"accept-encoding": accepted}) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == accepted
        assert decode(raw).count(b"\n") == size


def test_a_client_of_http_1_0_gets_its_result_in_one_piece(port: int) -> None:
    sql = "SELECT number FROM numbers(500000)"
    with socket.create_connection(("127.0.0.1", port), 30) as raw:
        raw.sendall(f"POST / HTTP/1.0\r\ncontent-length: {len(sql)}\r\n\r\n{sql}".encode())
        answer = b"".join(iter(lambda: raw.recv(1 << 20), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body.count(b"\n") == 500_000


def test_compressed_blocks_go_both_ways(http: httpx.Client, engine: Engine, empty: None) -> None:
    del empty
    params = {"query": "INSERT INTO t FORMAT CSV", "decompress": "1", "compress": "1"}
    assert http.post("/", params=params, content=BlockEncoder().feed(b"1,x\n")).status_code == 200
    answer = http.post("/", params={"compress": "1"}, content="SELECT a, b FROM t FORMAT CSV")
    assert b"".join(BlockDecoder().feed(answer.content)) == b'1,"x"\n'
    failed = http.post("/", params={"compress": "1"}, content="SELECT nothing")
    assert b"UNKNOWN_IDENTIFIER" in b"".join(BlockDecoder().feed(failed.content))
    assert failed.status_code == 404
    damaged = http.post("/", params=params, content=b"\x00" * 40)
    assert damaged.status_code == 400
    assert rows(engine) == '1,"x"\n'


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELECT FRM x y", 400, 62, "SYNTAX_ERROR"),
        ("", 400, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT * FROM nowhere.t", 404, 81, "UNKNOWN_DATABASE"),
        ("SELECT 1 FORMAT Nonsense", 404, 73, "UNKNOWN_FORMAT"),
        ("INSERT INTO nowhere FORMAT CSV 1\n", 404, 60, "UNKNOWN_TABLE"),
        ("INSERT INTO t FORMAT CSV one,x\n", 400, 27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT url('x') FROM url('http://127.0.0.1:1/')", 403, 497, "ACCESS_DENIED"),
        (
            "SELECT sum(number) FROM system.numbers SETTINGS max_execution_time = 0.2",
            408,
            159,
            "TIMEOUT_EXCEEDED",
        ),
    ],
)
def test_errors_have_clickhouse_status_code_and_text(
    http: httpx.Client, sql: str, status: int, code: int, name: str
) -> None:
    answer = http.post("/", content=sql)
    assert answer.status_code == status
    assert answer.headers["x-clickhouse-exception-code"] == str(code)
    assert re.fullmatch(
        rf"Code: {code}\. DB::Exception: .*\({name}\) \(version [\d.]+\)\n", answer.text, re.DOTALL
    )


def test_a_failure_in_mid_stream_ends_in_an_exception_block_and_a_broken_connection(port: int) -> None:
    sql = "SELECT number, throwIf(number = 1000000) FROM numbers(2000000) SETTINGS max_threads = 1"
    with socket.create_connection(("127.0.0.1", port), 30) as raw:
        raw.sendall(f"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(sql)}\r\n\r\n{sql}".encode())
        answer = b"".join(iter(lambda: raw.recv(1 << 20), b""))
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 200")
    tag = re.search(r"x-clickhouse-exception-tag: (\w{16})\r\n", head)
    assert tag is not None
    assert not answer.endswith(b"0\r\n\r\n")
    block = re.search(
        rb"\r\n__exception__\r\n(\w{16})\r\n(.*)\n(\d+) (\w{16})\r\n__exception__\r\n", answer, re.DOTALL
    )
    assert block is not None
    assert (block[1].decode(), block[4].decode()) == (tag[1], tag[1])
    assert int(block[3]) == len(block[2])
    assert block[2].startswith(b"Code: 395. DB::Exception: ")


def test_waiting_for_the_end_gives_a_late_failure_its_status(http: httpx.Client) -> None:
    sql = "SELECT number, throwIf(number = 1000000) FROM numbers(2000000) SETTINGS max_threads = 1"
    assert http.post("/", params={"wait_end_of_query": "1"}, content=sql).status_code == 500


def test_get_reads_only(http: httpx.Client, engine: Engine) -> None:
    for sql in (
        "CREATE TABLE x (a UInt8) ENGINE = Memory",
        "INSERT INTO t VALUES (1, 'x')",
        "SYSTEM STOP MERGES",
    ):
        answer = http.get("/", params={"query": sql})
        assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (500, "164")
    assert rows(engine, "EXISTS TABLE x") == "0\n"


def test_other_methods_and_pages_are_refused(http: httpx.Client) -> None:
    assert http.put("/", content="SELECT 1").status_code == 405
    assert http.delete("/").status_code == 405
    assert http.options("/").status_code == 405
    assert http.get("/play").status_code == 404
    assert http.post("/other", content="SELECT 1").status_code == 404


def test_sessions_are_checked_locked_and_bounded(http: httpx.Client) -> None:
    answer = http.post("/", params={"session_id": "none", "session_check": "1"}, content="SELECT 1")
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (404, "372")
    assert (
        http.post("/", params={"session_id": "s", "session_timeout": "9999"}, content="SELECT 1").status_code
        == 500
    )
    session = {"session_id": "s", "session_timeout": "30"}
    assert (
        http.post("/", params=session, content="CREATE TEMPORARY TABLE mine AS SELECT 7 AS x").status_code
        == 200
    )
    assert http.post("/", params=session | {"session_check": "1"}, content="SELECT x FROM mine").text == "7\n"
    assert (
        http.post("/", params={"session_id": "s", "user": "reader"}, content="SELECT x FROM mine").status_code
        == 404
    )
    assert http.post("/", params=session | {"session_timeout": "0"}, content="SELECT 1").status_code == 200
    gone = http.post("/", params=session | {"session_check": "1"}, content="SELECT 1")
    assert gone.headers["x-clickhouse-exception-code"] == "372"


def until(condition: Any, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


SLOW = "SELECT count() FROM numbers(1000000) WHERE sleepEachRow(0.001) = 0 SETTINGS max_block_size = 100"


def running(engine: Engine) -> int:
    return int(
        rows(
            engine,
            "SELECT count() FROM system.processes WHERE query LIKE concat('%sleepEach', 'Row(%')",
        )
    )


def test_a_client_that_leaves_stops_its_query(port: int, engine: Engine) -> None:
    with socket.create_connection(("127.0.0.1", port), 30) as raw:
        raw.sendall(
            f"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(SLOW)}\r\n\r\n{SLOW}".encode()
        )
        until(lambda: running(engine) == 1)
    until(lambda: running(engine) == 0)


def test_a_client_that_leaves_a_stream_stops_it(port: int, engine: Engine) -> None:
    sql = "SELECT number, sleepEachRow(0.00001) FROM system.numbers"
    with socket.create_connection(("127.0.0.1", port), 30) as raw:
        raw.sendall(f"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(sql)}\r\n\r\n{sql}".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
        assert running(engine) == 1
    until(lambda: running(engine) == 0)


def test_a_query_is_killed_by_its_id_and_only_by_those_who_may(
    http: httpx.Client, engine: Engine, port: int
) -> None:
    codes: list[str] = []

    def run() -> None:
        url = f"http://127.0.0.1:{port}/?query_id=victim"
        answer = httpx.post(url, content=SLOW, timeout=60, trust_env=False)
        codes.append(answer.headers["x-clickhouse-exception-code"])

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: running(engine) == 1)
    same = http.post("/", params={"query_id": "victim"}, content="SELECT 1")
    assert same.headers["x-clickhouse-exception-code"] == "216"
    kill = "KILL QUERY WHERE query_id = 'victim'"
    assert (
        http.post("/", params={"user": "reader"}, content=kill).headers["x-clickhouse-exception-code"]
        == "164"
    )
    assert running(engine) == 1
    assert http.post("/", content=kill).text.split("\t")[:2] == ["waiting", "victim"]
    thread.join(30)
    assert codes == ["394"]
    assert http.post("/", content=kill).status_code == 200


def test_an_interrupted_insert_inserts_nothing(port: int, engine: Engine, empty: None) -> None:
    del empty
    with socket.create_connection(("127.0.0.1", port), 30) as raw:
        head = "POST /?query=INSERT%20INTO%20t%20FORMAT%20CSV HTTP/1.1\r\nhost: localhost\r\n"
        raw.sendall(head.encode() + b"content-length: 1000\r\n\r\n" + b"1,x\n" * 10)
    with socket.create_connection(("127.0.0.1", port), 30) as raw:
        raw.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
    assert rows(engine) == ""


def test_rows_of_values_cannot_read_files(http: httpx.Client, engine: Engine, empty: None) -> None:
    del empty
    answer = http.post("/", content="INSERT INTO t VALUES (1, file('/etc/hostname'))")
    assert answer.status_code >= 400
    assert http.post("/", content="INSERT INTO t VALUES (1, 'the file (1)')").status_code == 200
    assert rows(engine) == '1,"the file (1)"\n'


def test_the_canary_file_stays_unread_by_every_known_way(
    http: httpx.Client, engine: Engine, tmp_path: Any
) -> None:
    canary = tmp_path / "canary.csv"
    canary.write_text("canary-5b1f\ncanary-5b1f\n")
    ways = [
        f"SELECT file('{canary}')",
        f"SELECT * FROM file('{canary}')",
        f"SELECT * FROM `{canary}`",
        f"SELECT * FROM default.`{canary}`",
        f"SELECT arrayMap(file, ['{canary}'])",
        f"DESCRIBE file('{canary}', 'CSVWithNames')",
        f"DESCRIBE TABLE `{canary}`",
        f"SELECT 1 FORMAT Template SETTINGS format_template_row = '{canary}'",
        f"SELECT * FROM merge('default', '{canary}')",
        f"EXPLAIN SELECT * FROM file('{canary}')",
    ]
    for user in ("default", "reader"):
        for sql in ways:
            answer = http.post("/", params={"user": user}, content=sql)
            assert "canary-5b1f" not in answer.text, (user, sql)
    for params in ({"format_template_row": str(canary)}, {"format_schema": str(canary)}):
        answer = http.post("/", params=params, content="SELECT 1 FORMAT Template")
        assert answer.status_code == 403


def test_the_owner_may_allow_files(engine: Engine, tmp_path: Any) -> None:
    (tmp_path / "mine.csv").write_text("42\n")
    with serving(engine, outside=True) as port:
        url = f"http://127.0.0.1:{port}/"
        sql = f"SELECT * FROM file('{tmp_path}/mine.csv')"
        assert httpx.post(url, content=sql, trust_env=False).text == "42\n"
        assert httpx.post(url, params={"user": "reader"}, content=sql, trust_env=False).status_code == 403


def test_with_a_token_every_page_but_ping_asks_for_it(engine: Engine) -> None:
    with (
        serving(engine, Access("127.0.0.1", "secret")) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        assert http.get("/ping").status_code == 200
        missing = http.post("/", content="SELECT 1")
        assert (missing.status_code, missing.headers["x-clickhouse-exception-code"]) == (401, "516")
        assert "www-authenticate" in missing.headers
        wrong = http.post("/", content="SELECT 1", auth=("default", "wrong"))
        assert (wrong.status_code, wrong.headers["x-clickhouse-exception-code"]) == (403, "516")
        assert http.get("/?query=SELECT+1").status_code == 401
        for user in ("default", "reader"):
            assert http.post("/", content="SELECT 1", auth=(user, "secret")).text == "1\n"
        assert http.post("/", content="SELECT 1", headers={"authorization": "Bearer secret"}).text == "1\n"


def test_pages_of_other_origins_are_refused(http: httpx.Client) -> None:
    for foreign in (
        {"origin": "http://evil.example"},
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
    ):
        assert http.post("/", content="SELECT 1", headers=foreign).status_code == 403
        assert http.get("/?query=SELECT+1", headers=foreign).status_code == 403


def test_a_statement_or_a_head_without_end_is_refused(http: httpx.Client, port: int) -> None:
    answer = http.post("/", content=b"SELECT '" + b"x" * (17 << 20))
    assert answer.status_code == 413
    with socket.create_connection(("127.0.0.1", port), 30) as raw, contextlib.suppress(ConnectionError):
        for _ in range(40):
            raw.sendall(b"GET / HTTP/1.1\r\n" if _ == 0 else b"x-filler: " + b"y" * 100_000 + b"\r\n")
        assert raw.recv(100) == b""
    assert http.get("/ping").status_code == 200


def test_many_clients_at_once_are_all_answered(port: int) -> None:
    answers: list[str] = []

    def ask(number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            answers.extend(
                client.post("/", content=f"SELECT sum(number) + {number} FROM numbers(100000)").text
                for _ in range(5)
            )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(set(answers)) == sorted(f"{4999950000 + number}\n" for number in range(24))
    assert len(answers) == 120


@pytest.mark.parametrize("sql", [b'"\x80"', b"SELECT \xff FROM", b"KILL QUERY \xfe"])
def test_a_statement_that_is_no_text_is_refused_as_clickhouse_does(http: httpx.Client, sql: bytes) -> None:
    answer = http.post("/", content=sql)
    assert 400 <= answer.status_code < 600
    assert answer.headers["x-clickhouse-exception-code"] not in {"1002", "49"}
    assert "DB::Exception" in answer.text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=80),
        st.lists(
            st.sampled_from(
                [
                    b"SELECT",
                    b"INSERT INTO t",
                    b"VALUES",
                    b"FORMAT",
                    b"CSV",
                    b"1",
                    b"(",
                    b")",
                    b"'",
                    b'"',
                    b"`",
                    b"--",
                    b"/*",
                    b"$$",
                    b"\\",
                    b";",
                    b"\n",
                    b"\x00",
                    b"\xff",
                    b"{x:String}",
                    b"FROM t",
                    b",",
                    b"Native",
                    b"KILL QUERY",
                ]
            ),
            max_size=10,
        ).map(b" ".join),
    ),
    st.sampled_from(["default", "reader"]),
    st.dictionaries(
        st.sampled_from(
            ["param_x", "max_threads", "session_id", "default_format", "query_id", "compress", "database"]
        ),
        st.sampled_from(["", "1", "x'", "JSON", "\x00", "ü"]),
        max_size=2,
    ),
)
def test_any_statement_gets_an_answer(
    http: httpx.Client, sql: bytes, user: str, params: dict[str, str]
) -> None:
    answer = http.post("/", params=params | {"user": user}, content=sql)
    assert 200 <= answer.status_code < 600
    assert answer.status_code == 200 or answer.headers["x-clickhouse-exception-code"] not in {"1002", "49"}


def test_any_bytes_on_the_wire_leave_the_server_serving(port: int, http: httpx.Client) -> None:
    rng = random.Random(7)
    good = b"POST /?query=SELECT%201 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
    for _ in range(60):
        request = bytearray(good)
        for _ in range(rng.randrange(1, 8)):
            request[rng.randrange(len(request))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", port), 5) as raw, contextlib.suppress(ConnectionError):
            raw.sendall(bytes(request))
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
    assert http.post("/", content="SELECT 1").text == "1\n"
