"""What versions of prompts did, hour by hour, as the arrays that drift is looked for in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptspan_server.analysis.texts import GROUPS, words_of
from promptspan_server.queries.drift import CATEGORIES, MOMENTS, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.drift import VersionHours

HOUR_S = 3600
WEEK_H = 168
TRUNCATED = "length"  # the finish reason of an answer that was cut at its limit


@dataclass(frozen=True, slots=True)
class Who:
    """What a series is about.

    Attributes:
        prompt: Name of the prompt.
        version: Its version, None for all versions together.
    """

    prompt: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Rates:
    """Series of counted calls.

    Attributes:
        of: Index into `Observed.who` and name of the signal, for each series.
        events: Calls that it happened to, shape (series, hours).
        calls: Calls that it could have happened to, same shape.
    """

    of: tuple[tuple[int, str], ...]
    events: Floats
    calls: Floats


@dataclass(frozen=True, slots=True)
class Means:
    """Series of moments of natural logarithms (of ms + 1, tokens + 1, 1e-9 USD + 1).

    Attributes:
        of: Index into `Observed.who` and name of the signal, for each series.
        calls: Calls with the quantity, shape (series, hours).
        sums: Sums, same shape.
        squares: Sums of squares, same shape.
    """

    of: tuple[tuple[int, str], ...]
    calls: Floats
    sums: Floats
    squares: Floats


@dataclass(frozen=True, slots=True)
class Observed:
    """Versions over time.

    Attributes:
        hours: Starts of the hours without gaps, seconds since the epoch, UTC, shape (hours,).
        begin: Index of the first hour that is judged.
        who: The versions; and the prompts of several versions, over all of them.
        calls: Calls, shape (who, hours).
        rates: Errors, flags, categories, tails; of `novelty` groups of words in place of calls.
        means: Latency, tokens, cost; the distance of words (`text`, in standard deviations of a call).
        limits: Of a tail's series (index into `who`, signal): the frozen quantile, in ms or tokens.
    """

    hours: NDArray[np.int64]
    begin: int
    who: tuple[Who, ...]
    calls: Floats
    rates: Rates
    means: Means
    limits: Mapping[tuple[int, str], float]


def read_observed(store: Store, question: VersionHours) -> Observed:
    """Read what versions did.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused a question.
    """
    texts = (
        question.cells(),
        question.tails(),
        question.sketches(),
        *(question.category(column) for column in CATEGORIES),
    )
    parameters = question.parameters()
    with ThreadPoolExecutor(len(texts)) as pool:
        asked = [pool.submit(store.table, text, parameters) for text in texts]
        cells, tails, sketches, *categories = (each.result() for each in asked)
    first = int(question.range.start.timestamp()) // HOUR_S * HOUR_S
    hours = np.arange(first, int(question.range.end.timestamp()), HOUR_S, dtype=np.int64)
    begin = (int(question.begin.timestamp()) - first) // HOUR_S
    by_column: dict[str, Any] = dict(zip(CATEGORIES, categories, strict=True))
    return assemble(hours, begin, cells, tails, sketches=sketches, categories=by_column)


def first_hour(calls: Floats) -> int:
    """Index of the first hour with calls, of shape (hours,); the number of hours if there is none."""
    seen = calls > 0
    return int(seen.argmax()) if seen.any() else len(calls)


def end_of_baseline(begin: int, calls: Floats) -> int:
    """Index of the hour from which a version is judged: a week after its first call, or later."""
    # Whole days: what days differ by is measured in them.
    return max(begin, -(-(first_hour(calls) + WEEK_H) // 24) * 24)


def assemble(
    hours: NDArray[np.int64],
    begin: int,
    cells: Any,
    tails: Any,
    *,
    sketches: Any,
    categories: Mapping[str, Any],
) -> Observed:
    """Put the store's answers on one grid of hours.

    Args:
        hours: The grid.
        begin: Index of the first hour that is judged.
        cells: `pyarrow.Table`, like the others: see `VersionHours.cells`.
        tails: See `VersionHours.tails`.
        sketches: See `VersionHours.sketches`.
        categories: See `VersionHours.category`, by column.
    """
    who = [Who(*pair) for pair in _pairs(cells)]
    index = {each: number for number, each in enumerate(who)}
    of_versions = _Grid(cells, hours)
    grids = {
        name: of_versions(name)
        for name in (
            "calls",
            "answered",
            *OUTCOMES,
            *(f"{q}_{part}" for q in MOMENTS for part in ("n", "sum", "squares")),
        )
    }
    calls = grids["calls"]
    rates = [
        (number, name, grids[name][number], calls[number]) for name in OUTCOMES for number in index.values()
    ]
    counted: dict[tuple[int, str], Floats] = {}
    for column, signal in (
        ("flags", "{}_rate"),
        ("finish_reasons", "finish_reason:{}"),
        ("models", "model:{}"),
    ):
        table = categories[column]
        of = _Grid(table, hours)("n")
        for row, (pair, value) in enumerate(
            zip(_pairs(table), table.column("value").to_pylist(), strict=True)
        ):
            number = index.get(Who(*pair))
            if number is None:
                continue
            name = (
                "truncated_rate"
                if signal.format(value) == f"finish_reason:{TRUNCATED}"
                else signal.format(value)
            )
            known = counted.get((number, name))
            # Truncation is told by a flag and by a finish reason, of the same calls.
            counted[number, name] = of[row] if known is None else np.maximum(known, of[row])
    # A call that failed has no answer, so its model and its reason to end say nothing of what answers are.
    asked = {"": list(calls), "finish_reason": list(grids["latency_n"]), "model": list(grids["answered"])}
    rates += [(number, name, n, _could_be(asked, number, name, n)) for (number, name), n in counted.items()]
    limits: dict[tuple[int, str], float] = {}
    of_tails = _Grid(tails, hours)
    for signal, events, exposure, limit in (
        ("latency_tail", "slow", "timed", "slow_limit"),
        ("short_answers", "short", "counted", "short_limit"),
        ("long_answers", "long", "counted", "long_limit"),
    ):
        beyond, measured = of_tails(events), of_tails(exposure)
        for row, (pair, edge) in enumerate(zip(_pairs(tails), tails.column(limit).to_pylist(), strict=True)):
            number = index.get(Who(*pair))
            if number is not None and measured[row].any():
                rates.append((number, signal, beyond[row], measured[row]))
                limits[number, signal] = edge
    means = [
        (number, name, *(grids[f"{name}_{part}"][number] for part in ("n", "sum", "squares")))
        for name in MOMENTS
        for number in index.values()
    ]
    _add_whole_prompts(who, asked, rates, means)
    _add_words(sketches, hours, begin, who, asked[""], rates, means)
    rates = [each for each in rates if each[1] not in OUTCOMES or each[2].any() or each[1] == "error_rate"]
    empty = np.zeros((0, len(hours)))
    return Observed(
        hours=hours,
        begin=begin,
        who=tuple(who),
        calls=np.array(asked[""]) if who else empty,
        rates=Rates(
            tuple((each[0], each[1]) for each in rates),
            *(np.array([each[part] for each in rates]) if rates else empty for part in (2, 3)),
        ),
        means=Means(
            tuple((each[0], each[1]) for each in means),
            *(np.array([each[part] for each in means]) if means else empty for part in (2, 3, 4)),
        ),
        limits=limits,
    )


def _could_be(asked: Mapping[str, list[Floats]], number: int, name: str, n: Floats) -> Floats:
    """Calls to which it could have happened: of a category those with an answer, else all."""
    kind = name.partition(":")[0] if ":" in name else ""
    # Some that were cut off have a reason too.
    return np.maximum(asked.get(kind, asked[""])[number], n)


def _add_whole_prompts(
    who: list[Who],
    asked: dict[str, list[Floats]],
    rates: list[tuple[Any, ...]],
    means: list[tuple[Any, ...]],
) -> None:
    """Add all versions of a prompt together, where there are several: a past when a version has none."""
    members: dict[str, list[int]] = {}
    for number, each in enumerate(who):
        members.setdefault(each.prompt, []).append(number)
    whole: dict[int, int] = {}
    for prompt, numbers in members.items():
        if len(numbers) > 1:
            whole |= dict.fromkeys(numbers, len(who))
            who.append(Who(prompt, None))
            for calls in asked.values():
                calls.append(np.sum([calls[number] for number in numbers], axis=0))
    for series in (rates, means):
        sums: dict[tuple[int, str], list[Floats]] = {}
        for number, name, *parts in series:
            # Tails are frozen at a version's own quantile: there is nothing to add up.
            if number in whole and name not in ("latency_tail", "short_answers", "long_answers"):
                known = sums.get((whole[number], name))
                added = parts if known is None else [a + b for a, b in zip(known, parts, strict=True)]
                sums[whole[number], name] = added
        for (number, name), parts in sums.items():
            # A version without the flag or the value asked as often.
            exposure = [parts[0], _could_be(asked, number, name, parts[0])] if series is rates else parts
            series.append((number, name, *exposure))


def _add_words(  # noqa: PLR0917
    table: Any,
    hours: NDArray[np.int64],
    begin: int,
    who: list[Who],
    calls: list[Floats],
    rates: list[tuple[Any, ...]],
    means: list[tuple[Any, ...]],
) -> None:
    """Add `text` and `novelty` of versions whose answers have sketches, and of whole prompts."""
    if not table.num_rows:
        return
    of = {Who(*pair): row for row, pair in enumerate(_pairs(table))}
    sketched = _Grid(table, hours)("n")
    at_rows, at_hours = _places(table, hours)
    counts = table.column("groups").combine_chunks().flatten().to_numpy().reshape(-1, GROUPS)
    members: dict[str, list[int]] = {}
    for each, row in of.items():
        members.setdefault(each.prompt, []).append(row)
    for number, each in enumerate(who):
        rows = members.get(each.prompt, []) if each.version is None else [of[each]] if each in of else []
        if not rows:
            continue
        groups = np.zeros((len(hours), GROUPS))
        for row in rows:
            own = slice(*np.searchsorted(at_rows, (row, row + 1)))
            inside = (at_hours[own] >= 0) & (at_hours[own] < len(hours))
            at = at_hours[own][inside]
            if len(np.unique(at)) == len(at):
                groups[at] += counts[own][inside]
            else:
                np.add.at(groups, at, counts[own][inside])
        words = words_of(sketched[rows].sum(axis=0), groups, end_of_baseline(begin, calls[number]))
        means.append((number, "text", words.calls, words.sums, words.squares))
        rates.append((number, "novelty", words.rare, words.used))


def _pairs(table: Any) -> Iterable[tuple[str, str]]:
    return zip(
        table.column("prompt_name").to_pylist(), table.column("prompt_version").to_pylist(), strict=True
    )


class _Grid:
    """Lists of values by hour, which come in parts, put on the grid."""

    def __init__(self, table: Any, hours: NDArray[np.int64]) -> None:
        self._table = table
        self._shape = table.num_rows, len(hours)
        if not table.num_rows:
            return
        row, at = _places(table, hours)
        self._inside = (at >= 0) & (at < len(hours))
        self._place = (row * len(hours) + at)[self._inside]

    def __call__(self, name: str) -> Floats:
        """One column of lists, shape (rows, hours)."""
        if not self._table.num_rows:
            return np.zeros(self._shape)
        values = self._table.column(name).combine_chunks().flatten().to_numpy()[self._inside]
        summed = np.bincount(self._place, values, self._shape[0] * self._shape[1])
        return summed.reshape(self._shape).astype(float, copy=False)


def _places(table: Any, hours: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and index of the hour of each item of the lists."""
    lists = table.column("hour_s").combine_chunks()
    row = np.repeat(np.arange(table.num_rows, dtype=np.int64), np.diff(lists.offsets.to_numpy()))
    return row, (lists.flatten().to_numpy().astype(np.int64) - hours[0]) // HOUR_S
