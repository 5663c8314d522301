"""Replaying a rule over a past that is made by hand: the store's answers are columns, the judging is real."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from promptspan_server.alerts.backtest import NotReplayable, backtest
from promptspan_server.alerts.reading import Asking
from promptspan_server.alerts.rules import ErrorRule, LossRule, TrafficRule
from promptspan_server.alerts.shares import BAD
from promptspan_server.alerts.traffic import evaluate_traffic, judge_traffic, read_past_traffic
from promptspan_server.queries.connection import Store, parse_dsn
from promptspan_server.queries.query import EPOCH
from queries.live_store import running_store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

arrow: Any = pa  # it has no types
START = datetime(2026, 11, 10, tzinfo=timezone.utc)
OUTAGE = (START + timedelta(days=1, hours=9), START + timedelta(days=1, hours=10))


class Past:
    """One prompt with two calls a minute, of which a quarter fails during the outage."""

    def table(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        start = EPOCH + timedelta(milliseconds=parameters["start_ms"])
        minutes = (parameters["end_ms"] - parameters["start_ms"]) // 60_000
        at = [start + timedelta(minutes=n) for n in range(minutes)]
        failed = [int(OUTAGE[0] <= each < OUTAGE[1] and each.minute % 2 == 0) for each in at]
        return arrow.table(
            {
                "prompt_name": ["p"],
                "minutes": arrow.array([list(range(minutes))], arrow.list_(arrow.uint16())),
                "calls": arrow.array([[2] * minutes], arrow.list_(arrow.uint32())),
                "bad": arrow.array([failed], arrow.list_(arrow.uint32())),
                "providers": arrow.array([["openai"]], arrow.list_(arrow.string())),
            }
        )


def test_an_outage_of_the_past_would_have_paged_once_and_ended() -> None:
    rule = ErrorRule.model_validate({"name": "errors", "kind": "errors", "by": ["prompt_name"]})
    found = backtest(rule, Asking(Past()), START + timedelta(hours=22), START + timedelta(days=1, hours=16))
    pages = [each for each in found.firings if each.severity == "page"]
    (page,) = pages
    assert timedelta(0) < page.starts_at - OUTAGE[0] <= timedelta(minutes=40)
    assert page.ends_at is not None
    assert timedelta(minutes=15) <= page.ends_at - OUTAGE[1] <= timedelta(hours=4)
    assert page.labels == (("prompt_name", "p"),)
    assert (found.series, found.left_out) == (1, 0)


def test_a_quiet_past_would_have_told_nothing() -> None:
    rule = ErrorRule.model_validate({"name": "errors", "kind": "errors", "by": ["prompt_name"]})
    found = backtest(rule, Asking(Past()), START + timedelta(days=5), START + timedelta(days=6))
    assert found.firings == ()


def test_what_the_store_does_not_keep_cannot_be_replayed() -> None:
    rule = LossRule.model_validate({"name": "lost", "kind": "losses"})
    with pytest.raises(NotReplayable, match="only the latest report"):
        backtest(rule, Asking(Past()), START, START + timedelta(days=1))


def test_a_day_of_silences_judged_at_once_is_what_asking_at_each_moment_says(tmp_path: Path) -> None:
    """Two services with a call every two and every ten minutes; one is silent for an afternoon."""
    rule = TrafficRule.model_validate({"name": "stopped", "kind": "traffic", "by": ["service"]})
    silence = (START + timedelta(days=8, hours=12), START + timedelta(days=8, hours=18))
    with running_store(tmp_path) as live:
        live.insert(
            "llm_calls",
            *(
                live.call(at, service=service, prompt_name="p")
                for service, every in (("busy", 2), ("calm", 10))
                for number in range(9 * 1440 // every)
                if not (silence[0] <= (at := START + timedelta(minutes=every * number)) < silence[1])
                or service == "calm"
            ),
        )
        store = Store(parse_dsn(f"http://default@127.0.0.1:{live.clickhouse_port}/default"))
        asking = Asking(store)
        until = START + timedelta(days=9)
        past = read_past_traffic(rule, until, asking)
        bad = 0
        for minutes in range(0, 1440, 25):
            at = until - timedelta(minutes=minutes)
            asked = evaluate_traffic(rule, at, asking, frozenset())
            at_once = judge_traffic(rule, *past.at(at, rule.severity, frozenset()), at, frozenset())
            assert at_once.readings == asked.readings
            bad += sum(each.level == BAD for each in asked.readings)
        (firing,) = backtest(rule, asking, until - timedelta(days=2), until).firings
        store.close()
    assert bad > 3
    assert firing.labels == (("service", "busy"),)
    assert timedelta(0) < firing.starts_at - silence[0] < timedelta(hours=2)
    assert firing.ends_at is not None
    assert firing.ends_at >= silence[1]
