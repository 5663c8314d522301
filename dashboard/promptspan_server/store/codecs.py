"""Content encodings of HTTP, always bounded: no body becomes larger than its receiver allows."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

import lz4.frame
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Largest piece that a decoder makes at once, so that a bomb is noticed while it is still small.
PIECE_BYTES = 1 << 20
# A zstd frame may ask for a window of gigabytes.
_ZSTD_WINDOW_BYTES = 128 << 20


class BadEncodingError(Exception):
    """A body that is not what its Content-Encoding says, or an encoding that is not supported."""


class TooLargeError(Exception):
    """A body that is, or becomes, larger than allowed."""


class Decoder(Protocol):
    """Turns pieces of an encoded body into pieces of the plain one."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Plain pieces of at most about `PIECE_BYTES`."""
        ...

    def finish(self) -> None:
        """The body has ended; raises `BadEncodingError` if it was cut."""
        ...


class Encoder(Protocol):
    """Turns pieces of a response into an encoded one."""

    def feed(self, data: bytes) -> bytes:
        """Encoded bytes that the client can decode at once."""
        ...

    def finish(self) -> bytes:
        """The end of the encoded body."""
        ...


def decoder(encoding: str) -> Decoder:
    """The decoder for a Content-Encoding header.

    Raises:
        BadEncodingError: An encoding that is not supported.
    """
    found = _DECODERS.get(encoding.strip().lower())
    if found is None:
        raise BadEncodingError(
            f"Content-Encoding {encoding!r} is not supported; use gzip, deflate, zstd or lz4"
        )
    return found()


def encoder(accept_encoding: str) -> tuple[str, Encoder] | None:
    """The best encoder that a client accepts: lz4 first, it costs least."""
    accepted: set[str] = set()
    for item in accept_encoding.lower().split(","):
        name, _, quality = item.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            accepted.add(name.strip())
    for name, make in _ENCODERS.items():
        if name in accepted:
            return name, make()
    return None


class Bounded:
    """A decoder that stops at a number of plain bytes."""

    def __init__(self, inner: Decoder, limit_bytes: int) -> None:
        self._inner = inner
        self._left = limit_bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder.feed`; raises `TooLargeError` past the limit."""
        for piece in self._inner.feed(data):
            self._left -= len(piece)
            if self._left < 0:
                raise TooLargeError
            yield piece

    def finish(self) -> None:
        """See `Decoder.finish`."""
        self._inner.finish()


def decode(encoding: str, data: bytes, limit_bytes: int) -> bytes:
    """A whole body at once.

    Raises:
        BadEncodingError: Not what the header says.
        TooLargeError: More than `limit_bytes` when decoded.
    """
    bounded = Bounded(decoder(encoding), limit_bytes)
    plain = b"".join(bounded.feed(data))
    bounded.finish()
    return plain


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data

    def finish(self) -> None:
        return


class _Zlib:
    """gzip and deflate; concatenated gzip members are one body, raw deflate is taken for deflate too."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner = zlib.decompressobj(wbits)
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                self._inner = zlib.decompressobj(self._wbits)
            try:
                piece = self._inner.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                if self._fed or self._wbits != zlib.MAX_WBITS:
                    raise BadEncodingError(f"The body is not valid {self._name}: {error}") from None
                self._wbits = -zlib.MAX_WBITS
                self._inner = zlib.decompressobj(self._wbits)
                continue
            self._fed = True
            data = self._inner.unconsumed_tail or self._inner.unused_data
            if piece:
                yield piece

    def finish(self) -> None:
        if self._fed and not self._inner.eof:
            raise BadEncodingError(f"The {self._name} body is cut")
        if not self._fed:
            raise BadEncodingError(f"The body is empty and not {self._name}")

    @property
    def _name(self) -> str:
        return "gzip" if self._wbits > zlib.MAX_WBITS else "deflate"


class _Zstd:
    """One frame after another."""

    def __init__(self) -> None:
        self._inner: Any = None
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        # The decompressor has no limit of output by itself, so it is fed slices: a zstd block makes at most
        # 128 KiB of its at least 3 bytes, hence 64 bytes make at most 3 MiB.
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self._inner is None or self._inner.eof:
                self._inner = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
            piece_end = position + _ZSTD_FEED_BYTES
            try:
                piece: bytes = self._inner.decompress(view[position:piece_end])
            except zstandard.ZstdError as error:
                raise BadEncodingError(f"The body is not valid zstd: {error}") from None
            position = min(piece_end, len(view)) - len(self._inner.unused_data)
            self._fed = True
            if piece:
                yield piece

    def finish(self) -> None:
        if not self._fed or not self._inner.eof:
            raise BadEncodingError("The zstd body is cut")


class _Lz4:
    """LZ4 frames, as clickhouse-connect writes one for each block."""

    def __init__(self) -> None:
        self._inner: Any = lz4.frame.LZ4FrameDecompressor()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or not self._inner.needs_input:
            if self._inner.eof:
                if not data:
                    return
                self._inner = lz4.frame.LZ4FrameDecompressor()
            try:
                piece = self._inner.decompress(data, PIECE_BYTES)
            except (RuntimeError, ValueError) as error:
                raise BadEncodingError(f"The body is not valid lz4: {error}") from None
            self._fed = True
            data = (self._inner.unused_data or b"") if self._inner.eof else b""
            if piece:
                yield piece
            elif self._inner.needs_input and not data:
                return

    def finish(self) -> None:
        if not self._fed or not self._inner.eof:
            raise BadEncodingError("The lz4 body is cut")


class _ZlibEncoder:
    def __init__(self, wbits: int) -> None:
        self._inner = zlib.compressobj(1, zlib.DEFLATED, wbits)

    def feed(self, data: bytes) -> bytes:
        return self._inner.compress(data) + self._inner.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._inner.flush()


class _ZstdEncoder:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdCompressor(level=1).compressobj()

    def feed(self, data: bytes) -> bytes:
        return self._inner.compress(data) + self._inner.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._inner.flush()


class _Lz4Encoder:
    def __init__(self) -> None:
        self._inner: Any = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        return self._begin() + self._inner.compress(data)

    def finish(self) -> bytes:
        return self._begin() + self._inner.flush()

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._inner.begin()


_ZSTD_FEED_BYTES = 64

_DECODERS: dict[str, Callable[[], Decoder]] = {
    "": _Identity,
    "identity": _Identity,
    "gzip": lambda: _Zlib(zlib.MAX_WBITS + 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS + 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "zlib": lambda: _Zlib(zlib.MAX_WBITS),
    "zstd": _Zstd,
    "lz4": _Lz4,
}
_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": _Lz4Encoder,
    "zstd": _ZstdEncoder,
    "gzip": lambda: _ZlibEncoder(zlib.MAX_WBITS + 16),
    "deflate": lambda: _ZlibEncoder(zlib.MAX_WBITS),
}
