from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.finance.allocation import Allocation, parse_allocation
from promptspan_server.finance.budgets import BudgetError, Burn, alerting, burns, history_range, parse_budgets
from promptspan_server.finance.ledger import LedgerRow, dollars

NOW = datetime(2026, 11, 19, 10, 30, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def row(at: datetime, cost: str | None, calls: int = 1, **keys: str) -> LedgerRow:
    names = {"service": "mail", "feature": "inbox", "tenant": "", **keys}
    usd = None if cost is None else Decimal(cost)
    return LedgerRow(names, at, calls=calls, priced=0 if usd is None else calls, cost_usd=usd)


def one(text: str, *rows: LedgerRow, rules: Allocation | None = None, now: datetime = NOW) -> Burn:
    budgets = parse_budgets(f"budgets:\n  - {text}")
    (found,) = burns(budgets, rules or Allocation(), rows, now)
    return found


def steady(usd_an_hour: str, until: datetime = NOW) -> list[LedgerRow]:
    """Six weeks of the same spend every hour."""
    start = until.replace(minute=0) - timedelta(days=42)
    return [row(start + HOUR * n, usd_an_hour) for n in range(42 * 24 + 1)]


def test_a_budget_counts_its_own_period_and_its_own_calls() -> None:
    text = "{name: a, match: {feature: 'in*', tenant: ''}, amount: 100}"
    found = one(
        text,
        row(datetime(2026, 10, 31, 23, tzinfo=timezone.utc), "64"),
        row(datetime(2026, 11, 1, tzinfo=timezone.utc), "1.000000001"),
        row(datetime(2026, 11, 2, tzinfo=timezone.utc), "32", tenant="acme"),
        row(datetime(2026, 11, 2, tzinfo=timezone.utc), "16", feature="search"),
        row(datetime(2026, 11, 3, tzinfo=timezone.utc), None, calls=3),
        row(datetime(2026, 11, 19, 10, tzinfo=timezone.utc), "2"),
    )
    assert (found.spent_usd, found.settled_usd) == (Decimal("3.000000001"), Decimal("1.000000001"))
    assert (found.calls, found.costed) == (5, 2)
    assert (found.state, found.used) == ("ok", Decimal(3))


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("month", "2026-11-01", "2026-12-01"),
        ("quarter", "2026-10-01", "2027-01-01"),
        ("week", "2026-11-16", "2026-11-23"),
    ],
)
def test_periods_are_those_of_the_calendar(period: str, start: str, end: str) -> None:
    found = one(f"{{name: a, amount: 1, period: {period}}}").range
    assert (f"{found.start:%F}", f"{found.end:%F}") == (start, end)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["month", "quarter", "week"])
)
def test_every_moment_lies_in_exactly_one_period(moment: datetime, period: str) -> None:
    now = moment.replace(tzinfo=timezone.utc)
    (budget,) = parse_budgets(f"budgets: [{{name: a, amount: 1, period: {period}}}]").budgets
    found = budget.range(now)
    assert found.start <= now < found.end
    assert budget.range(found.end).start == found.end
    assert budget.range(found.start - timedelta(microseconds=1)).end == found.start


def test_states_follow_what_is_spent_and_what_is_to_come() -> None:
    rows = steady("1")  # 442 hours of November are over, 278 to come: 720 by its end
    assert one("{name: a, amount: 1000}", *rows).state == "ok"
    warned = one("{name: a, amount: 800, warn_at: [50, 55, 90]}", *rows)
    assert (warned.state, warned.level, warned.used) == ("warning", 55, Decimal("55.37"))
    assert one("{name: a, amount: 700}", *rows).state == "likely over"
    over = one("{name: a, amount: 442.999999999}", *rows)
    assert (over.state, over.chance_over) == ("over", 1.0)
    assert one("{name: a, amount: 443}", *rows).state == "likely over"


def test_the_end_of_a_steady_month_is_foretold() -> None:
    end = one("{name: a, amount: 1000}", *steady("1")).end
    assert end is not None
    low, mean, high = end
    assert low <= mean <= high
    assert mean == pytest.approx(Decimal(720), abs=Decimal("0.5"))


def test_a_young_product_has_no_forecast_and_still_a_state() -> None:
    found = one("{name: a, amount: 10}", row(NOW.replace(minute=0) - HOUR, "9"))
    assert (found.end, found.chance_over, found.state) == (None, None, "warning")


def test_a_team_pays_its_part_of_a_shared_cost_month_by_month() -> None:
    rules = parse_allocation("""
rules:
  - {match: {feature: inbox}, to: {team: inbox}}
  - {match: {feature: search}, to: {team: search}}
  - {match: {service: gateway}, split_by: spend}
""")
    october, november = (datetime(2026, month, 1, tzinfo=timezone.utc) for month in (10, 11))
    rows = [
        row(october, "90"),
        row(october, "10", feature="search"),
        row(october, "100", service="gateway", feature=""),
        row(november, "10"),
        row(november, "30", feature="search"),
        row(november, "100", service="gateway", feature=""),
    ]
    month = one("{name: a, match: {team: inbox}, amount: 100}", *rows, rules=rules)
    quarter = one("{name: a, match: {team: inbox}, amount: 500, period: quarter}", *rows, rules=rules)
    assert (month.spent_usd, quarter.spent_usd) == (10 + 25, 90 + 90 + 10 + 25)


def test_a_budget_in_another_currency_needs_a_rate() -> None:
    budgets = parse_budgets("budgets: [{name: a, amount: 100, currency: EUR}]")
    rows = [row(NOW.replace(minute=0) - HOUR, "105")]
    (unknown,) = burns(budgets, Allocation(), rows, NOW)
    assert (unknown.state, unknown.used, unknown.chance_over) == ("no rate", None, None)
    (known,) = burns(budgets, Allocation(), rows, NOW, {"EUR": Decimal("1.1")}.get)
    assert (known.amount_usd, known.state) == (Decimal(110), "warning")


@given(st.lists(st.integers(0, 10**15), max_size=20))
def test_budgets_that_part_the_ledger_sum_to_it(costs: list[int]) -> None:
    names = ("", "inbox", "search")
    rows = [
        LedgerRow({"feature": names[i % 3]}, NOW.replace(minute=0) - i * HOUR, cost_usd=dollars(c))
        for i, c in reversed(list(enumerate(costs)))
    ]
    text = "".join(
        f"  - {{name: b{i}, match: {{feature: '{name}'}}, amount: 1}}\n" for i, name in enumerate(names)
    )
    parts = burns(parse_budgets(f"budgets:\n{text}"), Allocation(), rows, NOW)
    assert sum((part.spent_usd for part in parts), Decimal(0)) == dollars(sum(costs))


def test_what_alerts_read_is_plain_values() -> None:
    (told,) = alerting([one("{name: a, amount: 1, owner: o@example.com}", row(NOW.replace(minute=0), "2"))])
    assert told == {
        "name": "a",
        "owner": "o@example.com",
        "state": "over",
        "spent_usd": Decimal(2),
        "amount_usd": Decimal(1),
        "used_percent": Decimal(200),
        "chance_over": 1.0,
        "since": datetime(2026, 11, 1, tzinfo=timezone.utc),
        "until": datetime(2026, 12, 1, tzinfo=timezone.utc),
    }


def test_history_reaches_back_to_the_period_and_as_far_as_a_forecast_looks() -> None:
    quarter = parse_budgets("budgets: [{name: a, amount: 1, period: quarter}]")
    late = datetime(2026, 12, 31, 23, 30, tzinfo=timezone.utc)
    assert history_range(quarter, late).start == datetime(2026, 10, 1, tzinfo=timezone.utc)
    assert history_range(quarter, NOW).length == timedelta(weeks=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budgets:\n  - name: a\n", "b.yaml:2: budgets.0.amount: Field required"),
        ("budgets:\n  - {name: a, amount: -1}", "b.yaml:2: budgets.0.amount: "),
        ("budgets:\n  - {name: a, amount: .inf}", "b.yaml:2: budgets.0.amount: "),
        (
            "budgets:\n  - {name: a, amount: 1, currency: euro}",
            "b.yaml:2: budgets.0.currency: a currency",
        ),
        ("budgets:\n  - {name: a, amount: 1, period: day}", "b.yaml:2: budgets.0.period: "),
        (
            "budgets:\n  - {name: a, amount: 1, match: {colour: x}}",
            "b.yaml:2: budgets.0.match.colour: there is no such field",
        ),
        (
            "budgets:\n  - {name: a, amount: 1}\n  - {name: a, amount: 2}",
            "b.yaml:1: the file: two budgets",
        ),
    ],
)
def test_a_wrong_budget_is_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(BudgetError) as caught:
        parse_budgets(text, "b.yaml")
    assert str(caught.value).startswith(message)
