"""The `promptspan` command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# Packages that only `up` and `demo` need; everything else the command line imports comes with `[server]`.
_LOCAL_ONLY = frozenset(
    {
        "chdb",
        "grpc",
        "httptools",
        "lz4",
        "opentelemetry",
        "python_multipart",
        "starlette",
        "uvicorn",
        "zstandard",
    }
)


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for a finding, 2 for a usage or connection error.

    Nothing outside the standard library is imported before this runs, so that the script of the thin SDK
    (installed without extras) can say which extra it wants.
    """
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    debug = os.environ.get("PROMPTSPAN_DEBUG", "") not in ("", "0")
    try:
        return _invoke(arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if debug or not missing or missing == __name__.partition(".")[0]:
            raise
        return _complain(_missing_extra(missing))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough; the interpreter's own flush would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _complain(f"unexpected {type(error).__name__}: {error} (PROMPTSPAN_DEBUG=1 shows where)")


def _invoke(arguments: Sequence[str]) -> int:
    from promptspan_server.cli.app import invoke
    from promptspan_server.cli.failure import CommandError

    try:
        return invoke(arguments)
    except CommandError as error:
        if error.message:
            _complain(error.message)
        return error.exit_code


def _missing_extra(package: str) -> str:
    if package in _LOCAL_ONLY:
        return f"this command needs the local extra ({package} is missing): pip install 'promptspan[local]'"
    return f"the command line needs the server extra ({package} is missing): pip install 'promptspan[local]'"


def _complain(message: str) -> int:
    print("promptspan: " + " ".join(message.split()), file=sys.stderr)
    return 2
