"""The version of this SDK, as it tells it to receivers."""

VERSION = "0.1.0"
