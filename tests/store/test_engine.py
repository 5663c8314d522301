from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from promptspan_server.store.engine import Engine, StoreClosed, StoreError, StoreLocked, escape_param
from promptspan_server.store.errors import engine_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def value(engine: Engine, sql: str) -> str:
    with engine.handle() as handle:
        return handle.query(sql).data.decode().strip()


def test_a_query_returns_its_data_and_what_it_read(engine: Engine) -> None:
    with engine.handle() as handle:
        result = handle.query("SELECT count() FROM numbers(1000)", "CSV")
    assert result.data == b"1000\n"
    assert (result.result_rows, result.rows_read > 0, result.elapsed_s > 0) == (1, True, True)


@pytest.mark.parametrize(
    "text", ["plain", "a'b", "tab\there", "line\nbreak", "back\\slash", "\\N", "ü€😀", ""]
)
def test_an_escaped_parameter_arrives_as_it_was(engine: Engine, text: str) -> None:
    with engine.handle() as handle:
        result = handle.query("SELECT {s:String}", "RawBLOB", {"s": escape_param(text)})
    assert result.data.decode() == text


def test_errors_carry_clickhouse_code_name_and_message(engine: Engine) -> None:
    with engine.handle() as handle, pytest.raises(StoreError) as raised:
        handle.query("SELECT * FROM nowhere")
    assert (raised.value.code, raised.value.name) == (60, "UNKNOWN_TABLE")
    assert "nowhere" in raised.value.message
    assert "DB::Exception" not in raised.value.message


def test_a_text_without_a_code_is_still_an_error() -> None:
    odd = engine_error("something odd")
    assert (odd.code, odd.message) == (1002, "something odd")
    twice = engine_error(
        "Code: 33. DB::Exception: Code: 33. DB::Exception: Cannot read (all) data: "
        "(in file/uri /proc/self/fd/25): While executing Native: "
        "While executing File: data for INSERT was parsed from file. "
        "(CANNOT_READ_ALL_DATA) (version 26.9.2.1). (CANNOT_READ_ALL_DATA)"
    )
    assert (twice.code, twice.name) == (33, "CANNOT_READ_ALL_DATA")
    assert twice.message == "Cannot read (all) data: While executing Native"
    assert (
        engine_error("Code: 27. DB::Exception: bad (X_Y) (version 26.9.2.1 (official build))").name == "X_Y"
    )


def test_a_stream_yields_blocks_and_closing_it_stops_the_query(engine: Engine) -> None:
    with engine.handle({"max_block_size": "100"}) as handle:
        blocks = list(handle.stream("SELECT number FROM numbers(250)"))
        assert len(blocks) == 3
        assert b"".join(blocks).count(b"\n") == 250
        endless = handle.stream("SELECT number FROM system.numbers")
        assert next(endless).startswith(b"0\n")
        endless.close()
        assert handle.query("SELECT 1").data == b"1\n"
    assert value(engine, "SELECT count() FROM system.processes WHERE query LIKE '%system.numbers%'") == "1"


def test_an_empty_stream_keeps_the_header_of_its_format(engine: Engine) -> None:
    with engine.handle() as handle:
        assert b"".join(handle.stream("SELECT 1 AS x WHERE 0", "CSVWithNames")) == b'"x"\n'
        assert b"".join(handle.stream("SELECT 1 AS x WHERE 0", "TabSeparated")) == b""


def test_a_stream_that_fails_midway_raises_the_engine_error(engine: Engine) -> None:
    with engine.handle({"max_block_size": "10", "max_threads": "1"}) as handle:
        blocks = handle.stream("SELECT throwIf(number = 25) FROM numbers(100)")
        got: list[bytes] = []
        with pytest.raises(StoreError) as raised:
            got.extend(blocks)
    assert raised.value.code == 395


def test_an_insert_takes_chunks_cut_anywhere(engine: Engine) -> None:
    document = "".join(f"{i}\trow {i}\n" for i in range(10_000)).encode()
    chunks = [document[i : i + 777] for i in range(0, len(document), 777)]
    with engine.handle() as handle:
        handle.query("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
        assert handle.insert("INSERT INTO t (a, b)", "TabSeparated", chunks) == 10_000
        assert handle.query("SELECT count(), sum(a) FROM t").data == b"10000\t49995000\n"


def test_an_insert_that_is_malformed_or_interrupted_inserts_nothing(engine: Engine) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"1\n2\n"
        raise ConnectionError

    with engine.handle() as handle:
        handle.query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        with pytest.raises(StoreError) as raised:
            handle.insert("INSERT INTO t", "TabSeparated", [b"1\n", b"two\n"])
        assert raised.value.code == 27
        with pytest.raises(ConnectionError):
            handle.insert("INSERT INTO t", "TabSeparated", interrupted())
        with pytest.raises(StoreError):
            handle.insert("INSERT INTO nowhere", "TabSeparated", [b"1\n"])
        assert handle.query("SELECT count() FROM t").data == b"0\n"


def test_settings_belong_to_their_handle(engine: Engine) -> None:
    with engine.handle({"max_threads": "3"}) as one, engine.handle() as other:
        assert one.query("SELECT getSetting('max_threads')").data == b"3\n"
        assert other.query("SELECT getSetting('max_threads')").data != b"3\n"


@pytest.mark.parametrize("name", ["max_threads = 1, readonly", "no_such_setting", "x;DROP", ""])
def test_a_bad_setting_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(StoreError):
        engine.handle({name: "1"})
    assert value(engine, "SELECT 1") == "1"


def test_a_setting_value_cannot_leave_its_quotes(engine: Engine) -> None:
    with engine.handle({"log_comment": "x', readonly = '1"}) as handle:
        assert handle.query("SELECT getSetting('readonly')").data == b"0\n"


def test_a_readonly_handle_neither_writes_nor_changes_settings(engine: Engine) -> None:
    with engine.handle() as handle:
        handle.query("CREATE TABLE t (a UInt64) ENGINE = Memory")
    with engine.handle(readonly=True) as reader:
        for sql in (
            "INSERT INTO t VALUES (1)",
            "DROP TABLE t",
            "SET readonly = 0",
            "SELECT 1 SETTINGS readonly = 0",
        ):
            with pytest.raises(StoreError) as raised:
                reader.query(sql)
            assert raised.value.code == 164
        assert reader.query("SELECT count() FROM t").data == b"0\n"


def test_kill_stops_a_running_query_and_leaves_others_alone(engine: Engine) -> None:
    outcome: list[int] = []
    with engine.handle({"max_block_size": "1"}) as slow:

        def run() -> None:
            try:
                slow.query("SELECT sum(sleepEachRow(0.01)) FROM numbers(100000)")
            except StoreError as error:
                outcome.append(error.code)

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + 10
        running = "SELECT count() FROM system.processes WHERE Settings['max_block_size'] = '1'"
        while value(engine, running) != "1" and time.monotonic() < deadline:
            time.sleep(0.01)
        engine.kill("nobody")
        assert value(engine, running) == "1"
        engine.kill(slow.id)
        thread.join(10)
    assert outcome == [394]


def test_the_effect_of_a_statement_is_the_parsers_word(engine: Engine) -> None:
    with engine.handle() as handle:
        assert handle.effect("/* x */ SELECT 1") == ("READ_ONLY", 1)
        assert handle.effect("SELECT 1; DROP TABLE t") == ("MUTATING", 2)
        assert handle.effect("KILL QUERY WHERE 1") == ("CONTROL", 1)
        assert handle.effect("SELECT 1 INTO OUTFILE 'x'") == ("CONTROL", 1)
        assert handle.effect("not (") == ("UNKNOWN", 0)


def test_data_outlives_the_engine_and_a_directory_opens_again(tmp_path: Path) -> None:
    data = tmp_path / "with space and ü"
    with Engine.open(data) as engine:
        value(engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        value(engine, "INSERT INTO t VALUES (7)")
    with Engine.open(data) as engine:
        assert value(engine, "SELECT a FROM t") == "7"
    engine.close()
    with pytest.raises(StoreClosed):
        engine.handle()


def test_a_second_owner_is_told_who_has_the_directory(engine: Engine) -> None:
    code = (
        "import sys\n"
        "from promptspan_server.store.engine import Engine, StoreLocked\n"
        "try:\n    Engine.open(sys.argv[1])\nexcept StoreLocked as error:\n    print(error.message)\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(engine.data_dir)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"in use by process {os.getpid()}" in other.stdout
    with pytest.raises(StoreLocked):
        Engine.open(engine.data_dir)
    assert value(engine, "SELECT 1") == "1"


@pytest.mark.parametrize("name", ["file/inside", "query?mark"])
def test_a_directory_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as raised:
        Engine.open(tmp_path / name)
    assert str(tmp_path) in raised.value.message


def test_closing_stops_what_still_runs(tmp_path: Path) -> None:
    engine = Engine.open(tmp_path)
    slow = engine.handle({"max_block_size": "1"})
    outcome: list[int] = []

    def run() -> None:
        try:
            slow.query("SELECT sum(sleepEachRow(0.01)) FROM numbers(100000)")
        except StoreError as error:
            outcome.append(error.code)
        finally:
            slow.close()

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 10
    while value(engine, "SELECT count() FROM system.processes") != "2" and time.monotonic() < deadline:
        time.sleep(0.01)
    engine.close(timeout_s=0.1)
    thread.join(10)
    assert outcome == [394]
