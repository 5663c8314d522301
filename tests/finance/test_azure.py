from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from finance.azure import INPUT_USD, OUTPUT_USD, requests
from pricing.test_ledger import settle
from promptspan_server.finance.allocation import allocate, parse_allocation
from promptspan_server.finance.ledger import Ledger, nanos, read, total
from promptspan_server.pricing.sync import import_prices
from promptspan_server.queries.scope import TimeRange
from promptspan_server.store.executor import ClientExecutor

if TYPE_CHECKING:
    from pathlib import Path

    from queries.live_store import LiveStore

START = datetime(2025, 4, 5, 3, tzinfo=timezone.utc)
"""In a month of its own: other tests that read the store sum whole months."""
PRICES = f"""
rates:
  - {{provider: recorded, model: trace, usd_per_mtok: {{input: {INPUT_USD}, output: {OUTPUT_USD}}}}}
"""
RULES = parse_allocation("""
rules:
  - {match: {tags: conv}, to: {team: conversation}}
  - {match: {tags: code, feature: even}, to: {team: code}}
  - match: {tags: code}
    split: [{team: code, share: 2}, {team: conversation, share: 1}]
""")


@pytest.mark.shared_data
def test_recorded_traffic_costs_what_fractions_say_by_team_and_in_all(
    live: LiveStore, shared_data: Path
) -> None:
    found = requests(shared_data)
    shift = START - found[0].at
    calls = [
        live.call(
            request.at + shift,
            provider="recorded",
            request_model="trace",
            response_model="trace",
            input_tokens=request.input_tokens,
            output_tokens=request.output_tokens,
            tags=[request.service],
            feature="even" if request.input_tokens % 2 == 0 else "odd",
        )
        for request in found
    ]
    for begin in range(0, len(calls), 10_000):
        live.insert("llm_calls", *calls[begin : begin + 10_000])
    executor = ClientExecutor(live.writer)
    import_prices(executor, PRICES)
    settle(executor)

    wanted = {"conversation": Fraction(0), "code": Fraction(0)}
    shared = Fraction(0)
    for request in found:
        if request.service == "conv":
            wanted["conversation"] += request.usd
        elif request.input_tokens % 2 == 0:
            wanted["code"] += request.usd
        else:
            shared += request.usd
    day = TimeRange(START, START + timedelta(hours=2))
    rows = read(live.reader, Ledger(day, ("hour", "tags", "feature"), (("provider", "recorded"),)))
    whole = total(rows)
    assert whole.calls == len(found) == whole.priced
    assert Fraction(whole.cost_usd or 0) == sum(request.usd for request in found)
    teams = {"conversation": Decimal(0), "code": Decimal(0)}
    for part in allocate(RULES, rows):
        teams[part.target.team] += part.row.cost_usd or 0
    assert sum(map(nanos, teams.values())) == nanos(whole.cost_usd or Decimal(0))
    one = Fraction(1, 10**9)
    assert abs(Fraction(teams["code"]) - wanted["code"] - shared * 2 / 3) < one
    assert abs(Fraction(teams["conversation"]) - wanted["conversation"] - shared / 3) < one
