"""A sketch of an answer: which of 64 groups its words are of, and nothing else of them.

It tells whether answers use other words than they used to where no text leaves the process. About a
sixty-fourth of all words share a group, so no word can be read from it; neither which words there were, nor
how often or in what order. What can be told is whether an answer may be one that is known already: of a short
answer that would be the answer itself, so those have no sketch.

The store computes the same from captured texts (`0005_normalise.sql`); a test holds both together.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase, digits, punctuation
from typing import Final
from zlib import crc32

GROUPS: Final = 64
LEAST_GROUPS: Final = 8
_LOOKED_AT = 512  # bytes: the beginning of an answer, so that longer ones do not look different
_LEAST_LETTERS = 4  # bytes: shorter words are in every answer
_TELLING = 9  # bytes: the endings of words say nothing
_MOST_WORDS = 4_096
_SEPARATED = bytes.maketrans(
    (ascii_uppercase + punctuation + digits).encode(),
    (ascii_lowercase + " " * len(punctuation + digits)).encode(),
)


class _Groups(dict[bytes, int]):
    """The bit of each word, as far as they were met: most words of an answer are those of the one before."""

    def __missing__(self, word: bytes) -> int:
        if len(self) >= _MOST_WORDS:
            self.clear()
        bit = 1 << crc32(word[:_TELLING]) % GROUPS if len(word) >= _LEAST_LETTERS else 0
        self[word] = bit
        return bit


_group_of = _Groups().__getitem__


def sketch_of(text: str) -> str | None:
    """The groups of a text's words as 16 hexadecimal digits; ``None`` for a text with words of fewer than 8.

    Args:
        text: Any; its first 512 bytes are looked at.
    """
    beginning = text[:_LOOKED_AT].encode("utf-8", "replace")[:_LOOKED_AT]
    # Different bits, so their sum has them all.
    groups = sum(set(map(_group_of, beginning.translate(_SEPARATED).split())))
    return f"{groups:016x}" if groups.bit_count() >= LEAST_GROUPS else None
