"""ClickHouse's own compressed blocks (`compress=1`, `decompress=1`), which clickhouse-go uses over HTTP.

A block is a checksum (16 bytes), the method (1), the sizes with this header and without compression (4
each, little endian), and the compressed bytes. The checksum covers all behind it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

import lz4.block
import zstandard

from promptspan_server.store.cityhash import cityhash128
from promptspan_server.store.codecs import BadEncodingError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_lz4: Any = lz4.block  # it has no types
_CHECKSUM = Struct("<QQ")
_HEADER = Struct("<BII")
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_BLOCK_BYTES = 1 << 20
_MAX_BLOCK_BYTES = 256 << 20


class BlockDecoder:
    """Decodes a body of compressed blocks. It is a `codecs.Decoder`.

    Checksums are not verified: they guard disks and long ways, and cost more here than all the rest. A
    damaged block does not decompress to its size.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Plain blocks, as far as they are complete."""
        self._buffer += data
        while len(self._buffer) >= _CHECKSUM.size + _HEADER.size:
            method, packed, plain = _HEADER.unpack_from(self._buffer, _CHECKSUM.size)
            if packed < _HEADER.size:
                raise BadEncodingError("A compressed block is shorter than its header")
            if plain > _MAX_BLOCK_BYTES or packed > _MAX_BLOCK_BYTES:
                raise TooLargeError
            end = _CHECKSUM.size + packed
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_CHECKSUM.size + _HEADER.size : end])
            del self._buffer[:end]
            yield _unpack(method, body, plain)

    def finish(self) -> None:
        """Raises `BadEncodingError` if a block is cut."""
        if self._buffer:
            raise BadEncodingError("The last compressed block is cut")


class BlockEncoder:
    """Encodes a response into compressed blocks. It is a `codecs.Encoder`."""

    def feed(self, data: bytes) -> bytes:
        """Blocks of at most 1 MiB."""
        return b"".join(
            _pack(data[start : start + _BLOCK_BYTES]) for start in range(0, len(data), _BLOCK_BYTES)
        )

    def finish(self) -> bytes:
        """Nothing: each block stands alone."""
        return b""


def _pack(plain: bytes) -> bytes:
    packed: bytes = _lz4.compress(plain, store_size=False)
    block = _HEADER.pack(_LZ4, len(packed) + _HEADER.size, len(plain)) + packed
    return _CHECKSUM.pack(*cityhash128(block)) + block


def _unpack(method: int, body: bytes, size: int) -> bytes:
    try:
        if method == _LZ4:
            plain: bytes = _lz4.decompress(body, uncompressed_size=size)
        elif method == _ZSTD:
            plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
        elif method == _NONE:
            plain = body
        else:
            raise BadEncodingError(f"Unknown compression method 0x{method:02x}")
    except (_lz4.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
        raise BadEncodingError(f"A compressed block is damaged: {error}") from None
    if len(plain) != size:
        raise BadEncodingError("A compressed block does not have the size that it says")
    return plain
