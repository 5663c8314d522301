"""Notices that any page may need: an unreachable store, a failed panel, an empty store, an empty range."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.queries.connection import DSN_VARIABLE, Answer, QueryFailed, StoreUnreachable
from promptspan_server.ui import wording
from promptspan_server.ui.charts import CONFIG
from promptspan_server.ui.config import DEFAULT_OTLP_ENDPOINT, OTLP_VARIABLE

if TYPE_CHECKING:
    from promptspan_server.ui.charts import Chart

_FIRST_SPAN = """\
from promptspan import configure, traced_prompt

configure(service_name="my-app", endpoint="{endpoint}")

@traced_prompt(feature="greeting")
def greet(name: str):
    return client.chat.completions.create(          # OpenAI's or Anthropic's client, as before
        model="gpt-4o-mini", messages=[{{"role": "user", "content": f"Greet {{name}}."}}])
"""
_PLAIN_OTLP = """\
export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
"""


def unreachable(error: StoreUnreachable) -> None:
    """Say that there is no answer from the store, and what to do."""
    with st.container(border=True, key="unreachable"):
        st.subheader("The store cannot be reached", anchor=False)
        st.text(f"{error.address} {error.reason}.")
        st.markdown("What to do:")
        st.text(_sentence(error.remedy))
        st.code(
            f"promptspan up                      # on this machine: store, receivers and this dashboard\n"
            f"promptspan doctor                  # what is reachable, and what is wrong\n"
            f"export {DSN_VARIABLE}=http://reader@HOST:8123/default",
            language="bash",
        )
        st.caption(
            "This page asks again whenever it is loaded; nothing is lost meanwhile, senders keep their spans."
        )
        st.button("Try again", key="retry")


def unknown_page() -> None:
    """Say that the address names no page, before the one that is shown instead."""
    st.warning(
        "There is no page at this address: the menu has all of them. This is the overview.",
        icon=":material/link_off:",
    )


def failed(error: QueryFailed) -> None:
    """Say in the place of one panel why it is empty; the rest of the page goes on."""
    with st.container(border=True):
        st.markdown("**This panel could not be filled.**")
        st.text(wording.clipped(error.message, 400))
        st.text(_sentence(error.remedy))


def empty_store() -> None:
    """Say how to send the first span."""
    endpoint = os.environ.get(OTLP_VARIABLE) or DEFAULT_OTLP_ENDPOINT
    st.title("No calls yet", anchor=False)
    st.markdown("The store is up and empty. Send it the first call of a model; it shows here within seconds.")
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Trace a call** of your application:")
        st.code(_FIRST_SPAN.format(endpoint=endpoint), language="python")
    with right:
        st.markdown("**Endpoint**, OTLP over HTTP:")
        st.code(endpoint, language=None)
        st.markdown("**Instrumented already?** Any OpenTelemetry exporter can send here:")
        st.code(_PLAIN_OTLP.format(endpoint=endpoint), language="bash")
        st.markdown("**Only looking?** Replayed traffic, with an incident in it:")
        st.code("promptspan demo", language="bash")


def shown(answer: Answer[Any] | Exception) -> Answer[Any] | None:
    """Return an answer to draw; draw the reason instead if there is none.

    Raises:
        StoreUnreachable: The whole page has no data.
    """
    if isinstance(answer, QueryFailed):
        failed(answer)
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def heading(title: str, answer: Answer[Any] | float | None = None, note: str = "") -> None:
    """Draw a panel's heading with the age of its data. `title` and `note` are words of ours, never data.

    `answer` may be the time of asking alone, in seconds since the epoch.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.markdown(f"**{title}**" + (f" :gray[{note}]" if note else ""), width="content")
        if answer is not None:
            st.caption(as_of(answer), width="content")


def quiet(text: str) -> None:
    """Say in a few words why a panel has nothing to show."""
    st.text(text)


def quoted(title: str, text: str) -> None:
    """Draw a text of others under a title of ours."""
    st.markdown(f"**{title}**")
    st.code(wording.clipped(text, 4_000), language=None, wrap_lines=True)


def as_of(answer: Answer[Any] | float) -> str:
    """Say when the data of a panel was asked for."""
    asked_at_s = answer.asked_at_s if isinstance(answer, Answer) else answer
    at = datetime.fromtimestamp(asked_at_s, timezone.utc)
    return f"as of {at:%H:%M:%S} UTC"


def chart(figure: Chart, *, key: str, alt: str) -> None:
    """Draw a chart without its mode bar."""
    elements: Any = st  # Plotly's figures are untyped
    elements.plotly_chart(figure, key=key, alt=alt, theme=None, config=CONFIG)


def _sentence(text: str) -> str:
    text = text.replace("`", "")
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
