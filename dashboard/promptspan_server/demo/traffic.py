"""Who asks what, when, and how it goes: one seeded source for the past and for what is live."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from promptspan_server.demo.incident import misbehaving
from promptspan_server.demo.recording import Recording, load_recordings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from promptspan_server.demo.recording import Fault

_Choice = TypeVar("_Choice")

_FEATURES = {
    "inbox-summary": (("inbox", 0.85), ("escalation-digest", 0.15)),
    "search-rewrite": (("product-search", 1.0),),
    "contract-extract": (("contract-register", 1.0),),
}
_PROMPTS = (("inbox-summary", 0.65), ("search-rewrite", 0.28), ("contract-extract", 0.07))
_VERSIONS = {"inbox-summary": "6", "search-rewrite": "3", "contract-extract": "2"}
_NEW_VERSION = "7"
_TENANTS = (("harbour-shop", 0.6), ("pine-outlet", 0.25), ("trade-desk", 0.15))
_FAULTS: tuple[tuple[Fault, float], ...] = (("rate_limited", 0.5), ("server_error", 0.3), ("timeout", 0.2))


@dataclass(frozen=True, slots=True)
class Weather:
    """The circumstances of a moment.

    Attributes:
        rollout: Share of ``inbox-summary`` that the new version gets, 0 to 1.
        incident: Whether the new version misbehaves: slower, longer answers, more errors and refusals.
    """

    rollout: float
    incident: bool = False


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that is to be made, or that was made in the past.

    Attributes:
        recording: What is asked and answered, with latency and usage as they shall be this time.
        feature: What the application needs the answer for.
        tenant: On whose behalf.
        user: A made-up user of the tenant.
        session: What the user is busy with.
        stream: Whether the answer is streamed.
        include_usage: Whether the stream ends with its usage.
        leaves_early: Whether the reader stops in the midst of the stream.
    """

    recording: Recording
    feature: str
    tenant: str
    user: str
    session: str
    stream: bool
    include_usage: bool
    leaves_early: bool


class Traffic:
    """Draws calls from the recorded set.

    The same seed gives the same calls for the same circumstances.
    """

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)  # noqa: S311 (a demo's dice)
        self._recordings: dict[tuple[str, str], list[Recording]] = {}
        for recording in load_recordings():
            self._recordings.setdefault((recording.prompt, recording.version), []).append(recording)

    def reseed(self, seed: int | str) -> None:
        """Begin a stretch that does not depend on what was drawn before.

        Args:
            seed: Names the stretch.
        """
        self._random.seed(seed)

    def arrivals(self, expected: float) -> list[float]:
        """Draw when calls arrive within a stretch.

        Args:
            expected: The mean number of calls.

        Returns:
            Sorted moments as fractions of the stretch.
        """
        count = max(0, round(self._random.gauss(expected, math.sqrt(expected))))
        return sorted(self._random.random() for _ in range(count))

    def pause_s(self, rate_hz: float) -> float:
        """Draw the time until the next call.

        Args:
            rate_hz: Calls a second, on average.

        Returns:
            Seconds.
        """
        return self._random.expovariate(rate_hz)

    def call(self, weather: Weather) -> PlannedCall:
        """Draw a call.

        Args:
            weather: The circumstances.

        Returns:
            What to do.
        """
        # A fixed number of draws, so that a change of the weather does not reshuffle all that follows.
        dice = [self._random.random() for _ in range(14)]
        prompt = _pick(_PROMPTS, dice[0])
        new = prompt == "inbox-summary" and dice[1] < weather.rollout
        version = {"inbox-summary": "7" if new else "6", "search-rewrite": "3", "contract-extract": "2"}[
            prompt
        ]
        recordings = self._recordings[prompt, version]
        recording = recordings[int(dice[2] * len(recordings))]
        recording = _in_time(recording, dice[3], dice[4])
        if recording.fault is not None and dice[7] > 0.05:
            recording = replace(recording, fault=None)  # what failed once does not fail each time
        if new and weather.incident:
            recording = misbehaving(recording, dice[5:9])
        elif recording.fault is None and dice[5] < 0.004:
            recording = replace(recording, fault=_pick(_FAULTS, dice[6]))
        tenant = _pick(_TENANTS, dice[9])
        user = f"{tenant}-agent-{int(dice[10] ** 2 * 24) + 1:02d}"
        stream = prompt == "search-rewrite" or (prompt == "contract-extract" and dice[11] < 0.3)
        return PlannedCall(
            recording=recording,
            feature=_pick(_FEATURES[prompt], dice[12]),
            tenant=tenant,
            user=user,
            session=f"{user}-shift-{int(dice[11] * 4) + 1}",
            stream=stream,
            include_usage=dice[13] > 0.1,
            leaves_early=stream and recording.fault is None and dice[13] > 0.97,
        )


def busyness(at: datetime) -> float:
    """Say how busy an hour is: shops sleep at night and rest at weekends.

    Args:
        at: The hour.

    Returns:
        1 on average over a working day, more at noon, less at night.
    """
    by_day = 0.2 + 1.6 * max(0.0, math.sin(math.pi * (at.hour + at.minute / 60 - 5) / 17)) ** 1.5
    return by_day * (0.45 if at.weekday() >= 5 else 1.0)


def _pick(choices: Sequence[tuple[_Choice, float]], dice: float) -> _Choice:
    for choice, share in choices:
        dice -= share
        if dice < 0:
            return choice
    return choices[-1][0]


def _in_time(recording: Recording, dice: float, other: float) -> Recording:
    """Vary the recorded latency by what a provider varies: mostly a little, seldom a lot."""
    factor = math.exp((dice + other - 1) * 0.9) * (3.5 if dice > 0.995 else 1.0)
    return replace(recording, latency_ms=recording.latency_ms * factor, ttft_ms=recording.ttft_ms * factor)
