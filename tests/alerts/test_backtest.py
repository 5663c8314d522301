"""Replaying a rule over a past that is made by hand: the store's answers are columns, the judging is real."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from promptspan_server.alerts.backtest import NotReplayable, backtest
from promptspan_server.alerts.reading import Asking
from promptspan_server.alerts.rules import ErrorRule, LossRule
from promptspan_server.queries.query import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

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
