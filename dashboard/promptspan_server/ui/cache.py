"""What the dashboard remembers, for how long, and the one store behind it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from promptspan_server.analysis.changes import explained
from promptspan_server.analysis.compare import Comparison, compare
from promptspan_server.analysis.cuped import read_before
from promptspan_server.analysis.drift import find_drift
from promptspan_server.analysis.locate import Located, locate
from promptspan_server.analysis.observed import Observed, read_observed
from promptspan_server.analysis.places import Place, places
from promptspan_server.analysis.reading import read_arms
from promptspan_server.analysis.reading_cells import read_cells
from promptspan_server.queries.connection import (
    DSN_VARIABLE,
    Answer,
    InvalidDsn,
    QueryFailed,
    Store,
    StoreUnreachable,
    dsn_from_environment,
)
from promptspan_server.queries.freshness import Freshness, FreshnessRow
from promptspan_server.queries.health import PriceBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.analysis.findings import Drift, Wanted
    from promptspan_server.queries.arms import ArmsOf
    from promptspan_server.queries.drift import VersionHours
    from promptspan_server.queries.query import Query
    from promptspan_server.queries.segments import SegmentCells

Row = TypeVar("Row")
Computed = TypeVar("Computed")

# A range that has closed hardly changes (late calls may still arrive), one that is open does all the time.
CLOSED_TTL = timedelta(minutes=2)
OPEN_TTL = timedelta(seconds=5)
FRESHNESS_TTL = timedelta(seconds=5)
COMPARISON_TTL = timedelta(seconds=60)
DRIFT_TTL = timedelta(minutes=5)
_MAX_ANSWERS = 500
# How long after its end a range counts as closed.
_SETTLED = timedelta(minutes=5)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Return the process's one store.

    Raises:
        StoreUnreachable: The environment does not name one that can be understood.
    """
    try:
        return Store(dsn_from_environment())
    except InvalidDsn as error:
        raise StoreUnreachable(
            DSN_VARIABLE, f"is not a store: {error}", "set it right and start again"
        ) from error


def ask(query: Query[Row]) -> Answer[Row]:
    """Put one question, or remember its answer.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused the question.
    """
    remembered: Callable[..., Any] = _closed if _is_closed(query) else _open
    return remembered(query, _key(query))


def ask_all(*queries: Query[Any]) -> list[Answer[Any] | Exception]:
    """Put questions side by side. A question that fails leaves its exception in its place.

    Streamlit runs a page in one thread; the store answers several questions at once.
    """
    context = get_script_run_ctx()

    def one(query: Query[Any]) -> Answer[Any] | Exception:
        add_script_run_ctx(threading.current_thread(), context)
        try:
            return ask(query)
        except Exception as error:  # noqa: BLE001  (the panel it belongs to shows it)
            return error

    with ThreadPoolExecutor(max_workers=min(6, len(queries))) as pool:
        return list(pool.map(one, queries))


def compared(question: ArmsOf) -> tuple[Comparison, float] | QueryFailed:
    """Compare two versions, or remember what came out; with the time of asking, seconds since the epoch.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    try:
        return _compared(question, repr(question))
    except QueryFailed as error:
        return error


def placed(question: ArmsOf, comparison: Comparison) -> tuple[Place, ...]:
    """Find where the differences of a comparison are, or remember what came out.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    return _placed(question, comparison, f"{question!r}{comparison.verdict}")


def located(question: SegmentCells) -> Located | QueryFailed:
    """Find where a rise is, or remember what came out.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    try:
        return _located(question, repr(question))
    except QueryFailed as error:
        return error


def computed(key: str, compute: Callable[[], Computed]) -> tuple[Computed, float]:
    """Compute something, or remember it; with the time of asking, seconds since the epoch.

    Args:
        key: Everything that the result depends on.
        compute: What makes it, of answers of the store.
    """
    return _computed(key, compute)


def drift(question: VersionHours, wanted: Wanted) -> tuple[Drift, Observed, float] | QueryFailed:
    """Judge versions against their past, or remember what came out; with the time of asking.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    try:
        return _drift(question, wanted, repr((question, wanted)))
    except QueryFailed as error:
        return error


def freshness() -> Answer[FreshnessRow]:
    """Ask how fresh the data is.

    Raises:
        StoreUnreachable: No answer from the store.
        QueryFailed: The store refused the question.
    """
    return _fresh(Freshness(), "freshness")


def price_book() -> str:
    """Return the version of the price book in force, empty if there is none or it cannot be read."""
    try:
        rows = ask(PriceBook()).rows
    except QueryFailed:
        return ""
    return rows[0].version if rows else ""


def _is_closed(query: Query[Any]) -> bool:
    scope = getattr(query, "scope", getattr(query, "subject", query))
    end = getattr(getattr(scope, "range", None), "end", None)
    return isinstance(end, datetime) and end < datetime.now(timezone.utc) - _SETTLED


def _key(query: Query[Any]) -> str:
    return f"{type(query).__qualname__}{query!r}"


@st.cache_data(ttl=CLOSED_TTL, max_entries=_MAX_ANSWERS, show_spinner=False)
def _closed(_query: Query[Any], key: str) -> Answer[Any]:  # noqa: ARG001  (`key` is what it is remembered by)
    return store().ask(_query)


@st.cache_data(ttl=OPEN_TTL, max_entries=_MAX_ANSWERS, show_spinner=False)
def _open(_query: Query[Any], key: str) -> Answer[Any]:  # noqa: ARG001  (`key` is what it is remembered by)
    return store().ask(_query)


@st.cache_data(ttl=COMPARISON_TTL, max_entries=100, show_spinner=False)
def _compared(_question: ArmsOf, key: str) -> tuple[Comparison, float]:  # noqa: ARG001  (what it is remembered by)
    asked_at_s = time.time()
    arms = read_before(store(), _question, read_arms(store(), _question))
    return compare(arms), asked_at_s


@st.cache_data(ttl=COMPARISON_TTL, max_entries=100, show_spinner=False)
def _placed(
    _question: ArmsOf,
    _comparison: Comparison,
    key: str,  # noqa: ARG001  (what it is remembered by)
) -> tuple[Place, ...]:
    return places(store(), _question, _comparison)


@st.cache_data(ttl=COMPARISON_TTL, max_entries=100, show_spinner=False)
def _located(_question: SegmentCells, key: str) -> Located:  # noqa: ARG001  (what it is remembered by)
    return locate(read_cells(store(), _question), direction=1)


@st.cache_data(ttl=COMPARISON_TTL, max_entries=200, show_spinner=False)
def _computed(key: str, _compute: Callable[[], Any]) -> tuple[Any, float]:  # noqa: ARG001  (what it is remembered by)
    asked_at_s = time.time()
    return _compute(), asked_at_s


# A resource, not data: what was observed of many versions is large, and nobody writes into it.
@st.cache_resource(ttl=DRIFT_TTL, max_entries=6, show_spinner=False)
def _drift(_question: VersionHours, _wanted: Wanted, key: str) -> tuple[Drift, Observed, float]:  # noqa: ARG001  (what it is remembered by)
    asked_at_s = time.time()
    observed = read_observed(store(), _question)
    found = find_drift(observed, _wanted)
    return explained(store(), _question, found, observed.hours), observed, asked_at_s


@st.cache_data(ttl=FRESHNESS_TTL, max_entries=2, show_spinner=False)
def _fresh(_query: Freshness, key: str) -> Answer[FreshnessRow]:  # noqa: ARG001  (`key` is what it is remembered by)
    return store().ask(_query)
