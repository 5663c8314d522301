"""How the live demo goes: a calm half minute, the next step of a rollout that goes wrong, and its end."""

from __future__ import annotations

from promptspan_server.demo.traffic import Weather

EARLY_ROLLOUT = 0.2
NEXT_ROLLOUT = 0.5
INCIDENT_AFTER_S = 30.0
INCIDENT_LASTS_S = 15 * 60.0
PERIOD_S = 45 * 60.0


def weather_at(elapsed_s: float) -> Weather:
    """Say what goes on at a moment of the live part; it begins anew every 45 minutes.

    Args:
        elapsed_s: Seconds since the start.

    Returns:
        The circumstances.
    """
    into_s = elapsed_s % PERIOD_S
    if INCIDENT_AFTER_S <= into_s < INCIDENT_AFTER_S + INCIDENT_LASTS_S:
        return Weather(rollout=NEXT_ROLLOUT, incident=True)
    return Weather(rollout=EARLY_ROLLOUT)
