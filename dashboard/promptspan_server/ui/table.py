"""Tables that are text: light, aligned, sortable, with links inside the page.

`st.dataframe` draws on a canvas: its links open new tabs, its text is out of reach for find-in-page, and the
grid costs a second on a cold page. Here every cell reaches the browser as data and is set as text, never as
markup, whatever a prompt or a user may be called.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from promptspan_server.ui.component import component, mode

if TYPE_CHECKING:
    from collections.abc import Sequence


Tone = Literal["", "muted", "bad", "warn"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        label: Its heading, with the unit where all cells share one.
        title: Explanation on hover.
        align: Numbers to the right.
        clip: Cut long text with an ellipsis.
        width: CSS width, if it should not follow the content.
    """

    label: str
    title: str = ""
    align: Literal["left", "right"] = "left"
    clip: bool = False
    width: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """A bar in a shared span of time.

    Attributes:
        start: Where it begins, 0 to 1.
        width: How long it is, 0 to 1.
        tone: `self` marks the row that the page is about.
    """

    start: float
    width: float
    tone: Literal["", "bad", "self"] = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. Everything in it is text.

    Attributes:
        text: What it says.
        href: Where it leads, relative to the page, from `links`.
        sort: What it is sorted by; None sorts lowest.
        tone: Its weight.
        sub: A second, quieter line.
        title: Explanation on hover.
        bar: Share of 0 to 1, drawn below the text.
        lane: A bar in time, instead of text.
        swatch: Colour of the series that this row is in a chart.
        mono: Fixed-width text.
        indent: Depth in a tree.
        strong: Bold.
    """

    text: str
    href: str = ""
    sort: float | str | None = None
    tone: Tone = ""
    sub: str = ""
    title: str = ""
    bar: float | None = None
    lane: Lane | None = None
    swatch: str = ""
    mono: bool = False
    indent: int = 0
    strong: bool = False


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    key: str,
    caption: str,
    sortable: bool = True,
) -> None:
    """Draw a table of at most 50 rows.

    Args:
        columns: The columns, as many as each row has cells.
        rows: The cells.
        key: Unique on the page.
        caption: What the table shows, for screen readers.
        sortable: Offer sorting by a click on a heading.
    """
    data = {
        "columns": [asdict(column) for column in columns],
        "rows": [[_sparse(cell) for cell in row] for row in rows],
        "caption": caption,
        "sortable": sortable,
        "rowHeader": False,
    }
    component("table", mode())(data=data, key=key)


def _sparse(cell: Cell) -> dict[str, Any]:
    # What a cell does not use does not travel.
    used = {name: value for name, value in asdict(cell).items() if value is not None and value is not False}
    return {"text": cell.text, **{name: value for name, value in used.items() if value != ""}}
