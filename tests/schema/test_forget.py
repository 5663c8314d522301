"""A person's or a tenant's texts and identifiers go; the money stays, to the last digit."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.forget import Forgotten, Kind, forget
from schema.bodies import LogRecord, Span, logs, traces

if TYPE_CHECKING:
    from schema.conftest import Store

ADA = "ada@example.com"
HASHED = hashlib.sha256(ADA.encode()).hexdigest()[:32]
MARK = "canary"
EVERYTHING = ("llm_calls", "llm_texts", "spans", "scores", "quarantine")


def call(trace: int, **attributes: Any) -> Span:
    return Span(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.id": f"answer-{trace}",
            "gen_ai.usage.input_tokens": 1000 + trace,
            "gen_ai.usage.output_tokens": 77,
            "gen_ai.input.messages": f"{MARK} {trace}",
            "promptspan.output.sketch": "00000000deadbeef",
            "gen_ai.usage.reasoning.output_tokens": -1,
            "note": f"{MARK} {trace}",
            **attributes,
        },
        trace_id=f"{trace:032x}",
    )


def score(trace: int, **attributes: Any) -> LogRecord:
    return LogRecord(
        {
            "gen_ai.evaluation.name": "tone",
            "gen_ai.evaluation.score.value": 0.5,
            "gen_ai.evaluation.explanation": f"{MARK} {trace}",
            **attributes,
        },
        event_name="gen_ai.evaluation.result",
        trace_id=f"{trace:032x}" if trace < 90 else "",
    )


@pytest.fixture
def filled(store: Store) -> Store:
    with store.engine.handle() as handle:
        sync_prices(HandleExecutor(handle))
    store.land(
        traces(
            call(1, **{"user.id": ADA, "session.id": "s1"}),
            Span({"http.route": f"/{MARK}/1"}, name="POST /", trace_id=f"{1:032x}"),
            call(2, **{"user.id": HASHED}),
            call(3, **{"langfuse.user.id": ADA}),
            Span({"enduser.id": ADA, "note": f"{MARK} 4"}, name="GET /", trace_id=f"{4:032x}"),
            call(4),
            call(5, **{"user.id": "bob", "promptspan.tenant": "acme"}),
            call(6, **{"user.id": "it's \\ bob", "promptspan.tenant": "acme"}),
            call(7, **{"promptspan.tenant": "other"}),
        )
    )
    store.land(logs(score(1), score(5), score(99, **{"gen_ai.response.id": "answer-2"})), signal="logs")
    recompute_all(store)
    return store


def recompute_all(store: Store) -> None:
    with store.engine.handle() as handle:
        store.command(
            "INSERT INTO hour_states (hour, marked_at)"
            " SELECT hour, now64(6, 'UTC') FROM hour_states GROUP BY hour"
        )
        recompute(HandleExecutor(handle), interval_s=0)


def clear(store: Store, kind: Kind, name: str, *, rehearsal: bool = False) -> Forgotten:
    with store.engine.handle() as handle:
        return forget(HandleExecutor(handle), kind, name, rehearsal=rehearsal)


def money(store: Store) -> list[Any]:
    return [
        store.rows(
            """SELECT billable, price_status, tenant, count(), sum(cost_usd)
            FROM llm_costs GROUP BY ALL ORDER BY ALL"""
        ),
        store.rows(
            """SELECT tenant, sum(calls), sum(cost_usd), sum(input_tokens)
            FROM llm_hourly GROUP BY ALL ORDER BY ALL"""
        ),
    ]


def traces_with_text(store: Store) -> set[int]:
    """The numbers of traces that still say something of theirs, in any column of any table."""
    found: set[int] = set()
    for table in EVERYTHING:
        for (line,) in store.rows(f"SELECT formatRow('JSONEachRow', *) FROM {table}"):
            found.update(int(number) for number in re.findall(rf"{MARK} (\d+)", line))
    return found


def test_a_user_goes_everywhere_plain_and_hashed_and_the_money_stays(filled: Store) -> None:
    before = money(filled)
    assert before[0][0][-1] > 0
    rehearsed = clear(filled, "user", ADA, rehearsal=True)
    assert traces_with_text(filled) == {1, 2, 3, 4, 5, 6, 7, 99}
    assert clear(filled, "user", ADA) == rehearsed
    assert rehearsed == Forgotten(traces=4, calls=4, texts=4, spans=6, scores=2, quarantine=4)
    assert traces_with_text(filled) == {5, 6, 7}
    for table in EVERYTHING:
        rows = " ".join(str(row) for row in filled.rows(f"SELECT formatRow('JSONEachRow', *) FROM {table}"))
        for trail in (ADA, HASHED, '"s1"', f"/{MARK}/1"):
            assert trail not in rows, table
    assert money(filled) == before
    recompute_all(filled)
    assert money(filled) == before, "and it stays when it is computed again"
    assert clear(filled, "user", ADA).traces == 0


def test_a_tenant_keeps_its_name_on_its_bill_and_nothing_else(filled: Store) -> None:
    before = money(filled)
    assert clear(filled, "tenant", "acme").calls == 2
    assert traces_with_text(filled) == {1, 2, 3, 4, 7, 99}
    assert filled.rows(
        "SELECT DISTINCT user_id, session_id, output_sketch FROM llm_calls WHERE tenant = 'acme'"
    ) == [("", "", None)]
    recompute_all(filled)
    assert money(filled) == before


def test_names_with_quotes_and_unknown_names_do_no_harm(filled: Store) -> None:
    assert clear(filled, "user", "it's \\ bob").calls == 1
    assert clear(filled, "user", "' OR 1 = 1 --").traces == 0
    assert traces_with_text(filled) == {1, 2, 3, 4, 5, 7, 99}
    with pytest.raises(ValueError, match="an empty user is nobody"):
        clear(filled, "user", "")
