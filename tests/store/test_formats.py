from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from promptspan_server.store.engine import Engine
from promptspan_server.store.formats import content_types, joiner

_STREAMED = """
TabSeparated TSV TSVRaw CSV TSKV LineAsString JSONEachRow JSONLines NDJSON JSONStringsEachRow
JSONCompactEachRow JSONCompactStringsEachRow RowBinary MsgPack BSONEachRow Null Values
TabSeparatedWithNames TSVWithNamesAndTypes CSVWithNames CSVWithNamesAndTypes RowBinaryWithNames
RowBinaryWithNamesAndTypes JSONCompactEachRowWithNames JSONCompactEachRowWithNamesAndTypes
JSONCompactStringsEachRowWithNames JSONCompactStringsEachRowWithNamesAndTypes
"""
arrow: Any = pa  # it has no types
STREAMED = _STREAMED.split()
ROWS = (
    'SELECT number AS `a "quoted"\nname, with all`, concat(\'x\n\t"\', toString(number)) AS s FROM numbers(7)'
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    with Engine.open(tmp_path_factory.mktemp("formats")) as engine:
        yield engine


def streamed(engine: Engine, sql: str, name: str) -> bytes:
    join = joiner(name)
    assert join is not None
    with engine.handle({"max_block_size": "2", "max_threads": "1"}) as handle:
        blocks = [join.block(block) for block in handle.stream(sql, name)]
    return b"".join(blocks) + join.end()


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("sql", [ROWS, f"SELECT * FROM ({ROWS}) WHERE 0"])
def test_a_streamed_document_is_the_one_made_in_one_piece(shared: Engine, name: str, sql: str) -> None:
    if name == "LineAsString":
        sql = "SELECT s FROM (" + sql + ")"
    with shared.handle() as handle:
        whole = handle.query(sql, name).data
    assert streamed(shared, sql, name) == whole


@pytest.mark.parametrize("dictionaries", ["0", "1"])
def test_an_arrow_stream_is_one_valid_stream(shared: Engine, dictionaries: str) -> None:
    sql = (
        "SELECT number, toLowCardinality(concat('k', toString(intDiv(number, 3)))) AS k, [number] AS a "
        f"FROM numbers(7) SETTINGS output_format_arrow_low_cardinality_as_dictionary = {dictionaries}"
    )
    table = arrow.ipc.open_stream(streamed(shared, sql, "ArrowStream")).read_all()
    assert table.column("number").to_pylist() == list(range(7))
    assert table.column("k").to_pylist() == [f"k{i // 3}" for i in range(7)]
    assert table.column("a").to_pylist() == [[i] for i in range(7)]


def test_an_empty_arrow_stream_has_its_schema(shared: Engine) -> None:
    table = arrow.ipc.open_stream(streamed(shared, "SELECT 1 AS x WHERE 0", "ArrowStream")).read_all()
    assert (table.num_rows, table.column_names) == (0, ["x"])


@pytest.mark.parametrize("name", ["JSON", "Parquet", "Pretty", "Vertical", "Arrow", "XML", "NoSuchFormat"])
def test_formats_that_do_not_concatenate_are_not_streamed(name: str) -> None:
    assert joiner(name) is None


def test_content_types_are_the_engines(shared: Engine) -> None:
    types = content_types(shared)
    assert types["json"] == ("JSON", "application/json; charset=UTF-8")
    assert types["native"][1] == "application/octet-stream"
