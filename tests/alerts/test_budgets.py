from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts.evaluation import evaluate
from promptspan_server.alerts.reading import Asking
from promptspan_server.alerts.rule_files import load_rules
from promptspan_server.alerts.shares import BAD, GOOD
from promptspan_server.finance.allocation import Allocation
from promptspan_server.finance.budgets import alerting, burns, parse_budgets
from promptspan_server.finance.ledger import LedgerRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AT = datetime(2026, 11, 19, 10, 30, tzinfo=timezone.utc)
BUDGETS = parse_budgets("""
budgets:
  - {name: spent, amount: 100, owner: inbox@example.com}
  - {name: likely, amount: 700}
  - {name: ample, amount: 1000}
  - {name: foreign, amount: 1, currency: EUR}
""")


class NoStore:
    """Budgets are all that the rule asks for."""

    def table(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        raise AssertionError(sql, parameters)


def known(at: datetime) -> Sequence[Mapping[str, Any]]:
    """Six weeks of a dollar an hour: 442 dollars of November are spent, 720 will be."""
    hour = at.replace(minute=0)
    start = hour - timedelta(days=42)
    rows = [LedgerRow({}, start + timedelta(hours=n), cost_usd=Decimal(1)) for n in range(42 * 24)]
    return alerting(burns(BUDGETS, Allocation(), rows, at))


def test_a_budget_that_is_spent_or_will_be_is_told_and_one_that_lasts_is_not() -> None:
    rule = load_rules(None).rules["budgets"]
    found = evaluate(rule, AT, Asking(NoStore(), known), frozenset())
    told = {reading.labels: reading for reading in found.readings}
    assert set(told) == {(("budget", "spent"),), (("budget", "likely"),)}
    assert {reading.level for reading in told.values()} == {BAD}
    spent = told[("budget", "spent"),]
    assert (spent.value, spent.threshold, spent.unit) == (442.0, 100.0, "percent")
    assert spent.summary == "spent: 442.0 % of $100.00 is spent; inbox@example.com watches it"
    assert "of $700.00 is spent; it ends over it with " in told[("budget", "likely"),].summary


def test_a_budget_that_recovers_or_is_removed_is_well_again() -> None:
    rule = load_rules(None).rules["budgets"]
    watched = frozenset({("ticket", (("budget", "ample"),)), ("ticket", (("budget", "removed"),))})
    found = evaluate(rule, AT, Asking(NoStore(), known), watched)
    levels = {reading.labels[0][1]: reading.level for reading in found.readings}
    assert (levels["ample"], levels["removed"]) == (GOOD, GOOD)


def test_without_a_budgets_file_the_rule_finds_nothing() -> None:
    found = evaluate(load_rules(None).rules["budgets"], AT, Asking(NoStore()), frozenset())
    assert found.readings == ()
