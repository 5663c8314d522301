"""Output formats: which can be streamed, and how the engine's blocks become one document.

The engine formats each block of a stream as a document of its own. Some formats concatenate; for others the
header of every block but the first is taken off; Arrow streams are joined message by message. What cannot be
joined (JSON, Parquet, Pretty...) is made in one piece, in memory.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from promptspan_server.store.native_revision import with_block_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.store.engine import Engine

_PLAIN = frozenset(
    {
        *(
            "tabseparated",
            "tsv",
            "tabseparatedraw",
            "tsvraw",
            "raw",
            "csv",
            "tskv",
            "lineasstring",
            "rawblob",
        ),
        *("jsoneachrow", "jsonlines", "jsonl", "ndjson", "jsonstringseachrow"),
        *("jsoncompacteachrow", "jsoncompactstringseachrow"),
        *("rowbinary", "native", "msgpack", "bsoneachrow", "protobuf", "null"),
    }
)
# Header lines whose values are escaped, so that a line is a line.
_HEADER_LINES = {
    **dict.fromkeys(("tabseparatedwithnames", "tsvwithnames", "jsoncompacteachrowwithnames"), 1),
    **dict.fromkeys(("jsoncompactstringseachrowwithnames",), 1),
    **dict.fromkeys(("tabseparatedwithnamesandtypes", "tsvwithnamesandtypes"), 2),
    **dict.fromkeys(("jsoncompacteachrowwithnamesandtypes", "jsoncompactstringseachrowwithnamesandtypes"), 2),
}
_CSV_HEADER_RECORDS = {"csvwithnames": 1, "csvwithnamesandtypes": 2}
_BINARY_HEADERS = {"rowbinarywithnames": 1, "rowbinarywithnamesandtypes": 2}
_CSV_RECORD = re.compile(rb'(?:[^"\n]++|"(?:[^"]++|"")*+")*+\n')
_ARROW_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_I32 = Struct("<i")


class Joiner(Protocol):
    """Makes one document of blocks."""

    def block(self, data: bytes) -> bytes:
        """What this block adds to the document."""
        ...

    def end(self) -> bytes:
        """What ends the document."""
        ...


def joiner(name: str, *, with_headers: bool = False) -> Joiner | None:
    """The joiner of a format, or None if it cannot be streamed.

    Args:
        name: A format's name, as users write it.
        with_headers: Native for clients of a newer protocol revision.
    """
    key = name.lower()
    if key == "native" and with_headers:
        return _NativeWithHeaders()
    if key in _PLAIN:
        return _Plain()
    if key == "values":
        return _Values()
    if key == "arrowstream":
        return _ArrowStream()
    if key in _HEADER_LINES or key in _CSV_HEADER_RECORDS or key in _BINARY_HEADERS:
        return _HeaderOnce(key)
    return None


def content_types(engine: Engine) -> Mapping[str, tuple[str, str]]:
    """Name and Content-Type of each output format of the engine, by lower-case name."""
    with engine.handle() as handle:
        rows = handle.query("SELECT name, content_type FROM system.formats WHERE is_output").data.decode()
    found: dict[str, tuple[str, str]] = {}
    for line in rows.splitlines():
        name, _, kind = line.partition("\t")
        found[name.lower()] = (name, kind)
    return found


class _Plain:
    def block(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class _NativeWithHeaders(_Plain):
    def block(self, data: bytes) -> bytes:
        return with_block_headers(data)


class _Values(_Plain):
    def __init__(self) -> None:
        self._begun = False

    def block(self, data: bytes) -> bytes:
        joined = b"," + data if self._begun and data else data
        self._begun = self._begun or bool(data)
        return joined


class _HeaderOnce(_Plain):
    def __init__(self, key: str) -> None:
        self._key = key
        self._begun = False

    def block(self, data: bytes) -> bytes:
        if not self._begun:
            self._begun = True
            return data
        return data[self._header_size(data) :]

    def _header_size(self, data: bytes) -> int:
        position = 0
        if self._key in _HEADER_LINES:
            for _ in range(_HEADER_LINES[self._key]):
                position = data.find(b"\n", position) + 1
        elif self._key in _CSV_HEADER_RECORDS:
            for _ in range(_CSV_HEADER_RECORDS[self._key]):
                record = _CSV_RECORD.match(data, position)
                position = record.end() if record else position
        else:
            columns, position = _number(data, 0)
            for _ in range(columns * _BINARY_HEADERS[self._key]):
                size, position = _number(data, position)
                position += size
        return position


class _ArrowStream:
    """One schema message, the messages of all blocks, one end."""

    def __init__(self) -> None:
        self._begun = False

    def block(self, data: bytes) -> bytes:
        data = data.removesuffix(_ARROW_END)
        if not self._begun:
            self._begun = True
            return data
        # The schema message has no body: a marker, the length of its metadata, the metadata.
        return data[8 + _I32.unpack_from(data, 4)[0] :]

    def end(self) -> bytes:
        return _ARROW_END


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
