"""The gate: where a token is configured, nothing is asked of the store before the reader has given it."""

from __future__ import annotations

import hmac
import os

import streamlit as st

from promptspan_server.queries.connection import TOKEN_VARIABLE

_GRANTED = "access_granted"


def granted() -> bool:
    """Tell whether this session may see data; draws the question for the token if not."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token or st.session_state.get(_GRANTED) is True:
        return True
    with st.container(key="gate", width=420), st.form("token", border=True):
        st.subheader("This dashboard asks for its token")
        given = st.text_input(
            "Token",
            type="password",
            help="The value of PROMPTSPAN_TOKEN (or --token) that promptspan was started with.",
        )
        sent = st.form_submit_button("Open")
    if not sent:
        return False
    if hmac.compare_digest((given or "").encode(), token.encode()):
        st.session_state[_GRANTED] = True
        # The address stays as it is: whoever came by a link lands where it points.
        st.rerun()
    st.error("That is not the token.")
    return False
