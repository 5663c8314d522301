"""Packages that only some environments have: imported by name, so that no type checker looks for them."""

from __future__ import annotations

import importlib
from typing import Any


def use(module: str) -> Any:
    return importlib.import_module(module)
