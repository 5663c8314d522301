"""A text in the pieces in which a model streams it."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")


def pieces(text: str) -> list[str]:
    """Cut a text as a stream would: a space belongs to the word after it, long words fall apart.

    Args:
        text: Any text.

    Returns:
        Pieces that join to exactly the text.
    """
    return _PIECE.findall(text)
