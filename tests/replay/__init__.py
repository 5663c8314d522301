"""A loopback double of the providers' HTTP APIs that answers with recorded calls."""

from replay.billing import Billed
from replay.llmdrift import load_llmdrift
from replay.provider import ReplayProvider
from replay.recordings import Recordings

__all__ = ["Billed", "Recordings", "ReplayProvider", "load_llmdrift"]
