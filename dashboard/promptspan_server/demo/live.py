"""The demo's present: calls arrive at a steady rate and are handled side by side."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from promptspan_server.demo.story import weather_at
from promptspan_server.demo.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.demo.application import Application

_FAREWELL_S = 0.5


async def live(
    application: Application,
    *,
    rate_hz: float,
    seed: int,
    stop: asyncio.Event,
    on_rollout: Callable[[float], None] = lambda _share: None,
) -> int:
    """Handle calls until told to stop.

    What runs at the end gets half a second to finish and is cancelled then, as at the end of any application.

    Args:
        application: Handles them.
        rate_hz: Calls a second, on average.
        seed: Of the dice.
        stop: Set to end.
        on_rollout: Told the new version's share of the traffic when it changes.

    Returns:
        How many calls were begun.
    """
    traffic = Traffic(seed)
    running: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    count = 0
    rollout = weather_at(0).rollout
    while not await _pause(stop, traffic.pause_s(rate_hz)):
        weather = weather_at(time.monotonic() - began)
        if weather.rollout != rollout:
            rollout = weather.rollout
            on_rollout(rollout)
        task = asyncio.create_task(application.handle(traffic.call(weather)))
        running.add(task)
        task.add_done_callback(running.discard)
        count += 1
    if running:
        await asyncio.wait(running, timeout=_FAREWELL_S)
        application.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return count


async def _pause(stop: asyncio.Event, pause_s: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except asyncio.TimeoutError:
        return False
    return True
