"""How long things are kept, as whoever starts the store says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.retention import RULES, RetentionError, apply, kept, said, wanted
from schema.bodies import SECOND, Span, traces

if TYPE_CHECKING:
    from schema.conftest import Store

CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": "[1]"}
DAY_NS = 86_400 * SECOND
DEFAULTS = [30, 14, 0, 0]


def times(store: Store) -> list[int]:
    with store.engine.handle() as handle:
        return list(kept(HandleExecutor(handle)).values())


def set_to(store: Store, *numbers: int) -> list[str]:
    environment = {rule.variable: str(number) for rule, number in zip(RULES, numbers, strict=True)}
    with store.engine.handle() as handle:
        return apply(HandleExecutor(handle), wanted(environment))


def test_times_are_set_once_shown_and_taken_back(store: Store) -> None:
    assert times(store) == DEFAULTS
    changed = set_to(store, 7, 14, 13, 10)
    assert changed == [
        "texts of prompts and answers: 7 days, was 30 days",
        "calls: 13 months, was without limit",
        "the ledger: 10 years, was without limit",
    ]
    assert times(store) == [7, 14, 13, 10]
    assert set_to(store, 7, 14, 13, 10) == []
    set_to(store, *DEFAULTS)
    assert times(store) == DEFAULTS


def test_what_nobody_mentions_stays(store: Store) -> None:
    with store.engine.handle() as handle:
        assert apply(HandleExecutor(handle), wanted({"PROMPTSPAN_KEEP_TEXTS_DAYS": ""})) == []
    assert times(store) == DEFAULTS


def test_what_is_too_old_goes_and_the_rest_stays(store: Store) -> None:
    now = time.time_ns()
    store.land(traces(*(Span(CALL, start_ns=now - days * DAY_NS - 60 * SECOND) for days in (0, 3, 20))))
    set_to(store, 10, 5, 0, 0)
    try:
        for table in ("llm_texts", "spans"):
            store.command(f"OPTIMIZE TABLE {table} FINAL")
        assert store.value("SELECT count() FROM llm_texts") == 2
        assert store.value("SELECT count() FROM spans") == 2
        assert store.value("SELECT count() FROM llm_calls FINAL") == 3
    finally:
        set_to(store, *DEFAULTS)


def test_what_is_made_of_calls_and_of_the_ledger_goes_with_them(store: Store) -> None:
    ages = {"old": "toStartOfHour(now('UTC')) - INTERVAL 26 MONTH", "young": "toStartOfHour(now('UTC'))"}
    tables = ("hourly_rows", "prompt_hour_rows", "arm_hour_rows", "llm_call_corrections")

    def hold() -> list[Any]:
        for table in tables:
            store.command(f"OPTIMIZE TABLE {table} FINAL")
        return [store.value(f"SELECT count() FROM {table}") for table in tables]

    for table in tables:
        for age in ages.values():
            store.command(f"INSERT INTO {table} (hour) SELECT {age}")
    try:
        set_to(store, *DEFAULTS[:2], 25, 3)
        # A month and more after they came of age: their parts are of whole months.
        assert hold() == [2, 2, 2, 1]
        set_to(store, *DEFAULTS[:2], 25, 1)
        assert hold() == [1, 1, 1, 1]
        assert times(store) == [*DEFAULTS[:2], 25, 1]
    finally:
        set_to(store, *DEFAULTS)
        for table in tables:
            store.command(f"TRUNCATE TABLE {table}")
    limited = "database = currentDatabase() AND position(engine_full, 'TTL') > 0"
    assert store.rows(f"SELECT name FROM system.tables WHERE {limited} AND name IN {tables}") == []


@pytest.mark.parametrize("text", ["-1", "30d", "1.5", "²", "99999", "ten"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(RetentionError, match=r"PROMPTSPAN_KEEP_CALLS_MONTHS=.* is no number of months"):
        wanted({"PROMPTSPAN_KEEP_CALLS_MONTHS": text})


def test_times_are_said_as_people_say_them() -> None:
    rule = RULES[0]
    assert [said(rule, number) for number in (0, 1, 2)] == ["without limit", "1 day", "2 days"]
