"""From the store's answers to the arrays that comparisons compute with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.analysis.arms import BUCKETS, OUTCOMES, QUANTITIES, UNITS, Arms, Moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.queries.arms import ArmsOf
    from promptspan_server.queries.connection import Store

    Floats = NDArray[np.float64]

_SINGULAR = {"errors": "error"}


def read_arms(store: Store, question: ArmsOf) -> Arms:
    """Read what two versions did.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused a question.
    """
    with ThreadPoolExecutor(3) as pool:
        scores = pool.submit(store.table, question.scores(), question.parameters())
        opened = store.table(question.open_hours(), question.parameters()).column("hour_s").to_pylist()
        given = {**question.parameters(), "open_s": opened}
        sums = [
            pool.submit(store.table, text, given)
            for text in (question.closed_hours(), question.other_hours())
        ]
        rows = _together([each.result() for each in sums])
        scored = scores.result()
    hour_s = rows.column("hour_s").to_numpy()
    hours: NDArray[np.int64] = np.unique(hour_s).astype(np.int64)
    at_row: NDArray[np.int64] = np.asarray(
        np.searchsorted(hours, hour_s) * 2 + rows.column("arm").to_numpy(), dtype=np.int64
    )
    units, of_units = _lists(rows, "units")

    def grid(name: str) -> Floats:
        """Sums by hour, arm and unit."""
        return _summed(_lists(rows, name)[0], at_row[of_units] * UNITS + units, (len(hours), 2, UNITS))

    def squares(name: str) -> Floats:
        return _summed(rows.column(f"{name}_squares").to_numpy(), at_row, (len(hours), 2))

    def histogram(name: str) -> Floats:
        buckets, of_buckets = _lists(rows, f"{name}_buckets")
        place: Any = at_row[of_buckets] * BUCKETS + np.minimum(buckets, BUCKETS - 1)
        return _summed(_lists(rows, f"{name}_in")[0], place, (len(hours), 2, BUCKETS))

    calls = grid("calls")
    rates = {_SINGULAR.get(name, name): grid(name) for name in OUTCOMES}
    flags, of_flags = _lists(rows, "flag_names")
    flag_units, flag_calls = _lists(rows, "flag_units")[0], _lists(rows, "flag_calls")[0]
    for flag in np.unique(flags):
        own = flags == flag
        rates[str(flag)] = _summed(
            flag_calls[own], at_row[of_flags[own]] * UNITS + flag_units[own], calls.shape
        )
    return Arms(
        hours=hours,
        calls=calls,
        identified=float(grid("identified").sum() / max(calls.sum(), 1)),
        rates=rates,
        moments={
            name: Moments(grid(f"{name}_calls"), grid(f"{name}_sum"), squares(name)) for name in QUANTITIES
        },
        histograms={name: histogram(name) for name in ("latency", "cost")},
        scores=_scores(scored, hours),
    )


def _scores(scored: Any, hours: NDArray[np.int64]) -> dict[str, Moments]:
    columns = {name: _array(scored.column(name)) for name in scored.column_names}
    inside = np.isin(columns["hour_s"], hours)
    names, hour_s, arm, unit = (columns[name][inside] for name in ("name", "hour_s", "arm", "unit"))
    hour: NDArray[np.int64] = np.asarray(np.searchsorted(hours, hour_s), dtype=np.int64)
    place = (hour * 2 + arm) * UNITS + unit
    shape = (len(hours), 2, UNITS)

    def of(name: str) -> Moments:
        own = names == name
        calls, sums, squares = (
            _summed(columns[part][inside][own], place[own], shape) for part in ("calls", "sum", "squares")
        )
        return Moments(calls, sums, squares.sum(axis=2))

    return {str(name): of(name) for name in np.unique(names)}


def _together(tables: list[Any]) -> Any:
    import pyarrow as pa  # a tenth of a second, for those who compare

    arrow: Any = pa  # without types of its own
    return arrow.concat_tables(tables)


def _lists(table: Any, name: str) -> tuple[Any, NDArray[np.int64]]:
    """The items of a column of lists, and the row that each is in."""
    column = table.column(name).combine_chunks()
    lengths = np.diff(column.offsets.to_numpy())
    return _array(column.flatten()), np.repeat(np.arange(len(lengths)), lengths)


def _summed(values: Any, place: Any, shape: tuple[int, ...]) -> Floats:
    flat = np.bincount(place.astype(np.int64), values.astype(float), int(np.prod(shape)))
    return flat.reshape(shape).astype(float)


def _array(column: Any) -> Any:
    values = column.to_numpy(zero_copy_only=False)
    return values.astype(str) if values.dtype == object else values
