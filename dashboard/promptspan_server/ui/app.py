"""The dashboard: what `streamlit run` runs, from the top, at every interaction."""

import plotly.io
import streamlit as st

from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
from promptspan_server.ui import access, navigation, panels, style

# The default template costs 25 ms a chart; ours bring their own colours.
plotly.io.templates.default = None  # pyright: ignore[reportAttributeAccessIssue]
st.set_page_config(page_title="promptspan", page_icon=style.ICON, layout="wide")
style.apply()

pages = navigation.pages()
page = st.navigation(list(pages.values()), position="hidden")
if access.granted():
    navigation.bar(pages, page)
    if navigation.is_unknown(pages, page):
        panels.unknown_page()
    try:
        navigation.show(page)
    except StoreUnreachable as error:
        panels.unreachable(error)
    except QueryFailed as error:
        panels.failed(error)
