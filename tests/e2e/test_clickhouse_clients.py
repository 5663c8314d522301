from __future__ import annotations

import datetime as dt
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.running import Store


pa: Any = import_module("pyarrow")  # it has no types


@pytest.fixture
def client(store: Store) -> Iterator[Any]:
    with store.client() as made:
        yield made


@pytest.fixture
def table(client: Any) -> Iterator[str]:
    client.command(
        "CREATE TABLE e2e_points (at DateTime64(3, 'UTC'), name String, n Nullable(UInt64)) ORDER BY at"
    )
    yield "e2e_points"
    client.command("DROP TABLE e2e_points")


def test_a_select_binds_its_parameters(client: Any) -> None:
    moment = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.timezone.utc)
    sql = """SELECT {n:UInt64} + 1, {s:String}, {xs:Array(String)}, {at:DateTime64(3, 'UTC')},
        {none:Nullable(Int8)}"""
    nasty = 'it\'s \\ a "test"\n\t{n:UInt64} ünï🙂'
    values = {"n": 41, "s": nasty, "xs": ["a", "b'c"], "at": moment, "none": None}
    [row] = client.query(sql, parameters=values, tz_mode="aware").result_rows
    assert tuple(row) == (42, nasty, ["a", "b'c"], moment, None)


def test_the_calls_are_seen_without_naming_a_database(client: Any) -> None:
    names = client.query("SELECT * FROM llm_calls LIMIT 0").column_names
    assert {"ts", "prompt_name", "prompt_version", "input_tokens", "safety_flags"} <= set(names)


def test_an_arrow_table_comes_and_goes(client: Any, table: str) -> None:
    sent = pa.table(
        {
            "at": pa.array([dt.datetime(2026, 3, day) for day in (1, 2)], pa.timestamp("ms", "UTC")),
            "name": ["one", "zwei 🙂"],
            "n": pa.array([1, None], pa.uint64()),
        }
    )
    client.insert_arrow(table, sent)
    got = client.query_arrow(f"SELECT at, name, n FROM {table} ORDER BY at", use_strings=True)
    assert got.to_pylist() == sent.to_pylist()


def test_rows_are_inserted_and_counted(client: Any, table: str) -> None:
    moment = dt.datetime(2026, 3, 1, tzinfo=dt.timezone.utc)
    rows: list[list[Any]] = [[moment, f"row {n}", n if n % 2 else None] for n in range(1000)]
    summary = client.insert(table, rows, column_names=["at", "name", "n"])
    assert summary.written_rows == 1000
    assert client.query(f"SELECT count(), sum(n) FROM {table}").result_rows[0] == (1000, 250_000)


def test_a_long_result_streams_in_blocks(client: Any) -> None:
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(300000)") as stream:
        blocks = [len(block) for block in stream]
    assert sum(blocks) == 300_000
    assert len(blocks) > 1


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT nothing FROM llm_calls", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT 1 FROM no_such_table", 60, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT throwIf(number = 3) FROM numbers(10)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_errors_carry_the_codes_of_clickhouse(client: Any, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.query(sql)
    assert f"{code}" in str(refused.value)
    assert name in str(refused.value)


def test_a_reader_reads_and_writes_nothing(store: Store) -> None:
    with store.client(username="reader") as reader:
        assert reader.command("SELECT 1") == 1
        with pytest.raises(DatabaseError, match="READONLY"):
            reader.command("CREATE TABLE e2e_sneaky (n UInt8) ORDER BY n")
