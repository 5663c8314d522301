from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.queries.call import CallDetail
from promptspan_server.queries.calls import CallSearch
from promptspan_server.queries.prompts import Prompts
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.series import CallsOverTime
from promptspan_server.queries.templates import Templates
from promptspan_server.queries.totals import Totals
from promptspan_server.queries.trace import CallScores, CallText, TraceSpans
from promptspan_server.queries.version_history import FirstCalls
from promptspan_server.queries.versions import Versions
from queries.live_store import ago

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.queries.query import Query
    from queries.live_store import LiveStore

HOSTILE = [
    "'",
    '"; DROP TABLE llm_calls; --',
    "x' OR '1'='1",
    "x') UNION ALL SELECT 1 --",
    "{f_prompt:String}",
    "back\\slash\\'",
    "tab\tnew\nline\r",
    "nul\x00in the middle",
    "☃ \u202e right to left 😀",
    "%s %(x)s {}",
    "y" * 20_000,
]
DAY = TimeRange(ago(10), ago(9))
QUESTIONS: list[Callable[[str], Query[Any]]] = [
    lambda text: Totals(Scope(DAY, Filter(text, text, text, text, text, text))),
    lambda text: Versions(Scope(DAY, Filter(prompt=text))),
    lambda text: Prompts(Scope(DAY, Filter(prompt=text))),
    lambda text: CallsOverTime(Scope(DAY, Filter(prompt=text)), by_version=True),
    lambda text: CallSearch(Scope(DAY, Filter(prompt=text)), flag=text, identifier=text, words=text),
    Templates,
    FirstCalls,
    lambda text: CallDetail(text, text, DAY),
    lambda text: TraceSpans(text, DAY),
    lambda text: CallText(text, text, DAY),
    lambda text: CallScores(text, text, text, DAY),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_are_values(live: LiveStore, text: str) -> None:
    before = live.value("SELECT count() FROM llm_calls")
    for question in QUESTIONS:
        query = question(text)
        rows = live.reader.ask(query).rows
        assert rows == () if not isinstance(query, Totals) else rows[0].calls == 0
    assert live.value("SELECT count() FROM llm_calls") == before


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\x00" not in text and len(text) < 100])
def test_a_prompt_may_have_any_name(live: LiveStore, text: str) -> None:
    live.insert("llm_calls", live.call(ago(10, 3), prompt_name=text, prompt_version=text, feature=text))
    scope = Scope(DAY, Filter(prompt=text, version=text, feature=text))
    assert live.reader.ask(Totals(scope)).rows[0].calls == 1
    (row,) = live.reader.ask(Versions(scope)).rows
    assert (row.prompt, row.version) == (text, text)
    (call,) = live.reader.ask(CallSearch(scope)).rows
    assert (call.prompt, call.feature) == (text, text)
