"""The chunks of a stream or generator, read in whatever form they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._reading import Message

if TYPE_CHECKING:
    from ._readers import Assembler
    from ._reading import Reading

_MOST_TEXT = 1_000_000


class ChunkReader:
    """Takes chunks one by one: pieces of a provider's stream, plain strings, or whole responses."""

    __slots__ = ("_assembler", "_text", "_text_length", "_whole")

    def __init__(self) -> None:
        self._assembler: Assembler | None = None
        self._whole: Reading | None = None
        self._text: list[str] = []
        self._text_length = 0

    def add(self, chunk: Any) -> None:
        """Take the next chunk."""
        from ._readers import assembler_for, get, read_response  # late: streams alone need them

        if isinstance(chunk, str):
            if self._text_length < _MOST_TEXT:
                self._text.append(chunk)
                self._text_length += len(chunk)
            return
        # OpenAI's helper wraps each chunk in an event of its own.
        if get(chunk, "type") == "chunk":
            chunk = get(chunk, "chunk")
        if self._assembler is None:
            self._assembler = assembler_for(chunk)
            if self._assembler is None:
                # A generator may end with the response itself.
                self._whole = read_response(chunk) or self._whole
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
