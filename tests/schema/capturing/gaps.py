"""Writes captures_gaps.txt anew: `python -m schema.capturing.gaps` in `tests`. Read its diff."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from promptspan_server.store.engine import Engine
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import migrate
from schema.conftest import Store
from schema.own_captures import GAPS, answers, begin, captures, gaps

_HEAD = """\
# What instrumentations do not record of a call, or record otherwise than the provider said it.
# SET-UP | COLUMN, or COLUMN = WHAT IT SAYS, or calls = HOW MANY | SCENARIOS
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Engine.open(Path(folder) / "data") as engine:
        with engine.handle() as handle:
            migrate(HandleExecutor(handle))
        store = Store(engine)
        made = list(captures())
        store.land(*[capture.body(begin()) for capture in made])
        billed = answers(store)
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for capture in made:
        setup, scenario = capture.name.split("/")
        for gap in gaps(capture, billed[capture.name]):
            found[setup, gap].append(scenario)
    lines = [
        f"{setup} | {gap} | {' '.join(scenarios)}\n" for (setup, gap), scenarios in sorted(found.items())
    ]
    GAPS.write_text(_HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
