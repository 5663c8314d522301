from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import promptspan_server.ui

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APP = Path(promptspan_server.ui.__file__).with_name("app.py")
_TIMEOUT_S = 60


def open_page(path: str, parameters: Mapping[str, str] | None = None) -> AppTest:
    """Run the dashboard on a page, as a browser does that opens its address."""
    app = AppTest.from_file(APP, default_timeout=_TIMEOUT_S)
    for name, value in (parameters or {}).items():
        app.query_params[name] = value
    # The page's place in the address; AppTest itself knows pages that are files.
    vars(app)["_page_hash"] = calc_hash(path or "overview")
    return app.run()


def elements(app: AppTest, name: str) -> list[Any]:
    """Return the data that our own elements called `name` were given."""
    nodes: list[Any] = [node.proto for node in app.get("bidi_component")]
    return [json.loads(node.json) for node in nodes if node.component_name.startswith(f"promptspan.{name}.")]


def tables(app: AppTest) -> dict[str, list[dict[str, dict[str, Any]]]]:
    """Return the tables by caption: rows as cells by column."""
    return {
        table["caption"]: [
            dict(zip((column["label"] for column in table["columns"]), row, strict=True))
            for row in table["rows"]
        ]
        for table in elements(app, "table")
    }


def numbers(app: AppTest) -> dict[str, dict[str, Any]]:
    """Return the numbers of the page by their label."""
    return {tile["label"]: tile for tiles in elements(app, "tiles") for tile in tiles["tiles"]}


def address(app: AppTest, name: str) -> str:
    """Return a parameter of the page's address, empty if it is not there."""
    value: Any = app.query_params.get(name, "")
    return value if isinstance(value, str) else str(value[0])


def texts(app: AppTest) -> set[str]:
    """Return every string that our own elements were given."""
    found: set[str] = set()
    rest: list[Any] = [*elements(app, "table"), *elements(app, "tiles")]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            rest += cast("dict[str, Any]", value).values()
        elif isinstance(value, list):
            rest += cast("list[Any]", value)
    return found


def words(app: AppTest) -> str:
    """Return what the page says in words of Streamlit's own elements."""
    parts = [
        node.value
        for kind in (app.text, app.markdown, app.caption, app.title, app.subheader)
        for node in kind
    ]
    return "\n".join([*parts, *(node.value for node in app.code)])


def marked_up(app: AppTest) -> Iterator[str]:
    """Yield every text of the page that is read as markup."""
    for kind in (app.markdown, app.caption, app.title, app.header, app.subheader, app.metric, app.button):
        for node in kind:
            yield from (str(getattr(node, name, "")) for name in ("value", "label", "help", "delta"))
    for node in app.get("html"):
        yield node.proto.body


def healthy(app: AppTest) -> AppTest:
    """Assert that the page was drawn without any error."""
    assert not app.exception, [error.value for error in app.exception]
    assert not app.error, [error.value for error in app.error]
    return app
