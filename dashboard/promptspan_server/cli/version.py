from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def version_text() -> str:
    """Return the installed distribution's version, "unknown" if run from bare sources."""
    try:
        return version("promptspan")
    except PackageNotFoundError:
        return "unknown"
