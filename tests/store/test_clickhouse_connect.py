from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pandas as pd
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from promptspan_server.store.engine import Engine
from store.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

arrow: Any = pa  # neither has types that a strict checker can follow
connect: Any = clickhouse_connect


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with Engine.open(tmp_path_factory.mktemp("connect")) as engine, serving(engine) as listening:
        yield listening


@pytest.fixture
def client(port: int) -> Iterator[Any]:
    made = connect.get_client(host="127.0.0.1", port=port)
    yield made
    made.close()


@pytest.fixture
def reader(port: int) -> Iterator[Any]:
    made = connect.get_client(host="127.0.0.1", port=port, username="reader")
    yield made
    made.close()


@pytest.fixture
def table(client: Any) -> str:
    name = f"t_{uuid.uuid4().hex[:8]}"
    client.command(
        f"CREATE TABLE {name} (a UInt64, b String, c Nullable(Float64)) ENGINE = MergeTree ORDER BY a"
    )
    return name


def test_a_select_binds_parameters_on_the_server(client: Any) -> None:
    when = dt.datetime(2026, 1, 2, 3, 4, 5)
    result = client.query(
        "SELECT {n:UInt64} + 1, {s:String}, {l:Array(String)}, {t:DateTime('UTC')}, {d:Decimal(18, 9)}, "
        "{x:Nullable(String)}",
        parameters={
            "n": 41,
            "s": "it's\n\ta \\ 'quote'",
            "l": ["a", "b'"],
            "t": when,
            "d": Decimal("1.5"),
            "x": None,
        },
    )
    assert result.result_rows == [
        (42, "it's\n\ta \\ 'quote'", ["a", "b'"], when, Decimal("1.500000000"), None)
    ]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip", True])
def test_results_and_inserts_travel_compressed(port: int, compress: Any) -> None:
    client: Any = connect.get_client(host="127.0.0.1", port=port, compress=compress)
    name = f"z_{uuid.uuid4().hex[:8]}"
    client.command(f"CREATE TABLE {name} (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    rows = [[i, f"row {i}" * 5] for i in range(20_000)]
    client.insert(name, rows, column_names=["a", "b"])
    result = client.query(f"SELECT a, b FROM {name} ORDER BY a")
    assert [list(row) for row in result.result_rows] == rows
    client.close()


def test_every_type_that_tables_use_comes_back_as_it_is(client: Any) -> None:
    row = client.query(
        """SELECT toLowCardinality('low'), toNullable('x'), CAST(NULL, 'Nullable(UInt8)'),
            CAST('n', 'LowCardinality(Nullable(String))'), map('k', 1), CAST(map('a', 'b'),
            'Map(LowCardinality(String), String)'), [1, 2], [['a'], []], (1, 'a'), toFixedString('ab', 4),
            toDecimal64('1.25', 9), toDecimal128('1.25', 20),
            toDateTime64('2026-01-01 00:00:00.123456', 6, 'UTC'),
            toDate('2026-01-01'), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toIPv4('1.2.3.4'), true,
            CAST('a', 'Enum8(\\'a\\' = 1)'), toInt256(-5), CAST('{"a": 1}', 'JSON'),
            CAST(1, 'Dynamic'), CAST('v', 'Variant(String, UInt8)'), toFloat32(0.5)"""
    ).result_rows[0]
    assert row[:9] == ("low", "x", None, "n", {"k": 1}, {"a": "b"}, [1, 2], [["a"], []], (1, "a"))
    assert bytes(row[9]) == b"ab\0\0"
    assert row[10:12] == (Decimal("1.25"), Decimal("1.25"))
    assert str(row[12]).startswith("2026-01-01 00:00:00.123456")
    assert row[13:] == (
        dt.date(2026, 1, 1),
        uuid.UUID("61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
        row[15],
        True,
        "a",
        -5,
        {"a": 1},
        1,
        "v",
        0.5,
    )
    assert str(row[15]) == "1.2.3.4"


def test_rows_and_columns_and_frames_and_arrow_are_inserted(client: Any, table: str) -> None:
    assert (
        client.insert(table, [[1, "x", 0.5], [2, "y", None]], column_names=["a", "b", "c"]).written_rows == 2
    )
    client.insert(
        table, [[3, 4], ["c", "d"], [None, 1.0]], column_names=["a", "b", "c"], column_oriented=True
    )
    client.insert_df(table, pd.DataFrame({"a": [5], "b": ["frame"], "c": [2.5]}))
    client.insert_arrow(table, arrow.table({"a": [6], "b": ["arrow"], "c": [3.5]}))
    client.raw_insert(table, column_names=["a", "b"], insert_block="7,raw\n8,raw\n", fmt="CSV")
    client.raw_insert(table, column_names=["a", "b"], insert_block=iter([b"9,", b"gen\n"]), fmt="CSV")
    client.raw_insert(table, insert_block=b'{"a": 10, "b": "json"}\n', fmt="JSONEachRow", compression=None)
    assert client.query(f"SELECT count(), sum(a) FROM {table}").result_rows == [(10, 55)]


def test_arrow_and_frames_come_back(client: Any) -> None:
    table = client.query_arrow("SELECT number, toString(number) AS s FROM numbers(200000)")
    assert (table.num_rows, table.column_names) == (200_000, ["number", "s"])
    frame = client.query_df("SELECT number, toString(number) AS s FROM numbers(100)")
    assert int(frame["number"].sum()) == 4950


def test_results_stream_in_blocks_in_every_way(client: Any) -> None:
    sql = "SELECT number FROM numbers(300000)"
    with client.query_row_block_stream(sql) as stream:
        assert sum(len(block) for block in stream) == 300_000
    with client.query_column_block_stream(sql) as stream:
        assert sum(len(block[0]) for block in stream) == 300_000
    with client.query_arrow_stream(sql) as stream:
        assert sum(batch.num_rows for batch in stream) == 300_000
    with client.query_df_stream(sql) as stream:
        assert sum(len(frame) for frame in stream) == 300_000
    assert client.raw_stream(sql, fmt="TabSeparated").read().count(b"\n") == 300_000


def test_commands_return_values_and_summaries(client: Any, table: str) -> None:
    assert client.command("SELECT 1 + 1") == 2
    assert client.command(f"EXISTS TABLE {table}") == 1
    assert client.command("SELECT 'a' WHERE 0") == ""
    summary = client.command(f"INSERT INTO {table} SELECT number, '', NULL FROM numbers(5)")
    assert summary.written_rows == 5
    assert summary.query_id()
    client.command(f"INSERT INTO {table} VALUES (1 + 1, upper('x'), NULL)")
    assert client.command(f"SELECT b FROM {table} WHERE a = 2 AND b != ''") == "X"
    client.command(f"INSERT INTO {table} FORMAT CSV", data="77,data,1\n")
    assert client.command(f"SELECT b FROM {table} WHERE a = 77") == "data"


def test_a_probe_of_columns_reads_nothing(client: Any) -> None:
    result = client.query("SELECT 1 AS x, 'a' AS y LIMIT 0")
    assert (result.column_names, result.result_rows) == (("x", "y"), [])


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nowhere", 60),
        ("SELECT nothing", 47),
        ("SELECT FRM x y", 62),
        ("SELECT noSuchFunction(1)", 46),
        ("SELECT * FROM nowhere.t", 81),
        ("SELECT toUInt8('x')", 6),
        ("SELECT {p:UInt8}", 456),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.2", 159),
        ("SELECT file('/etc/hostname')", 497),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
        ("SELECT throwIf(number = 3) FROM numbers(10)", 395),
    ],
)
def test_errors_carry_clickhouse_codes(client: Any, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.query(sql)
    assert raised.value.code == code
    assert raised.value.name


def test_an_unknown_setting_of_a_request_is_an_error(client: Any) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.query("SELECT 1", settings={"no_such_setting": 1})
    assert raised.value.code == 115


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_a_failure_in_mid_stream_reaches_the_client_with_its_code(port: int, compress: Any) -> None:
    client: Any = connect.get_client(host="127.0.0.1", port=port, compress=compress)
    rows: list[int] = []

    def read() -> None:
        sql = (
            "SELECT number, repeat(hex(cityHash64(number)), 20) AS s, throwIf(number = 200000) "
            "FROM numbers(300000)"
        )
        settings = {"max_block_size": 10_000, "max_threads": 1}
        with client.query_row_block_stream(sql, settings=settings) as stream:
            rows.extend(len(block) for block in stream)

    with pytest.raises(StreamFailureError) as raised:
        read()
    assert sum(rows) > 10_000
    assert raised.value.code == 395
    assert "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO" in str(raised.value)
    client.close()


def test_settings_of_a_client_and_of_a_query_apply(port: int) -> None:
    client: Any = connect.get_client(host="127.0.0.1", port=port, settings={"max_threads": 3})
    sql = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    assert client.query(sql, settings={"max_block_size": 77}).result_rows == [(3, 77)]
    assert client.query(sql).result_rows[0][0] == 3
    assert client.query(sql).result_rows[0][1] != 77
    client.close()


def test_a_session_keeps_its_temporary_tables_and_settings_to_itself(client: Any, port: int) -> None:
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    client.insert("mine", [[7]], column_names=["a"])
    client.command("SET max_block_size = 1234")
    assert client.command("SELECT a FROM mine") == 7
    assert client.command("SELECT getSetting('max_block_size')") == 1234
    other: Any = connect.get_client(host="127.0.0.1", port=port)
    with pytest.raises(DatabaseError) as raised:
        other.query("SELECT * FROM mine")
    assert raised.value.code == 60
    assert other.command("SELECT getSetting('max_block_size')") != 1234
    other.close()


def test_forms_carry_the_query_its_parameters_and_external_tables(port: int) -> None:
    client: Any = connect.get_client(host="127.0.0.1", port=port, form_encode_query_params=True)
    assert client.query("SELECT {s:String}", parameters={"s": "ü'\n"}).result_rows == [("ü'\n",)]
    for user in ("default", "reader"):
        plain: Any = connect.get_client(host="127.0.0.1", port=port, username=user)
        external = ExternalData(
            file_name="ext.csv", data=b"1,one\n2,two\n", fmt="CSV", structure="n UInt8, s String"
        )
        found = plain.query(
            "SELECT s FROM ext WHERE n = {n:UInt8}", parameters={"n": 2}, external_data=external
        )
        assert found.result_rows == [("two",)]
        plain.close()
    client.close()


def test_a_reader_reads_within_limits_and_changes_nothing(client: Any, reader: Any, table: str) -> None:
    client.insert(table, [[1, "x", 0.5]], column_names=["a", "b", "c"])
    assert reader.query(f"SELECT a, b, c FROM {table}").result_rows == [(1, "x", 0.5)]
    assert reader.query_arrow(f"SELECT * FROM {table}").num_rows == 1
    assert reader.query_df(f"SELECT * FROM {table}").shape == (1, 3)
    for sql in (
        f"DROP TABLE {table}",
        f"INSERT INTO {table} VALUES (2, '', NULL)",
        "SYSTEM STOP MERGES",
        "SET max_threads = 1",
    ):
        with pytest.raises(DatabaseError) as raised:
            reader.command(sql)
        assert raised.value.code == 164
    with pytest.raises(DatabaseError) as raised:
        reader.insert(table, [[2, "y", 0.5]], column_names=["a", "b", "c"])
    assert raised.value.code == 164
    assert client.command(f"SELECT count() FROM {table}") == 1
    limits = reader.query("SELECT getSetting('readonly'), getSetting('max_execution_time')").result_rows
    assert limits == [(1, 30)]


def test_a_reader_may_set_what_is_harmless_and_lower_its_limits(reader: Any) -> None:
    sql = "SELECT getSetting('max_execution_time'), getSetting('max_threads')"
    asked = {"max_execution_time": 5, "max_threads": 1}
    assert reader.query(sql, settings=asked).result_rows == [(5, 1)]
    asked = {"max_execution_time": 0, "max_threads": 2}
    assert reader.query(sql, settings=asked).result_rows == [(30, 2)]
    for name in ("readonly", "allow_ddl", "format_schema", "max_memory_usage_for_user"):
        with pytest.raises(DatabaseError):
            reader.query("SELECT 1", settings={name: "9"})


async def test_the_async_client_selects_inserts_and_streams(port: int) -> None:
    pytest.importorskip("aiohttp", reason="the async client of clickhouse-connect needs aiohttp")
    client: Any = await connect.get_async_client(host="127.0.0.1", port=port)
    try:
        name = f"a_{uuid.uuid4().hex[:8]}"
        await client.command(f"CREATE TABLE {name} (a UInt64) ENGINE = MergeTree ORDER BY a")
        await client.insert(name, [[i] for i in range(10)], column_names=["a"])
        result = await client.query(f"SELECT sum(a) FROM {name} WHERE a < {{n:UInt8}}", parameters={"n": 5})
        assert result.result_rows == [(10,)]
        with pytest.raises(DatabaseError) as raised:
            await client.query("SELECT * FROM nowhere")
        assert raised.value.code == 60
    finally:
        await client.close()


def test_ping_says_that_the_store_is_there(client: Any) -> None:
    assert client.ping()
    assert client.server_version.startswith("26.")
