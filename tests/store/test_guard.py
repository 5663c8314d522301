from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.store.engine import Engine, StoreError
from promptspan_server.store.guard import check, check_settings, values_may_compute
from promptspan_server.store.sql_lexer import tokens

REACHING_OUT = [
    "SELECT file('/etc/hostname')",
    "SELECT `file`('/etc/hostname')",
    "SELECT \"fi\\x6ce\"('/etc/hostname')",
    "SELECT file /* x */ ('/etc/hostname')",
    "SELECT file -- x\n ('/etc/hostname')",
    "SELECT arrayMap(file, ['/etc/hostname'])",
    "SELECT arrayMap(`file`, ['/etc/hostname'])",
    "SELECT * APPLY file FROM (SELECT '/etc/hostname')",
    "SELECT * APPLY(file) FROM (SELECT '/etc/hostname')",
    "WITH (x) -> file(x) AS f SELECT f('/etc/hostname')",
    "WITH file AS f SELECT arrayMap(f, ['/etc/hostname'])",
    "SELECT * FROM view(SELECT file('/etc/hostname'))",
    "DESCRIBE file('/etc/hostname')",
    "DESCRIBE TABLE url('http://127.0.0.1:1/')",
    "SELECT * FROM url('http://127.0.0.1:1/')",
    "SELECT * FROM s3('http://127.0.0.1:1/b/x')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM executable('x', 'CSV', 'a Int8')",
    "SELECT * FROM Python(os)",
    "SELECT * FROM eval('SELECT 1')",
    "EXPLAIN SELECT * FROM file('/etc/hostname')",
    "SELECT 1 INTO OUTFILE '/tmp/out'",
    "SELECT aiGenerate('x', 'y')",
    "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '/etc/hostname'",
    "SELECT 1 SETTINGS additional_result_filter = 'file(''/etc/hostname'') != '''''",
]
WRITING_OUT = [
    "INSERT INTO FUNCTION file('/tmp/out', 'CSV') SELECT 1",
    "INSERT INTO t FROM INFILE '/etc/hostname' FORMAT CSV",
    "CREATE TABLE x (a String) ENGINE = File(CSV, '/etc/hostname')",
    "CREATE TABLE x (a String) ENGINE = URL('http://127.0.0.1:1/', CSV)",
    "CREATE DATABASE x ENGINE = Filesystem('/etc')",
    "CREATE FUNCTION f AS (x) -> file(x)",
    "CREATE VIEW v AS SELECT * FROM url('http://127.0.0.1:1/')",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(PATH '/x' FORMAT 'CSV')) LAYOUT(FLAT())",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(HOST 'x' TABLE 't')) LAYOUT(FLAT())",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY 'SELECT 1')) LAYOUT(FLAT())",
    "CREATE TABLE x (a String DEFAULT file('/etc/hostname')) ENGINE = Memory",
    "BACKUP TABLE t TO File('/tmp/out')",
    "ATTACH TABLE t FROM '/tmp' (a Int8) ENGINE = MergeTree ORDER BY a",
]
CONTROLLING = [
    "KILL QUERY WHERE 1",
    "USE system",
    "SYSTEM STOP MERGES",
    "SET max_threads = 1",
    "DETACH TABLE t",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "INSERT INTO t VALUES (1)",
    "DROP TABLE t",
    "OPTIMIZE TABLE t",
    "BEGIN TRANSACTION",
    "GRANT SELECT ON *.* TO x",
]
HARMLESS = [
    "SELECT 'file(1) INTO OUTFILE' AS x -- file('/etc/passwd')",
    "SELECT url, s3, remote FROM (SELECT 1 AS url, 2 AS s3, 3 AS remote)",
    "SELECT t.file AS file FROM (SELECT 1 AS `file`) AS t",
    "SELECT attributes['http.url'], count() FROM (SELECT map('http.url', 'x') AS attributes) GROUP BY 1",
    "SELECT * FROM numbers(3) FORMAT JSON",
    "SHOW TABLES",
    "DESCRIBE TABLE system.one",
    "EXPLAIN SELECT 1",
    "SELECT replaceAll('a\\'b', '\\\\', '/')",
    "WITH 1 AS x SELECT x",
    "(SELECT 1) UNION ALL (SELECT 2)",
]


def refused(engine: Engine, sql: str, *, reading: bool, params: dict[str, str] | None = None) -> int:
    with engine.handle() as handle:
        try:
            check(handle, sql.encode(), params or {}, reading=reading, outside=False)
        except StoreError as error:
            return error.code
    return 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    with Engine.open(tmp_path_factory.mktemp("guard")) as engine:
        yield engine


@pytest.mark.parametrize("sql", REACHING_OUT)
def test_no_one_reads_files_or_opens_connections(shared: Engine, sql: str) -> None:
    assert refused(shared, sql, reading=False) == 497
    assert refused(shared, sql, reading=True) in {497, 164}


@pytest.mark.parametrize("sql", WRITING_OUT)
def test_no_one_writes_files_or_builds_a_way_to_them(shared: Engine, sql: str) -> None:
    assert refused(shared, sql, reading=False) == 497
    assert refused(shared, sql, reading=True) == 164


@pytest.mark.parametrize("sql", CONTROLLING)
def test_a_reader_only_reads(shared: Engine, sql: str) -> None:
    assert refused(shared, sql, reading=True) == 164
    assert refused(shared, sql, reading=False) == 0


@pytest.mark.parametrize("sql", HARMLESS)
def test_what_only_looks_dangerous_passes_and_runs(shared: Engine, sql: str) -> None:
    assert refused(shared, sql, reading=True) == 0
    with shared.handle(readonly=True) as handle:
        handle.query(sql)


def test_a_dictionary_of_a_table_of_the_store_is_no_way_out(shared: Engine) -> None:
    sql = "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT())"
    assert refused(shared, sql, reading=False) == 0


def test_a_refused_name_does_not_hide_in_a_parameter(shared: Engine) -> None:
    sql = "SELECT arrayMap({f:Identifier}, ['/etc/hostname'])"
    assert refused(shared, sql, reading=True, params={"f": "file"}) == 497
    assert refused(shared, sql, reading=True, params={"f": "`file`"}) == 497
    assert refused(shared, "SELECT {f:String}", reading=True, params={"f": "file"}) == 0


def test_two_statements_and_none_are_syntax_errors_with_the_engines_own_words(shared: Engine) -> None:
    for sql in ("SELECT 1; SELECT 2", "SELECT (", "", "SELECT 1; DROP TABLE t"):
        assert refused(shared, sql, reading=True) in {62, 164}
    with shared.handle() as handle, pytest.raises(StoreError, match="failed at position"):
        check(handle, b"SELECT 1 FRM x y", {}, reading=True, outside=False)


def test_the_owner_may_allow_files_but_never_for_readers(shared: Engine) -> None:
    with shared.handle() as handle:
        check(handle, b"SELECT file('/etc/hostname')", {}, reading=False, outside=True)
        with pytest.raises(StoreError):
            check(handle, b"SELECT file('/etc/hostname')", {}, reading=True, outside=True)


def test_settings_that_hold_paths_or_sql_are_refused() -> None:
    check_settings(["max_threads", "output_format_json_quote_64bit_integers"])
    for name in ("format_schema", "format_template_row", "additional_table_filters"):
        with pytest.raises(StoreError):
            check_settings([name])


@pytest.mark.parametrize(
    ("rows", "may"),
    [
        (b"(1, 'a'), (2, now())", True),
        (b"(1, 'it\\'s')", True),
        (b"(file('/etc/passwd'))", False),
        (b'("fi\\x6ce"(1))', False),
        (b"(`fi\\x6ce`(1))", False),
    ],
)
def test_rows_of_values_may_compute_unless_they_could_call_a_refused_function(rows: bytes, may: bool) -> None:
    assert values_may_compute(rows) is may


@given(st.text(alphabet="a'\"`\\$-/*# \n(;x", max_size=40))
def test_the_lexer_covers_any_text_without_overlap(text: str) -> None:
    position = 0
    for token in tokens(text):
        assert token.start >= position
        assert text[token.start : token.end] == token.text
        position = token.end
    assert position <= len(text)


def test_the_lexer_is_linear_on_hostile_text() -> None:
    for piece in ("'", "'\\", "/*", "$a$", '"', "`", "--", "$", "\\"):
        assert sum(1 for _ in tokens(piece * 50_000)) <= 200_000
