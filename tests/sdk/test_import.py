"""What importing promptspan costs and shows."""

from __future__ import annotations

import json
import subprocess
import sys

import promptspan

WATCH = """
import sys, json, threading, logging
before = set(sys.modules)
import promptspan
{more}
print(json.dumps({{
    "modules": sorted(set(sys.modules) - before),
    "threads": [thread.name for thread in threading.enumerate()],
    "handlers": [type(handler).__name__ for handler in logging.getLogger("promptspan").handlers],
    "root": len(logging.getLogger().handlers),
}}))
"""


def watched(more: str = "") -> dict[str, list[str]]:
    code = WATCH.format(more=more)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def packages(modules: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"promptspan"}


def test_importing_loads_the_standard_library_and_the_api_of_opentelemetry_alone() -> None:
    seen = watched()
    # The API itself imports typing_extensions; a .pth file of the environment may have loaded others before.
    assert packages(seen["modules"]) <= {"opentelemetry", "typing_extensions"}
    assert not [
        name for name in seen["modules"] if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))
    ]
    assert "promptspan._pipeline" not in seen["modules"]
    assert "promptspan._readers" not in seen["modules"]


def test_importing_starts_no_thread_and_sets_no_log_handler_but_the_null_one() -> None:
    seen = watched()
    assert seen["threads"] == ["MainThread"]
    assert seen["handlers"] == ["NullHandler"]
    assert seen["root"] == 0


def test_decorating_and_configuring_start_no_thread_either() -> None:
    seen = watched("promptspan.configure(service_name='x', spool=None); promptspan.traced_prompt(lambda: 1)")
    assert seen["threads"] == ["MainThread"]
    assert "yaml" not in packages(seen["modules"])


def test_the_public_names_are_these() -> None:
    assert promptspan.__all__ == [
        "DEFAULT_SPOOL",
        "CallSpan",
        "CallTexts",
        "Prompt",
        "PromptError",
        "__version__",
        "configure",
        "current_span",
        "flush",
        "record_score",
        "shutdown",
        "stats",
        "traced_prompt",
    ]
    assert all(hasattr(promptspan, name) for name in promptspan.__all__)
