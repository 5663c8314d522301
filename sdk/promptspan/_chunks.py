"""The chunks of a stream or generator, read in whatever form they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._kinds import is_text
from ._reading import Message

if TYPE_CHECKING:
    from ._readers import Assembler
    from ._reading import Reading

_MOST_TEXT = 1_000_000
_MOST_STRANGE = 1_000  # of chunks without a known shape, before they are not looked at any more


class ChunkReader:
    """Takes chunks one by one: pieces of a provider's stream, plain strings, or whole responses."""

    __slots__ = ("_assembler", "_readers", "_strange", "_text", "_text_length", "_whole")

    def __init__(self) -> None:
        from . import _readers  # late: only long streams need them before the background

        self._readers = _readers
        self._strange = 0
        self._assembler: Assembler | None = None
        self._whole: Reading | None = None
        self._text: list[str] = []
        self._text_length = 0

    def add(self, chunk: Any) -> None:
        """Take the next chunk."""
        if is_text(chunk):
            chunk = str.__str__(chunk)
            if self._text_length < _MOST_TEXT:
                said = str.__str__(chunk)  # a subclass's own methods are not asked
                self._text.append(said)
                self._text_length += len(said)
            return
        if chunk is None or issubclass(type(chunk), (int, float, bytes)):
            return
        chunk = self._readers.unwrapped(chunk)
        if self._assembler is None:
            if self._strange > _MOST_STRANGE:
                return
            self._assembler = self._readers.assembler_for(chunk)
            if self._assembler is None:
                self._strange += 1
                # A generator may end with the response itself.
                self._whole = self._readers.read_response(chunk) or self._whole
                return
        self._assembler.add(chunk)

    def reading(self) -> Reading | None:
        """The facts so far, ``None`` if no chunk was of a known shape."""
        return self._whole if self._assembler is None else self._assembler.reading()

    def messages(self) -> tuple[Message, ...]:
        """What was yielded as plain text, as one message."""
        if not self._text:
            return ()
        return (Message(role="assistant", parts=({"type": "text", "content": "".join(self._text)},)),)
