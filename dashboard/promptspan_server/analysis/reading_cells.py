"""From the store's answer to the cells in which a change is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.analysis.cells import Cells, Dimension

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.segments import SegmentCells

SAMPLE = 300_000  # calls at most: what stands out in more stands out in these
_MOST_VALUES = 100
OTHERS = "(all others)"


def read_cells(store: Store, question: SegmentCells) -> Cells:
    """Read calls of two groups by every dimension; of many calls a sample by trace.

    Args:
        store: Where to.
        question: Which calls, and what of them.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused a question.
    """
    counted = store.table(question.count(), question.parameters()).column("calls").to_pylist()[0]
    every = max(1, -(-int(counted) // SAMPLE))
    table: Any = store.table(question.sql(), question.parameters(every))
    arm = table.column("arm").to_numpy()

    def by_arm(name: str) -> NDArray[np.float64]:
        values = table.column(name).to_numpy().astype(float)
        return np.stack([np.where(arm == each, values, 0.0) for each in (0, 1)])

    def dimension(name: str, column: str) -> Dimension:
        return _dimension(name, table.column(column), by_arm("calls").sum(axis=0))

    dimensions = [dimension(name, f"d{number}") for number, name in enumerate(question.dimensions())]
    same_time = question.a.range == question.b.range
    kind = "rate" if question.quantity.is_rate else "mean"
    return Cells(
        kind="total" if question.total else kind,
        dimensions=tuple(each for each in dimensions if len(each.values) > 1),
        calls=by_arm("calls"),
        sums=by_arm("sum"),
        logs=by_arm("log"),
        squares=by_arm("squares"),
        exposure=None if same_time else question.b.range.length / question.a.range.length,
        # Times apart have no day in common.
        strata=(dimension("day", "day"),) if same_time else (),
        sampled=every,
    )


def _dimension(name: str, column: Any, calls: NDArray[np.float64]) -> Dimension:
    encoded = column.combine_chunks().dictionary_encode() if column.num_chunks else column
    if not column.num_chunks:
        return Dimension(name, np.zeros(0, dtype=np.int64), ())
    values: list[str] = [str(value) for value in encoded.dictionary.to_pylist()]
    codes: NDArray[np.int64] = encoded.indices.to_numpy().astype(np.int64)
    if len(values) <= _MOST_VALUES:
        return Dimension(name, codes, values)
    # The rare ones together: none of them could be named.
    order: list[int] = np.argsort(-np.bincount(codes, calls, len(values)), kind="stable").tolist()
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.minimum(np.arange(len(values)), _MOST_VALUES)
    return Dimension(name, place[codes], [*(values[each] for each in order[:_MOST_VALUES]), OTHERS])
