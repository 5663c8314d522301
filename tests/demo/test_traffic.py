from __future__ import annotations

from statistics import median

from promptspan_server.demo.story import INCIDENT_AFTER_S, weather_at
from promptspan_server.demo.traffic import PlannedCall, Traffic, Weather


def drawn(weather: Weather, count: int = 3000) -> list[PlannedCall]:
    traffic = Traffic(3)
    return [traffic.call(weather) for _ in range(count)]


def of_version(calls: list[PlannedCall], version: str) -> list[PlannedCall]:
    return [call for call in calls if call.recording.version == version]


def test_the_same_seed_draws_the_same_calls() -> None:
    assert drawn(Weather(rollout=0.2), 50) == drawn(Weather(rollout=0.2), 50)


def test_the_rollout_decides_the_new_versions_share() -> None:
    calls = drawn(Weather(rollout=0.2))
    old, new = len(of_version(calls, "6")), len(of_version(calls, "7"))
    assert 0.16 < new / (old + new) < 0.24


def test_the_incident_makes_the_new_version_slower_dearer_and_worse_and_leaves_the_old_alone() -> None:
    calm, bad = drawn(Weather(rollout=0.5)), drawn(Weather(rollout=0.5, incident=True))
    assert of_version(calm, "6") == of_version(bad, "6")
    before, after = of_version(calm, "7"), of_version(bad, "7")

    def latency(calls: list[PlannedCall]) -> float:
        return median(call.recording.latency_ms for call in calls)

    def tokens(calls: list[PlannedCall]) -> float:
        return sum(call.recording.usage.output_tokens for call in calls) / len(calls)

    def share(calls: list[PlannedCall], what: str) -> float:
        return sum(bool(getattr(call.recording, what)) for call in calls) / len(calls)

    assert latency(after) > 2 * latency(before)
    assert tokens(after) > 3 * tokens(before)
    assert share(after, "fault") > 0.08 > share(before, "fault")
    assert share(after, "refusal") > 0.1 > share(before, "refusal")


def test_several_features_tenants_and_users_take_part() -> None:
    calls = drawn(Weather(rollout=0.2))
    assert {call.feature for call in calls} == {
        "inbox",
        "escalation-digest",
        "product-search",
        "contract-register",
    }
    assert len({call.tenant for call in calls}) == 3
    assert len({call.user for call in calls}) > 30


def test_the_incident_begins_after_a_calm_half_minute_and_ends() -> None:
    assert not weather_at(0).incident
    assert weather_at(INCIDENT_AFTER_S).incident
    assert weather_at(INCIDENT_AFTER_S).rollout > weather_at(0).rollout
    assert not weather_at(30 * 60).incident
