"""Bodies of HTTP requests: decoded as they arrive, bounded in size and in patience."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING

from promptspan_server.store.codecs import BadEncodingError, Bounded, Decoder, TooLargeError, decoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]

IDLE_S = 30.0
_MEMORY_BYTES = 16 << 20


class BodyError(Exception):
    """A body that cannot be taken.

    Attributes:
        status: 400 malformed, 408 too slow, 413 too large, 415 unknown encoding.
        reason: One sentence.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ClientGoneError(Exception):
    """The client closed the connection before it had sent everything."""


async def decoded(
    receive: Receive,
    encoding: str,
    limit_bytes: int,
    *more: Decoder,
    idle_s: float = IDLE_S,
    within_s: float | None = None,
) -> AsyncIterator[bytes]:
    """The plain pieces of a body.

    Args:
        receive: ASGI's.
        encoding: The Content-Encoding header.
        limit_bytes: Largest plain body.
        more: Decoders behind that of the encoding.
        idle_s: Seconds that the client may let pass without sending anything.
        within_s: Seconds for the whole body.

    Raises:
        BodyError: Too large, too slow, malformed, or of an unknown encoding.
        ClientGoneError: The client left.
    """
    try:
        first: Decoder = Bounded(decoder(encoding), limit_bytes)
    except BadEncodingError as error:
        raise BodyError(415, str(error)) from None
    stages = [first, *(Bounded(stage, limit_bytes) for stage in more)]
    received = 0
    clock = asyncio.get_running_loop().time
    ends = None if within_s is None else clock() + within_s
    try:
        while True:
            patience = idle_s if ends is None else min(idle_s, ends - clock())
            async with asyncio.timeout(patience):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            data: bytes = message.get("body", b"")
            received += len(data)
            _check(received, limit_bytes)
            for piece in _through(stages, data):
                yield piece
                if len(piece) > len(data):
                    # A little that becomes much must not stop everyone else.
                    await asyncio.sleep(0)
            if not message.get("more_body", False):
                break
        if received:
            for stage in stages:
                stage.finish()
    except TimeoutError:
        raise BodyError(408, "The body did not arrive in time.") from None
    except BadEncodingError as error:
        raise BodyError(400, str(error)) from None
    except TooLargeError:
        raise BodyError(413, f"The body is larger than {limit_bytes} bytes.") from None


class Incoming:
    """ASGI's `receive`, which remembers whether the body has come to its end.

    Attributes:
        ended: Nothing of the body is left; the next message would be the client's leaving.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        """The next message."""
        message = await self._receive()
        if not message.get("more_body", False):
            self.ended = True
        return message


async def discard(incoming: Incoming, limit_bytes: int = 256 << 20, within_s: float = 10.0) -> None:
    """Read what a refused client still sends, so that it finishes sending and reads the answer."""
    left = limit_bytes
    try:
        async with asyncio.timeout(within_s):
            while left > 0 and not incoming.ended:
                left -= len((await incoming()).get("body", b""))
    except TimeoutError:
        return


def _check(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise TooLargeError


def _through(stages: Sequence[Decoder], data: bytes) -> Iterator[bytes]:
    if not stages:
        yield data
        return
    for piece in stages[0].feed(data):
        yield from _through(stages[1:], piece)


class InsertSpool:
    """Data of one insert: in memory while it is small, else in a nameless file in the data directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = os.memfd_create("promptspan-body") if hasattr(os, "memfd_create") else -1
        self._on_disk = self._descriptor < 0
        if self._on_disk:
            self._descriptor = self._file()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def path(self) -> str:
        """A path to the data, for this process, until the spool is closed."""
        return f"/dev/fd/{self._descriptor}" if self._on_disk else f"/proc/self/fd/{self._descriptor}"

    def write(self, data: bytes) -> None:
        """Append."""
        self.size += len(data)
        if not self._on_disk and self.size > _MEMORY_BYTES:
            self._move_to_disk()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def read(self, limit_bytes: int) -> bytes:
        """The first bytes."""
        return os.pread(self._descriptor, limit_bytes, 0)

    def _move_to_disk(self) -> None:
        descriptor = self._file()
        offset = 0
        while piece := os.pread(self._descriptor, 1 << 20, offset):
            offset += len(piece)
            os.write(descriptor, piece)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._on_disk = True

    def _file(self) -> int:
        descriptor, name = tempfile.mkstemp(prefix="body-", dir=self._directory)
        os.unlink(name)  # noqa: PTH108
        return descriptor
