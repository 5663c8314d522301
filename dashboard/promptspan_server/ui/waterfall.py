"""The spans of a trace in time, as a table whose last column is the picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptspan_server.queries.trace import MAX_SPANS, SpanRow
from promptspan_server.ui import links, panels, wording
from promptspan_server.ui.table import Cell, Column, Lane, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.connection import Answer

_SHOWN = 50
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Placed:
    """A span with its place in the picture.

    Attributes:
        span: The span.
        depth: How many spans are around it.
        start: Where it begins in the trace, 0 to 1.
        width: How much of the trace it lasts, 0 to 1.
    """

    span: SpanRow
    depth: int
    start: float
    width: float


def place(spans: Sequence[SpanRow]) -> list[Placed]:
    """Order spans as a tree, children by start below their parent, and lay them out in time.

    A span whose parent is not there stands at the root; a circle of parents is broken at its first span.
    """
    if not spans:
        return []
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRow]] = defaultdict(list)
    for span in sorted(spans, key=lambda one: (one.at, one.span_id)):
        orphan = span.parent_span_id not in known or span.parent_span_id == span.span_id
        children["" if orphan else span.parent_span_id].append(span)
    began = min(span.at.timestamp() for span in spans)
    ended = max(span.at.timestamp() + span.duration_ms / 1000 for span in spans)
    whole = max(ended - began, 1e-9)
    placed: list[Placed] = []
    seen: set[str] = set()

    def walk(roots: Sequence[SpanRow], at_depth: int) -> None:
        stack = [(span, at_depth) for span in reversed(roots)]
        while stack:
            span, depth = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            start = (span.at.timestamp() - began) / whole
            placed.append(Placed(span, depth, start, min(1 - start, span.duration_ms / 1000 / whole)))
            stack += [(child, depth + 1) for child in reversed(children[span.span_id])]

    walk(children[""], 0)
    # What is left hangs in circles.
    walk([span for span in spans if span.span_id not in seen], 0)
    return placed


def draw_waterfall(trace: Answer[SpanRow], span_id: str) -> None:
    """Draw the trace; the span that the page is about stands out."""
    placed = place(trace.rows)
    number = f"{MAX_SPANS} or more" if len(trace.rows) >= MAX_SPANS else wording.exact(len(trace.rows))
    noun = "span" if len(trace.rows) == 1 else "spans"
    note = f"{number} {noun}" + (f", the first {_SHOWN} shown" if len(placed) > _SHOWN else "")
    panels.heading("Trace", trace, note)
    if not placed:
        panels.quiet("The spans of this trace are no longer kept.")
        return
    table(
        [
            Column("Span", clip=True),
            Column("Service", clip=True),
            Column("Duration", "", "right"),
            Column("When in the trace", width="48%"),
        ],
        [_row(one, span_id) for one in placed[:_SHOWN]],
        key="waterfall",
        caption="Spans of the trace, each with its place in time",
        sortable=False,
    )
    for one in placed:
        if one.span.span_id == span_id and one.span.status_message:
            panels.quoted("What the span says", one.span.status_message)


def _row(one: Placed, span_id: str) -> list[Cell]:
    span = one.span
    failed = span.status == "Error"
    is_self = span.span_id == span_id
    return [
        Cell(
            span.name or "(no name)",
            href="" if is_self else links.trace_link(span.trace_id, span.span_id, span.at),
            title=" · ".join(part for part in (span.name, span.scope, span.status_message) if part),
            indent=min(one.depth, _DEEPEST),
            tone="bad" if failed else "",
        ),
        Cell(span.service, title=span.service, tone="muted"),
        Cell(wording.duration(span.duration_ms)),
        Cell(
            "",
            lane=Lane(one.start, one.width, "bad" if failed else "self" if is_self else ""),
            title=f"{wording.precise(span.at)} UTC",
        ),
    ]
