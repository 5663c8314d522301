"""Where the differences of a comparison are: the findings of two versions, each located among their calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from promptspan_server.analysis.locate import Located, locate
from promptspan_server.analysis.mix import Adjusted, adjust
from promptspan_server.analysis.reading_cells import read_cells
from promptspan_server.analysis.whereabouts import left_over, sentences
from promptspan_server.queries.connection import QueryFailed
from promptspan_server.queries.scope import Scope
from promptspan_server.queries.segments import Examples, Quantity, SegmentCells

if TYPE_CHECKING:
    from promptspan_server.analysis.compare import Compared, Comparison
    from promptspan_server.queries.arms import ArmsOf
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.segments import ExampleRow

MOST_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where one difference of two versions is.

    Attributes:
        compared: The difference.
        located: Where it is; None if the store did not say, which `said` tells.
        adjusted: What is left of it among calls of the same feature, model and tenant; None if none are.
        said: At most three sentences, and one on what is left.
        telling: Up to five calls of the candidate in the first segment that show it.
        usual: Up to five that are as they should be.
    """

    compared: Compared
    located: Located | None
    adjusted: Adjusted | None
    said: tuple[str, ...]
    telling: tuple[ExampleRow, ...]
    usual: tuple[ExampleRow, ...]


def places(store: Store, question: ArmsOf, comparison: Comparison) -> tuple[Place, ...]:
    """Locate the first findings of a comparison, those of one quantity once.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    wanted: dict[str, tuple[Compared, Quantity]] = {}
    for each in comparison.metrics:
        quantity = quantity_of(each)
        if each.verdict in ("regressed", "improved") and quantity is not None:
            wanted.setdefault(each.metric.source, (each, quantity))
    chosen = list(wanted.values())[:MOST_FINDINGS]
    if not chosen:
        return ()
    with ThreadPoolExecutor(len(chosen)) as pool:
        asked = [pool.submit(_place, store, question, *each, comparison.alpha) for each in chosen]
        return tuple(each.result() for each in asked)


def quantity_of(compared: Compared) -> Quantity | None:
    """What to look for a difference in; None for scores, which few calls have."""
    metric = compared.metric
    if metric.kind == "score":
        return None
    return Quantity(metric.source, above=compared.a if metric.kind == "quantile" else None)


def _place(store: Store, question: ArmsOf, compared: Compared, quantity: Quantity, alpha: float) -> Place:
    """A question that fails leaves its place unknown, and says so: the comparison itself stands."""
    narrowed = question.filter
    a, b = (
        Scope(question.range, replace(narrowed, prompt=question.prompt, version=version))
        for version in (question.a, question.b)
    )
    rose = (compared.delta or 0.0) >= 0
    try:
        cells = read_cells(store, SegmentCells(a, b, quantity))
        located = locate(cells, direction=1 if rose else -1)
        inside = located.segments[0].predicates if located.segments else ()
        examples = store.ask(Examples(b, quantity, inside)).rows
    except QueryFailed as error:
        return Place(compared, None, None, (f"Where it is could not be asked: {error}",), (), ())
    unit = "" if quantity.is_rate else compared.metric.unit
    adjusted = adjust(cells, alpha=alpha)
    said = sentences(located, unit=unit, a=question.a, b=question.b)
    return Place(
        compared=compared,
        located=located,
        adjusted=adjusted,
        said=said if adjusted is None else (*said, left_over(adjusted, quantity.is_rate)),
        telling=tuple(each for each in examples if each.telling),
        usual=tuple(each for each in examples if not each.telling),
    )
