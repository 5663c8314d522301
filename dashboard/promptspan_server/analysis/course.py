"""The course of one series: what it did, hour by hour, and what was expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptspan_server.analysis.drift import baseline_end, unlogged
from promptspan_server.analysis.shifts import Levels, find_shifts
from promptspan_server.analysis.surges import find_surges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promptspan_server.analysis.arms import Floats
    from promptspan_server.analysis.findings import Finding
    from promptspan_server.analysis.observed import Observed

_BEFORE_H = 7 * 24
_WIDTH = 2.0  # standard deviations


@dataclass(frozen=True, slots=True)
class Course:
    """One series, each of shape (hours,); NaN where nothing is known.

    Attributes:
        hours: Starts of the hours, seconds since the epoch: a week of the baseline, and what is judged.
        value: ms, tokens or USD (geometric means), or a share of 0 to 1.
        expected: The usual value, of judged hours.
        low, high: Two standard deviations of an hour around it.
    """

    hours: NDArray[np.int64]
    value: Floats
    expected: Floats
    low: Floats
    high: Floats


def course_of(observed: Observed, finding: Finding) -> Course | None:
    """Find the series of a finding; None if it cannot be judged."""
    number = observed.who.index(finding.who)
    baseline = baseline_end(observed, number)
    if baseline >= len(observed.hours):
        return None
    key = number, finding.signal
    nothing = np.full(baseline, np.nan)
    if key in observed.means.of:
        row = slice(observed.means.of.index(key), observed.means.of.index(key) + 1)
        calls, sums, squares = (
            cells[row] for cells in (observed.means.calls, observed.means.sums, observed.means.squares)
        )
        found = find_shifts(Levels(observed.hours, calls, sums, squares), baseline)
        mean = np.divide(sums[0], calls[0], out=np.full(len(observed.hours), np.nan), where=calls[0] > 0)
        value = unlogged(mean, finding.signal)
        ends = [found.expected[0] + side * found.spread[0] for side in (0, -_WIDTH, _WIDTH)]
        known = calls[0, baseline:] > 0
        expected, low, high = (np.where(known, unlogged(end, finding.signal), np.nan) for end in ends)
    elif key in observed.rates.of:
        at = observed.rates.of.index(key)
        events, calls = observed.rates.events[at : at + 1], observed.rates.calls[at : at + 1]
        found_rates = find_surges(observed.hours, events, calls, baseline)
        value = np.divide(events[0], calls[0], out=np.full(len(observed.hours), np.nan), where=calls[0] > 0)
        n = np.where(calls[0, baseline:] > 0, calls[0, baseline:], np.nan)
        due = found_rates.expected[0]
        width = _WIDTH * np.sqrt(due + found_rates.overdispersion[0] * due**2)
        expected = due / n
        low, high = np.maximum(due - width, 0) / n, np.minimum((due + width) / n, 1.0)
    else:
        return None
    shown = slice(max(0, baseline - _BEFORE_H), None)
    return Course(
        observed.hours[shown],
        value[shown],
        *(np.concatenate([nothing, each])[shown] for each in (expected, low, high)),
    )
