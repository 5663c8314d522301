"""What was changed between two versions of a prompt's template."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.ui import panels, wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.templates import TemplateRow


def unified_diff(old: TemplateRow, new: TemplateRow) -> str:
    """Return the unified difference of two templates with all of their lines, empty if they are equal."""
    before, after = old.template.splitlines(), new.template.splitlines()
    if before == after:
        return ""
    lines = difflib.unified_diff(
        before, after, old.version, new.version, n=len(before) + len(after), lineterm=""
    )
    # The headings name the files and the place: here both are known.
    return "\n".join(list(lines)[3:])


def draw_templates(templates: Answer[TemplateRow]) -> None:
    """Draw the difference between two templates of a prompt, the newest two at first."""
    panels.heading("What changed in the template", templates)
    rows = [row for row in templates.rows if row.template]
    if not rows:
        st.text(
            "The store has no template of this prompt: it comes with Prompt(...) or Prompt.from_file(...)."
        )
        return
    if len(rows) == 1:
        only = rows[0]
        st.text(f"One template: {only.version}, first seen {wording.moment(only.first_seen)} UTC.")
        st.code(rows[0].template, language=None, wrap_lines=True)
        return
    names = _names(rows)
    by_name = dict(zip(names, rows, strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        old = st.selectbox("From", names, index=1, key="a", bind="query-params", width=260)
        new = st.selectbox("To", names, index=0, key="b", bind="query-params", width=260)
    before, after = by_name[str(old)], by_name[str(new)]
    difference = unified_diff(before, after)
    if not difference:
        st.text("These two templates are equal, line by line.")
        st.code(after.template, language=None, wrap_lines=True)
        return
    added = sum(line.startswith("+") for line in difference.splitlines())
    removed = sum(line.startswith("-") for line in difference.splitlines())
    st.caption(f"{wording.counted(added, 'line')} added, {wording.counted(removed, 'line')} removed")
    st.code(difference, language="diff", wrap_lines=True)


def _names(rows: Sequence[TemplateRow]) -> list[str]:
    # A version whose template changed without a new name is told apart by the hash.
    seen = Counter(row.version for row in rows)
    return [
        row.version if seen[row.version] == 1 else f"{row.version} ({row.template_hash[:8]})" for row in rows
    ]
