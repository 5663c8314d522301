"""The page about reliability names tests: they are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"


def test_every_test_that_the_page_names_exists() -> None:
    missing: list[str] = []
    number = 0
    for line in PAGE.read_text().splitlines():
        file = ""
        for name in re.findall(r"`((?:\w+/)?test_\w+\.py(?:::test_\w+…?)?|test_\w+…?)`", line):
            path, colons, test = name.partition("::")
            if path.endswith(".py"):
                file = path if "/" in path else f"faults/{path}"
            test = test if colons else "" if path.endswith(".py") else path
            source = (TESTS / file).read_text() if (TESTS / file).is_file() else ""
            wanted = (
                f"def {test.removesuffix('…')}" + ("" if test.endswith("…") else "(") if test else "def test_"
            )
            number += 1
            if wanted not in source:
                missing.append(f"{file}::{test}")
    assert not missing
    assert number > 40
