"""An incident as Markdown, for the post-mortem. Data in it is escaped: it is read by renderers of others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from promptspan_server.ui import wording
from promptspan_server.ui.incident import about, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from promptspan_server.queries.calls import CallRow
    from promptspan_server.ui.incident import Incident

# What CommonMark and GitHub's flavour may take for markup, an address, a mention or an issue.
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$@:/])")
# Not every renderer honours a backslash before these.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def report(
    incident: Incident,
    *,
    numbers: Sequence[tuple[str, str, str]],
    happened: Sequence[tuple[datetime, str, str, str]],
    where: Sequence[str],
    calls: Sequence[CallRow],
    difference: str,
) -> str:
    """Write it.

    Args:
        incident: The incident.
        numbers: Name, value, what is usual.
        happened: Time, kind, what, by whom.
        where: Sentences.
        calls: Calls that show it.
        difference: Of the templates, empty if there is none.
    """
    alert = incident.alert
    lines = [
        f"# {escaped(alert.rule)}: {escaped(about(alert))}",
        "",
        escaped(verdict(alert)),
        "",
        *([escaped(alert.summary), ""] if alert.summary else []),
        "| | during | the day before |",
        "| --- | --- | --- |",
        *(f"| {escaped(name)} | {escaped(value)} | {escaped(usual)} |" for name, value, usual in numbers),
        "",
        "## Timeline (UTC)",
        "",
        f"- {wording.moment(incident.during.start)} it began",
        *(
            f"- {wording.moment(at)} {escaped(kind)}: {escaped(text)}"
            + (f" ({escaped(more)})" if more else "")
            for at, kind, text, more in happened
        ),
        *([f"- {wording.moment(alert.starts_at)} the alert fired"] if alert.starts_at else []),
        *(
            [f"- acknowledged by {escaped(alert.acked_by)} {escaped(alert.ack_comment)}".rstrip()]
            if alert.acked_by
            else []
        ),
        *(
            [f"- {wording.moment(alert.ends_at)} it was resolved"]
            if alert.ends_at and not alert.fires
            else []
        ),
        "",
    ]
    if where:
        lines += ["## Where it was", "", *(f"- {escaped(sentence)}" for sentence in where), ""]
    if calls:
        lines += ["## Calls that show it", ""]
        lines += [
            f"- {wording.precise(call.at)} trace `{call.trace_id}`: {escaped(call.status)}"
            f" {escaped(call.error_type)} {escaped(wording.duration(call.duration_ms))}"
            for call in calls
        ]
        lines.append("")
    if difference:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", difference)), default=0))
        lines += ["## What changed in the template", "", f"{fence}diff", difference, fence, ""]
    lines += ["## Cause", "", "## What we do so that it does not happen again", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Write data so that Markdown shows it as it is, in one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split())).translate(_ENTITIES)
