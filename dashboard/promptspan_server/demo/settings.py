"""What marks everything that the demo sends."""

from __future__ import annotations

SERVICE = "harbour-desk"
ENVIRONMENT = "demo"
