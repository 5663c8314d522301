"""What narrows a page down: the time window and the filters. All of it is in the address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.ui.window import (
    DEFAULT_PRESET,
    PARAMETER,
    PRESETS,
    Window,
    interval,
    pinned,
    read_window,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from promptspan_server.queries.choices import ChoicesRow

# How an address and a list name calls without the property. An empty parameter means no filter.
NONE = "(none)"
_PRESET_KEY, _LIVE_KEY = "preset", "live"
_PRESET_LABELS = {"1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d", "30d": "30 d"}
_PLURALS = {
    "feature": "features",
    "environment": "environments",
    "service": "services",
    "model": "models",
    "prompt": "prompts",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a page is about.

    Attributes:
        window: The time.
        filter: The filters.
    """

    window: Window
    filter: Filter

    @property
    def scope(self) -> Scope:
        """Window and filters together."""
        return Scope(self.window.range, self.filter)

    def parameters(self, *names: str) -> dict[str, str]:
        """The absolute range and the filters called `names`, for a link."""
        return {**self.window.parameters(), **filter_parameters(self.filter, *names)}


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(timezone.utc)


def current_window() -> Window:
    """Read the window from the address."""
    return read_window(st.query_params.get(PARAMETER, ""), now())


def window_controls(window: Window) -> None:
    """Draw the choice of time. A choice names an absolute range, so that the address can be copied."""
    st.session_state[_PRESET_KEY] = window.preset or None
    st.session_state[_LIVE_KEY] = window.live
    st.segmented_control(
        "Time range (UTC)",
        list(PRESETS),
        format_func=lambda preset: _PRESET_LABELS[preset],
        key=_PRESET_KEY,
        on_change=_choose_preset,
        label_visibility="collapsed",
    )
    with st.popover("Custom", icon=":material/date_range:", help="Choose start and end of the range, in UTC"):
        _custom(window)
    st.toggle(
        "Live",
        key=_LIVE_KEY,
        on_change=_toggle_live,
        args=(window,),
        help="On: the range ends now and the page refreshes every 15 s. Off: an absolute range, "
        "whose address gives the same numbers wherever it is opened.",
    )


def filters(choices: ChoicesRow | None, *names: str) -> Filter:
    """Draw one choice a property, bound to the address, and return what is chosen.

    What the address names is always among the options, even where the range has no such calls: a filter must
    not fall away silently.
    """
    offered: dict[str, Sequence[str]] = {}
    if choices is not None:
        offered = {
            "prompt": choices.prompts,
            "feature": choices.features,
            "environment": choices.environments,
            "service": choices.services,
            "model": choices.models,
        }
    return Filter(**{name: choose(name, offered.get(name, ()), f"All {_PLURALS[name]}") for name in names})


def choose(
    name: str, offered: Sequence[str], placeholder: str, *, label: str = "", wide: bool = False
) -> str | None:
    """Draw one choice, bound to the address as `name`; None is no choice."""
    given = st.query_params.get(name, "")
    options = [value or NONE for value in offered]
    if given and given not in options:
        options.insert(0, given)
    chosen = st.selectbox(
        label or name.capitalize(),
        options,
        index=None,
        key=name,
        bind="query-params",
        placeholder=placeholder,
        label_visibility="visible" if label else "collapsed",
        width=230 if wide else 150,
    )
    return "" if chosen == NONE else chosen


def filter_parameters(chosen: Filter, *names: str) -> dict[str, str]:
    """Write filters as parameters of an address."""
    given: Mapping[str, str | None] = {name: getattr(chosen, name) for name in names}
    return {name: value or NONE for name, value in given.items() if value is not None}


def _choose_preset() -> None:
    chosen: Any = st.session_state[_PRESET_KEY]
    if chosen in PRESETS:
        st.query_params[PARAMETER] = interval(pinned(chosen, now()))


def _toggle_live(window: Window) -> None:
    if not st.session_state[_LIVE_KEY]:
        st.query_params[PARAMETER] = interval(window.range)
    elif window.preset and window.preset != DEFAULT_PRESET:
        st.query_params[PARAMETER] = window.preset
    else:
        st.query_params.pop(PARAMETER, None)


def _custom(window: Window) -> None:
    with st.form("custom_range", border=False):
        start = st.datetime_input(
            "From (UTC)", value=_to_minute(window.range.start), step=timedelta(minutes=15)
        )
        end = st.datetime_input("To (UTC)", value=_to_minute(window.range.end), step=timedelta(minutes=15))
        sent = st.form_submit_button("Show this range")
    if not sent:
        return
    try:
        chosen = TimeRange(start.replace(tzinfo=timezone.utc), end.replace(tzinfo=timezone.utc))
    except ValueError as error:
        st.error(f"{str(error).capitalize()}.")
        return
    st.query_params[PARAMETER] = interval(chosen)
    st.rerun()


def _to_minute(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(moment.hour, moment.minute))
