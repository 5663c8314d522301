from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from promptspan_server.queries.freshness import Freshness
from promptspan_server.queries.health import (
    CallsByMinute,
    LastMigration,
    Losses,
    PriceBook,
    Quarantine,
    Unpriced,
)
from promptspan_server.queries.scope import TimeRange
from queries.live_store import ago

if TYPE_CHECKING:
    from queries.live_store import LiveStore

DAY = TimeRange(ago(3), ago(2))
NEVER = TimeRange(ago(300), ago(299))


def test_freshness_tells_the_newest_call_and_its_age(live: LiveStore) -> None:
    live.insert("llm_calls", live.call(ago(0), prompt_name="fresh"))
    fresh = live.reader.ask(Freshness()).rows[0]
    assert fresh.last_call is not None
    assert fresh.last_call >= ago(0)
    assert fresh.age_s == max(0.0, (fresh.store_time - fresh.last_call).total_seconds())
    assert fresh.store_version[0].isdigit()


def test_calls_are_counted_by_minute_and_a_span_sent_twice_once(live: LiveStore) -> None:
    once = live.call(ago(3, 1, 30), prompt_name="minutes")
    live.insert("llm_calls", once)
    live.insert("llm_calls", once)
    live.insert("llm_calls", live.call(ago(3, 1, 31, 5), prompt_name="minutes"))
    hour = TimeRange(ago(3, 1), ago(3, 2))
    rows = live.reader.ask(CallsByMinute(hour)).rows
    assert [(row.at, row.calls) for row in rows] == [(ago(3, 1, 30), 1), (ago(3, 1, 31), 1)]


def test_unpriced_models_are_named_with_the_reason(live: LiveStore) -> None:
    nameless = {"request_model": "mystery-1", "response_model": "", "provider": "nobody"}
    live.insert("llm_calls", live.call(ago(3, 4), **nameless))
    live.insert(
        "llm_calls",
        live.call(ago(3, 4, 1), **nameless, status="error", input_tokens=None, output_tokens=None),
    )
    hour = TimeRange(ago(3, 4), ago(3, 5))
    rows = {(row.model, row.price_status): row for row in live.reader.ask(Unpriced(hour)).rows}
    assert rows["mystery-1", "unpriced"].calls == 1
    assert rows["mystery-1", "no_usage"].failed == 1
    assert live.reader.ask(Unpriced(NEVER)).rows == ()


def test_losses_are_the_latest_numbers_of_each_process_added_up(live: LiveStore) -> None:
    def report(process: str, emitted: int, delivered: int, dropped: dict[str, int], hour: int) -> None:
        live.insert(
            "sdk_losses",
            {
                "service": "losing",
                "instance_id": process,
                "emitted": emitted,
                "delivered": delivered,
                "dropped": dropped,
                "first_seen": ago(3, hour),
                "last_seen": ago(3, hour),
            },
        )

    report("a", 10, 9, {"queue_full": 1}, 6)
    report("a", 20, 17, {"queue_full": 3}, 7)
    report("b", 5, 4, {"spool_full": 1}, 7)
    (row,) = (row for row in live.reader.ask(Losses(DAY)).rows if row.service == "losing")
    assert (row.processes, row.emitted, row.delivered, row.lost) == (2, 25, 21, 4)
    assert row.dropped == {"queue_full": 3, "spool_full": 1}
    assert row.last_seen == ago(3, 7)
    assert live.reader.ask(Losses(NEVER)).rows == ()


def test_values_set_aside_are_counted_by_field_and_reason(live: LiveStore) -> None:
    for second in range(3):
        live.insert(
            "quarantine",
            {
                "ts": ago(3, 8, second=second),
                "trace_id": "a" * 32,
                "span_id": "b" * 16,
                "service": "s",
                "instrumentation": "odd",
                "field": "input_tokens",
                "value": "-1",
                "reason": "negative",
            },
        )
    (row,) = (row for row in live.reader.ask(Quarantine(DAY)).rows if row.instrumentation == "odd")
    assert (row.field, row.reason, row.values, row.example) == ("input_tokens", "negative", 3, "-1")
    assert live.reader.ask(Quarantine(NEVER)).rows == ()


def test_the_price_book_and_the_schema_say_their_version(live: LiveStore) -> None:
    book = live.reader.ask(PriceBook()).rows[0]
    assert "genai-prices" in book.version
    assert book.models > 100
    assert len(book.book) == 64
    schema = live.reader.ask(LastMigration()).rows[0]
    assert schema.version == live.value("SELECT max(version) FROM schema_migrations")
    assert schema.name


def test_minutes_without_calls_are_left_out(live: LiveStore) -> None:
    assert live.reader.ask(CallsByMinute(TimeRange(ago(300), ago(300) + timedelta(hours=1)))).rows == ()
