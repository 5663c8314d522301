from __future__ import annotations

import struct
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.store.cityhash import cityhash128
from promptspan_server.store.codecs import BadEncodingError, TooLargeError
from promptspan_server.store.engine import Engine, StoreError
from promptspan_server.store.native_compression import BlockDecoder, BlockEncoder
from promptspan_server.store.native_revision import with_block_headers

TYPES = [
    "1",
    "toInt256(-1)",
    "'text'",
    "''",
    "toFixedString('abc', 5)",
    "toNullable('x')",
    "CAST(NULL, 'Nullable(UInt64)')",
    "toLowCardinality('a')",
    "CAST('b', 'LowCardinality(Nullable(String))')",
    "[1, 2, 3]",
    "[]",
    "[['a'], [], ['b', 'c']]",
    "CAST(['a', 'b'], 'Array(LowCardinality(String))')",
    "CAST([], 'Array(LowCardinality(String))')",
    "map('k', 1, 'l', 2)",
    "CAST(map('k', 'v'), 'Map(LowCardinality(String), String)')",
    "(1, 'a', [2])",
    "CAST((1, 'a'), 'Tuple(x UInt8, `y z` String)')",
    "CAST([(1, 'a')], 'Nested(x UInt8, y String)')",
    "toDecimal32(1, 2)",
    "toDecimal64(1, 2)",
    "toDecimal128(1, 2)",
    "toDecimal256(1, 2)",
    "now()",
    "now64(9, 'UTC')",
    "toDate('2026-01-01')",
    "toDate32('1950-01-01')",
    "generateUUIDv4()",
    "toIPv4('1.2.3.4')",
    "toIPv6('::1')",
    "true",
    "CAST('a', 'Enum8(\\'a\\' = 1, \\'b, (c\\' = 2)')",
    "CAST(1, 'SimpleAggregateFunction(sum, UInt64)')",
    "toIntervalDay(1)",
    "CAST((1, 2), 'Point')",
    "CAST([[(1, 2)]], 'Polygon')",
    "NULL",
    "toFloat32(1)",
    "repeat('long', 100)",
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    with Engine.open(tmp_path_factory.mktemp("native")) as engine:
        yield engine


def test_the_hash_is_the_one_in_the_engines_own_files(shared: Engine) -> None:
    with shared.handle() as handle:
        handle.query(
            "CREATE TABLE t (a UInt64 CODEC(NONE), b String CODEC(LZ4)) ENGINE = MergeTree ORDER BY a "
            "SETTINGS min_bytes_for_wide_part = 0, min_compress_block_size = 1, max_compress_block_size = 700"
        )
        handle.query("INSERT INTO t SELECT number, hex(sipHash64(number)) FROM numbers(2000)")
    checked = 0
    for path in Path(shared.data_dir).rglob("*.bin"):
        data = path.read_bytes()
        while data:
            low, high, _, packed = struct.unpack_from("<QQBI", data)
            assert cityhash128(data[16 : 16 + packed]) == (low, high)
            data = data[16 + packed :]
            checked += 1
    assert checked > 20


@given(st.binary(max_size=600))
def test_compressed_blocks_decompress_to_what_they_were(data: bytes) -> None:
    decoder = BlockDecoder()
    packed = BlockEncoder().feed(data)
    pieces = [
        piece for start in range(0, len(packed), 7) for piece in decoder.feed(packed[start : start + 7])
    ]
    decoder.finish()
    assert b"".join(pieces) == data


def test_blocks_of_other_methods_are_read() -> None:
    data = b"x" * 1000
    packed = zstandard.ZstdCompressor().compress(data)
    zstd = bytes(16) + struct.pack("<BII", 0x90, len(packed) + 9, len(data)) + packed
    stored = bytes(16) + struct.pack("<BII", 0x02, len(data) + 9, len(data)) + data
    assert b"".join(BlockDecoder().feed(zstd + stored)) == data * 2


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (bytes(16) + struct.pack("<BII", 0x82, 20, 100) + bytes(11), BadEncodingError),
        (bytes(16) + struct.pack("<BII", 0x99, 20, 100) + bytes(11), BadEncodingError),
        (bytes(16) + struct.pack("<BII", 0x82, 3, 100) + bytes(11), BadEncodingError),
        (bytes(16) + struct.pack("<BII", 0x02, 20, 100) + bytes(11), BadEncodingError),
        (bytes(16) + struct.pack("<BII", 0x82, 20, 1 << 31) + bytes(11), TooLargeError),
    ],
)
def test_damaged_and_lying_blocks_are_refused(block: bytes, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        list(BlockDecoder().feed(block))


def test_a_cut_block_is_noticed_at_the_end() -> None:
    decoder = BlockDecoder()
    assert list(decoder.feed(BlockEncoder().feed(b"hello")[:-1])) == []
    with pytest.raises(BadEncodingError):
        decoder.finish()


@pytest.mark.parametrize("expression", TYPES)
@pytest.mark.parametrize("rows", [1, 3])
def test_a_newer_revision_differs_by_headers_alone(shared: Engine, expression: str, rows: int) -> None:
    sql = f"SELECT {expression} AS first, materialize({expression}) AS second FROM numbers({rows})"
    with shared.handle() as handle:
        data = handle.query(sql, "Native").data
    rewritten = with_block_headers(data)
    # A block header of 8 bytes, and a byte for each of the two columns.
    assert len(rewritten) == len(data) + 10
    assert rewritten[8:].startswith(data[:2])


def test_blocks_follow_each_other(shared: Engine) -> None:
    with shared.handle({"max_block_size": "2"}) as handle:
        blocks = list(handle.stream("SELECT number, toString(number) AS s FROM numbers(5)", "Native"))
    assert len(blocks) == 3
    assert with_block_headers(b"".join(blocks)) == b"".join(with_block_headers(block) for block in blocks)


def test_a_type_of_unknown_layout_is_refused(shared: Engine) -> None:
    with shared.handle() as handle:
        data = handle.query("SELECT CAST('{\"a\": 1}', 'JSON') AS j", "Native").data
    with pytest.raises(StoreError) as raised:
        with_block_headers(data)
    assert raised.value.code == 48
