from __future__ import annotations

from faults.conftest import make_pipeline, sink

__all__ = ["make_pipeline", "sink"]
