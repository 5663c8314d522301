from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
API = Path(__file__).with_name("traced_prompt_api.py")


@pytest.mark.slow
def test_pyright_sees_the_signatures_of_decorated_functions() -> None:
    """Unneeded ignores are errors here: each line of misuse has to be refused."""
    command = [sys.executable, "-m", "pyright", "--outputjson", str(API)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    problems = [
        f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found["generalDiagnostics"]
    ]
    assert problems == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "sdk" / "promptspan" / "py.typed").is_file()
