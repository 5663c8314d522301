"""Numbers side by side.

`st.metric` reads Markdown in values and notes, where two amounts in dollars become a formula. Here everything
is text, and five numbers are one element.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from promptspan_server.ui.component import component, mode

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Note:
    """A quiet line below a number.

    Attributes:
        text: What it says.
        tone: Its weight.
    """

    text: str
    tone: Literal["", "bad", "warn", "good"] = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One number.

    Attributes:
        label: What it is, with its unit where the value has none.
        value: The number.
        notes: What it is compared with, how much of it is known.
        help: Explanation on demand.
    """

    label: str
    value: str
    notes: Sequence[Note] = ()
    help: str = ""


def tiles(numbers: Sequence[Tile], *, key: str) -> None:
    """Draw numbers side by side."""
    component("tiles", mode())(data={"tiles": [asdict(tile) for tile in numbers]}, key=key)
