"""What evaluations are made of: columns of the store as arrays, and what is said of each series."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from promptspan_server.alerts.shares import MINUTES

if TYPE_CHECKING:
    from collections.abc import Container

    from numpy.typing import NDArray

    from promptspan_server.alerts.rules import Severity

    Floats = NDArray[np.float64]

Labels = tuple[tuple[str, str], ...]
Watched = frozenset[tuple[str, Labels]]
_KEPT = 64


class Tables(Protocol):
    """What is asked of the store."""

    def table(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        """Return a `pyarrow.Table`."""
        ...


BudgetsAt = Callable[[datetime], Sequence[Mapping[str, Any]]]
"""How far each budget is at a moment: what `finance.budgets.alerting` says, given by who joins the two."""


class Asking:
    """Questions of one evaluator. What is asked about whole hours of the past is remembered.

    Args:
        store: The store.
        budgets: What is known of budgets, from outside of this room.
    """

    def __init__(self, store: Tables, budgets: BudgetsAt = lambda _at: ()) -> None:
        self.store = store
        self.budgets = budgets
        self._kept: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def table(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        """Ask now."""
        return self.store.table(sql, parameters)

    def kept(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        """Ask once: the parameters hold the time, and change when the answer may."""
        key = sql, repr(sorted(parameters.items(), key=lambda item: item[0]))
        if key not in self._kept:
            self._kept[key] = self.table(sql, parameters)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule found of one set of labels.

    Attributes:
        severity: Which of the rule's alerts.
        labels: The set.
        level: GOOD, BETWEEN or BAD as in `shares`; None if it cannot be seen.
        value: What was measured, in `unit`.
        threshold: What is allowed, in `unit`.
        unit: Of both.
        summary: One line.
        description: More.
        context: What else is known.
    """

    severity: Severity
    labels: Labels
    level: int | None
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    summary: str = ""
    description: str = ""
    context: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a rule found at a moment.

    Attributes:
        readings: Everything that is not good, and everything that was watched.
        series: How many sets of labels were judged.
        outcome: `no_data` if there was nothing to judge, or no longer is.
        detail: Why.
    """

    readings: tuple[Reading, ...]
    series: int
    outcome: Literal["ok", "no_data"] = "ok"
    detail: str = ""


def labels_of(table: Any, by: Sequence[str]) -> list[Labels]:
    """The labels of every row, sorted by name."""
    names = sorted(by)
    columns = [table.column(name).to_pylist() for name in names]
    return [
        tuple(zip(names, (str(value) for value in values), strict=True))
        for values in zip(*columns, strict=True)
    ]


def column(table: Any, name: str) -> Any:
    """A column of numbers."""
    return table.column(name).to_numpy().astype(np.float64)


def by_minute(table: Any, name: str, minutes: int = MINUTES) -> Floats:
    """A column of arrays as a matrix of series and minutes, by the column `minutes`."""
    filled = np.zeros((table.num_rows, minutes))
    if table.num_rows:
        place, row = _flat(table, "minutes")
        values, _ = _flat(table, name)
        filled[row, np.minimum(place.astype(np.int64), minutes - 1)] = values
    return filled


def _flat(table: Any, name: str) -> tuple[Any, Any]:
    lists = table.column(name).combine_chunks()
    lengths = lists.value_lengths().to_numpy()
    return lists.flatten().to_numpy(zero_copy_only=False), np.repeat(np.indices((len(lengths),))[0], lengths)


def aligned(labels: Sequence[Labels], others: Sequence[Labels], values: Floats) -> Floats:
    """Values of `others` in the order of `labels`; 0 where there is none."""
    found = dict(zip(others, values.tolist(), strict=True))
    return np.array([found.get(each, 0.0) for each in labels], dtype=np.float64)


def unseen(watched: Watched, severity: Severity, seen: Container[Labels]) -> list[Reading]:
    """What was watched and has no data now."""
    return [
        Reading(severity, labels, None)
        for wanted, labels in sorted(watched)
        if wanted == severity and labels not in seen
    ]


def named(labels: Labels) -> str:
    """Labels for people: `inbox-summary 7 (production, support)`; what is empty is left out."""
    known = dict(labels)
    first = [
        known.pop(name, "")
        for name in ("prompt_name", "prompt_version", "feature", "request_model", "provider")
    ]
    rest = ", ".join(value for value in known.values() if value)
    begin = " ".join(value for value in first if value)
    if not begin:
        return rest or "calls without labels"
    return f"{begin} ({rest})" if rest else begin
