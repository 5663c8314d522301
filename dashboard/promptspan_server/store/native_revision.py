"""The Native format as clients of ClickHouse's newer protocol revisions expect it.

The embedded engine writes Native of revision 0. A client that asks for `client_protocol_version` 54454 or
later (clickhouse-go) expects a header before each block and a byte before each column, so blocks have to be
walked column by column. Types whose layout is not known here are refused, not guessed.
"""

from __future__ import annotations

from struct import Struct

from promptspan_server.store.errors import StoreError
from promptspan_server.store.sql_lexer import tokens

REVISION_WITH_CUSTOM_SERIALIZATION = 54454

# Field 1: not overflows. Field 2: bucket number -1. End of fields.
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_DEFAULT_SERIALIZATION = b"\x00"
_U64 = Struct("<Q")
_NAMES_BY_WIDTH = {
    1: "Bool Nothing Enum8",
    2: "BFloat16 Date Enum16",
    4: "Float32 IPv4 Date32 DateTime Time Decimal32",
    8: "Float64 DateTime64 Time64 Decimal64",
    16: "UUID IPv6 Decimal128",
    32: "Decimal256",
}
_WIDTHS = {name: width for width, names in _NAMES_BY_WIDTH.items() for name in names.split()} | {
    f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)
}
_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}


def with_block_headers(data: bytes) -> bytes:
    """Blocks of revision 0 as blocks of revision 54454.

    Raises:
        StoreError: 48 NOT_IMPLEMENTED for a column type whose layout is not known here.
    """
    walk = _Walk(data)
    out: list[bytes] = []
    while walk.position < len(data):
        start = walk.position
        columns, rows = walk.number(), walk.number()
        out += [_BLOCK_INFO, data[start : walk.position]]
        for _ in range(columns):
            start = walk.position
            walk.skip(walk.number())
            name_length = walk.number()
            kind = data[walk.position : walk.position + name_length].decode()
            walk.skip(name_length)
            out += [data[start : walk.position], _DEFAULT_SERIALIZATION]
            start = walk.position
            if rows:
                tree = _parse(kind)
                walk.prefix(tree)
                walk.column(tree, rows)
            out.append(data[start : walk.position])
    return b"".join(out)


class _Type:
    __slots__ = ("arguments", "name")

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.arguments = arguments

    @property
    def elements(self) -> list[_Type]:
        """Types inside: those of tuples and nested structures may be named."""
        if self.name in {"Tuple", "Nested"}:
            return [_parse(_without_name(argument)) for argument in self.arguments]
        return [_parse(argument) for argument in self.arguments]


class _Walk:
    """A position in a buffer that moves over columns without reading their values."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def word(self) -> int:
        value = _U64.unpack_from(self.data, self.position)[0]
        self.position += 8
        return value

    def skip(self, size: int) -> None:
        self.position += size

    def prefix(self, kind: _Type) -> None:
        if kind.name == "LowCardinality":
            self.skip(8)
        elif kind.name in {"Array", "Nullable", "Tuple", "Nested", "Map"}:
            for element in kind.elements:
                self.prefix(element)
        elif kind.name == "SimpleAggregateFunction":
            self.prefix(_parse(kind.arguments[1]))

    def column(self, kind: _Type, rows: int) -> None:
        name = kind.name
        if not rows:
            return
        if name == "String":
            for _ in range(rows):
                self.skip(self.number())
        elif name == "Nullable":
            self.skip(rows)
            self.column(kind.elements[0], rows)
        elif name == "LowCardinality":
            self._low_cardinality(kind.elements[0])
        elif name in {"Array", "Map", "Nested"}:
            self.skip(8 * (rows - 1))
            inside = self.word()
            for element in kind.elements:
                self.column(element, inside)
        elif name == "Tuple":
            for element in kind.elements:
                self.column(element, rows)
            if not kind.arguments:
                self.skip(rows)
        elif name == "SimpleAggregateFunction":
            self.column(_parse(kind.arguments[1]), rows)
        else:
            self.skip(_width(kind) * rows)

    def _low_cardinality(self, inner: _Type) -> None:
        width = 1 << (self.word() & 0xFF)
        keys = self.word()
        # NULL is the first key, without a mask.
        self.column(inner.elements[0] if inner.name == "Nullable" else inner, keys)
        self.skip(self.word() * width)


def _width(kind: _Type) -> int:
    if kind.name == "FixedString":
        return int(kind.arguments[0])
    if kind.name == "Decimal":
        digits = int(kind.arguments[0])
        return 4 if digits <= 9 else 8 if digits <= 18 else 16 if digits <= 38 else 32
    if kind.name.startswith("Interval"):
        return 8
    width = _WIDTHS.get(kind.name)
    if width is None:
        raise StoreError(
            48,
            "NOT_IMPLEMENTED",
            f"Type {kind.name} cannot be given in Native of a newer protocol revision; cast it, or ask for "
            "another format.",
        )
    return width


def _parse(text: str) -> _Type:
    text = _ALIASES.get(text.strip(), text.strip())
    name, bracket, rest = text.partition("(")
    if not bracket:
        return _Type(name, [])
    inside = rest.rpartition(")")[0]
    arguments: list[str] = []
    depth = start = 0
    for token in tokens(inside):
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif token.text == "," and not depth:
            arguments.append(inside[start : token.start].strip())
            start = token.end
    if inside[start:].strip():
        arguments.append(inside[start:].strip())
    return _Type(name.strip(), arguments)


def _without_name(argument: str) -> str:
    found = list(tokens(argument))
    if len(found) > 1 and found[1].text != "(" and found[0].name:
        return argument[found[1].start :]
    return argument
