"""Who writes for a page: the dashboard itself only reads."""

from __future__ import annotations

import os
from dataclasses import replace

import streamlit as st

from promptspan_server.queries.connection import InvalidDsn, Store, StoreUnreachable, parse_dsn
from promptspan_server.ui import cache

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@st.cache_resource(show_spinner=False)
def writer(variable: str) -> Store | None:
    """Return the store as a user who may write: the local store's own, or the one that is configured.

    Args:
        variable: Environment variable with a DSN of that user.

    Returns:
        None where nobody is configured.

    Raises:
        StoreUnreachable: The variable names no store.
    """
    given = os.environ.get(variable, "")
    if given:
        try:
            return Store(parse_dsn(given))
        except InvalidDsn as error:
            raise StoreUnreachable(
                variable, f"is not a store: {error}", "set it right and start again"
            ) from error
    dsn = cache.store().dsn
    if dsn.host in _LOOPBACK and dsn.user == "reader":
        return Store(replace(dsn, user="default"))
    return None
