"""What is acknowledged by the Collector is in the store in the end, and counted once."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from collector.load import Load

if TYPE_CHECKING:
    from collector.collectors import Collector
    from collector.conftest import Backend


def test_a_store_that_is_away_under_load_costs_nothing_and_doubles_nothing(
    store: Backend, collector: Collector
) -> None:
    with Load(collector.otlp_port, "away for seconds") as load:
        load.goes_on()
        store.kill()
        load.goes_on(500)
        store.start()
        load.goes_on()
    load.assert_stored_once(store)


def test_a_collector_that_is_killed_under_load_loses_nothing_that_it_acknowledged(
    store: Backend, collector: Collector
) -> None:
    rng = random.Random(4)
    with Load(collector.otlp_port, "killed") as load:
        for _ in range(3):
            load.goes_on()
            time.sleep(rng.uniform(0.0, 0.5))  # the moment is what varies
            collector.kill()
            collector.start()
        load.goes_on()
    load.assert_stored_once(store)
    assert any(sender.failures for sender in load.senders), "the kills did not come in the midst of work"


@pytest.mark.long
def test_a_collector_that_is_stopped_while_the_store_is_away_keeps_its_queue(
    store: Backend, collector: Collector
) -> None:
    with Load(collector.otlp_port, "stopped") as load:
        load.goes_on()
        store.kill()
        load.goes_on(500)
    assert collector.stop() == 0
    store.start()
    collector.start()
    load.assert_stored_once(store)


@pytest.mark.long
def test_a_minute_without_the_store_under_load(store: Backend, collector: Collector) -> None:
    with Load(collector.otlp_port, "away for a minute") as load:
        load.goes_on()
        store.kill()
        time.sleep(60)  # the length of the outage is what this is about
        assert not any(sender.refusals for sender in load.senders)
        store.start()
        load.goes_on()
    load.assert_stored_once(store, within_s=120)


@pytest.mark.long
def test_twenty_kills_at_random_moments(store: Backend, collector: Collector) -> None:
    rng = random.Random(20)
    with Load(collector.otlp_port, "killed twenty times", pause_s=0.0) as load:
        for _ in range(20):
            load.goes_on()
            time.sleep(rng.uniform(0.0, 1.0))  # the moment is what varies
            collector.kill()
            collector.start()
        load.goes_on()
    load.assert_stored_once(store, within_s=120)


@pytest.mark.long
def test_a_long_queue_outlives_stops_while_the_store_is_away(store: Backend, collector: Collector) -> None:
    with Load(collector.otlp_port, "long queue", spans=500, pause_s=0.0) as load:
        load.goes_on()
        store.kill()
        load.goes_on(100_000)
        for _ in range(2):
            assert collector.stop() == 0
            collector.start()
            load.goes_on(10_000)
    assert collector.stop() == 0
    store.start()
    collector.start()
    load.assert_stored_once(store, within_s=120)
