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
    texts = (
        question.cells(),
        question.flags(),
        question.histograms("latency"),
        question.histograms("cost"),
        question.scores(),
    )
    parameters = question.parameters()
    with ThreadPoolExecutor(len(texts)) as pool:
        asked = [pool.submit(_columns, store, text, parameters) for text in texts]
        answers = [each.result() for each in asked]
    cells, flags, latencies, costs, scores = answers
    hours: NDArray[np.int64] = np.unique(cells["hour_s"]).astype(np.int64)
    shape = (len(hours), 2, UNITS)

    def at(answer: dict[str, Any]) -> tuple[Any, Any, Any]:
        return hour_of(answer), answer["arm"].astype(int), answer["unit"].astype(int)

    def hour_of(answer: dict[str, Any]) -> NDArray[np.int64]:
        return np.asarray(np.searchsorted(hours, answer["hour_s"]), dtype=np.int64)

    def grid(answer: dict[str, Any], name: str, where: Any = slice(None)) -> Floats:
        filled = np.zeros(shape)
        hour, arm, unit = at(answer)
        np.add.at(filled, (hour[where], arm[where], unit[where]), answer[name][where].astype(float))
        return filled

    def moments(answer: dict[str, Any], names: tuple[str, str, str], where: Any = slice(None)) -> Moments:
        return Moments(
            grid(answer, names[0], where),
            grid(answer, names[1], where),
            grid(answer, names[2], where).sum(axis=2),
        )

    def histogram(answer: dict[str, Any]) -> Floats:
        filled = np.zeros((len(hours), 2, BUCKETS))
        bucket = np.minimum(answer["bucket"].astype(int), BUCKETS - 1)
        hour = hour_of(answer)
        np.add.at(filled, (hour, answer["arm"].astype(int), bucket), answer["n"].astype(float))
        return filled

    calls = grid(cells, "calls")
    rates = {_SINGULAR.get(name, name): grid(cells, name) for name in OUTCOMES}
    for flag in sorted(set(flags["flag"])):
        rates[str(flag)] = grid(flags, "n", flags["flag"] == flag)
    known = _inside(scores, hours)
    return Arms(
        hours=hours,
        calls=calls,
        identified=float(cells["identified"].sum() / max(calls.sum(), 1)),
        rates=rates,
        moments={
            name: moments(cells, (f"{name}_calls", f"{name}_sum", f"{name}_squares")) for name in QUANTITIES
        },
        histograms={"latency": histogram(latencies), "cost": histogram(costs)},
        scores={
            str(name): moments(known, ("calls", "sum", "squares"), known["name"] == name)
            for name in sorted(set(known["name"]))
        },
    )


def _inside(answer: dict[str, Any], hours: NDArray[np.int64]) -> dict[str, Any]:
    keep = np.isin(answer["hour_s"], hours)
    return {name: column[keep] for name, column in answer.items()}


def _columns(store: Store, sql: str, parameters: Any) -> dict[str, Any]:
    table = store.table(sql, parameters)
    return {name: _array(table.column(name)) for name in table.column_names}


def _array(column: Any) -> Any:
    values = column.to_numpy()
    return values.astype(str) if values.dtype == object else values
