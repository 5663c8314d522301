"""What every page has: its opening checks, the age of its data, and refreshing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
from promptspan_server.ui import cache, panels, wording
from promptspan_server.ui.window import PARAMETER, interval, pinned

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.freshness import FreshnessRow
    from promptspan_server.ui.window import Window

REFRESH_S = 15
LOOK_AGAIN_S = 5
# Above this a reader should know that the newest calls may be missing.
_QUIET_S = 15 * 60


def opening(window: Window) -> FreshnessRow | None:
    """Check that there is something to show; draws the page of an empty store and returns None if not.

    Raises:
        StoreUnreachable: No answer from the store.
    """
    fresh = cache.freshness().rows[0]
    if fresh.last_call is None:
        panels.empty_store()
        st.fragment(_look_again, run_every=LOOK_AGAIN_S)()
        return None
    if window.problem:
        st.warning(f"{window.problem} This shows the last 24 hours.", icon=":material/schedule:")
    return fresh


def age_note(window: Window, answer: Answer[Any] | None) -> None:
    """Say which absolute range is shown, and as of when."""
    fresh = cache.freshness().rows[0]
    parts = [f"**{window.label}**", "live, every 15 s" if window.live else "fixed range"]
    if answer is not None:
        parts.append(f"data {panels.as_of(answer)}")
    age_s = fresh.age_s
    if age_s is not None:
        quiet = " :material/warning: no calls since" if age_s > _QUIET_S else ""
        parts.append(f"newest call {wording.age(age_s)} ago{quiet}")
    parts.append(amounts())
    st.caption(" · ".join(parts))


def _look_again() -> None:
    try:
        arrived = cache.freshness().rows[0].last_call is not None
    except (StoreUnreachable, QueryFailed):
        return
    if arrived:
        st.rerun()


def amounts() -> str:
    """Say in which currency and by which price book amounts are."""
    book = cache.price_book()
    # The version is named by whoever imported the book: only plain characters of it reach the caption.
    plain = "".join(character for character in book if character.isalnum() or character in " .+-_")
    return f"amounts in USD by {plain}" if plain else "amounts in USD"


def no_calls(path: str) -> None:
    """Say that nothing matches, and offer the way to the newest calls.

    Args:
        path: Path of the page, from `links`.
    """
    from promptspan_server.ui.navigation import pages

    newest = cache.freshness().rows[0].last_call
    with st.container(border=True, key="no_calls"):
        st.markdown("**No model calls in this range that match the filters.**")
        st.text(f"The newest call of the store started at {wording.moment(newest)} UTC.")
        if newest is not None:
            st.page_link(
                pages()[path],
                label="Show the 24 hours up to it, without filters",
                icon=":material/history:",
                query_params={PARAMETER: interval(pinned("24h", newest))},
            )


def refreshing(draw: Callable[[], None], *, live: bool) -> None:
    """Draw a part of the page, again every 15 seconds while the window is live.

    A refresh runs outside of the page's own error handling, so it brings its own.
    """

    def guarded() -> None:
        try:
            draw()
        except StoreUnreachable as error:
            panels.unreachable(error)
        except QueryFailed as error:
            panels.failed(error)

    st.fragment(guarded, run_every=REFRESH_S if live else None)()
