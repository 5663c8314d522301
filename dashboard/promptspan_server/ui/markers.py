"""Marks on charts of time: when versions first ran, and what people and pipelines noted."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptspan_server.ui import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import TimeRange
    from promptspan_server.queries.version_history import FirstCallRow
    from promptspan_server.store.markers import Marker
    from promptspan_server.ui.theme import Palette

_MOST = 12  # the latest
_APART = 0.04  # of the range
_LATE = 0.8


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment.

    Attributes:
        at: When, UTC.
        label: A few characters.
        title: The whole, on hover.
    """

    at: datetime
    label: str
    title: str


def of_versions(rows: Iterable[FirstCallRow], *, prompt: str | None = None) -> tuple[Mark, ...]:
    """Mark the first call of every version; of one prompt's, or of all with the prompt's name in the label.

    What ran first of a prompt marks nothing: there is nothing before it.
    """
    first: dict[str, FirstCallRow] = {}
    kept = [row for row in rows if row.prompt and prompt in (None, row.prompt)]
    for row in kept:
        if row.prompt not in first or row.first_call < first[row.prompt].first_call:
            first[row.prompt] = row
    return tuple(
        Mark(
            row.first_call,
            row.version if prompt is not None else f"{wording.clipped(row.prompt, 9)} {row.version}",
            f"first call of {row.prompt} {row.version}: {wording.moment(row.first_call)} UTC",
        )
        for row in kept
        if first[row.prompt] is not row
    )


def of_notes(rows: Iterable[Marker]) -> tuple[Mark, ...]:
    """Mark what people and pipelines noted: deployments and the like."""
    return tuple(
        Mark(row.at, row.text, f"{row.kind}: {row.text} ({wording.moment(row.at)} UTC)") for row in rows
    )


def drawn(
    marks: Sequence[Mark], time_range: TimeRange, palette: Palette
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw marks as Plotly's shapes and annotations; those too close to tell apart share one."""
    groups: list[list[Mark]] = []
    inside = (mark for mark in marks if time_range.start < mark.at < time_range.end)
    for mark in sorted(inside, key=lambda mark: mark.at):
        if groups and mark.at - groups[-1][0].at < time_range.length * _APART:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    late = time_range.start + time_range.length * _LATE  # a label further right would be cut off
    shapes: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for group in groups[-_MOST:]:
        x, more = f"{group[0].at:%Y-%m-%dT%H:%M:%S}", f" +{len(group) - 1}" if len(group) > 1 else ""
        line = {"color": palette.muted, "width": 1, "dash": "dot"}
        shapes.append({"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line})
        annotations.append(
            {
                "x": x,
                "yref": "paper",
                "y": 1,
                "yanchor": "top",
                "xanchor": "right" if group[0].at > late else "left",
                "showarrow": False,
                # Plotly reads a few HTML tags in text.
                "text": html.escape(wording.clipped(group[0].label, 14)) + more,
                "hovertext": "<br>".join(html.escape(wording.clipped(mark.title, 60)) for mark in group[:10]),
                "font": {"size": 11, "color": palette.muted},
                "bgcolor": palette.ground,
                "opacity": 0.9,
            }
        )
    return shapes, annotations
