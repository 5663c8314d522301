from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.rows import LEDGERS
from promptspan_server.finance.allocation import (
    UNALLOCATED,
    AllocationError,
    Target,
    allocate,
    direct_weights,
    parse_allocation,
)
from promptspan_server.finance.ledger import COUNTS, LedgerRow, dollars, nanos, total

if TYPE_CHECKING:
    from collections.abc import Iterable

    from promptspan_server.finance.allocation import Allocated, Allocation

RULES = parse_allocation("""
rules:
  - match: {service: mail, feature: "inbox*"}
    to: {team: inbox, cost_centre: 4711}
  - match: {feature: [search, ü]}
    to: {team: search}
  - name: gateway
    match: {service: inbox}
    split:
      - {team: inbox, share: 60}
      - {team: search, share: 40}
      - {team: batch, share: 33}
  - match: {tenant: search}
    split_by: spend
  - match: {tenant: inbox}
    split_by: calls
""")


def row(calls: int = 1, cost: str | None = "0.000000007", **keys: str) -> LedgerRow:
    names = {"service": "", "feature": "", "tenant": "", **keys}
    return LedgerRow(names, calls=calls, priced=calls, cost_usd=None if cost is None else Decimal(cost))


def spent(allocated: Iterable[Allocated]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for part in allocated:
        found[part.target.team] = found.get(part.target.team, Decimal(0)) + (part.row.cost_usd or 0)
    return found


@given(LEDGERS)
def test_every_sum_over_allocated_rows_is_that_of_the_ledger(rows: list[LedgerRow]) -> None:
    allocated = list(allocate(RULES, rows))
    assert total([part.row for part in allocated]) == total(rows)
    for part in allocated:
        assert min(getattr(part.row, name) for name in COUNTS) >= 0
        assert part.row.cost_usd is None or part.row.cost_usd >= 0


@given(LEDGERS, st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_split_gives_each_target_its_share_within_one_unit_a_row(
    rows: list[LedgerRow], one: int, two: int
) -> None:
    rules = parse_allocation(
        f"rules:\n- match: {{service: '*'}}\n  split: [{{team: a, share: {one}}}, {{team: b, share: {two}}}]"
    )
    whole = total(rows)
    parts = spent(allocate(rules, rows))
    for name, share in (("a", one), ("b", two)):
        wanted = Fraction(nanos(whole.cost_usd or Decimal(0)) * share, one + two)
        assert abs(nanos(parts.get(name, Decimal(0))) - wanted) <= 1


def test_many_rows_of_one_call_each_go_round_the_targets() -> None:
    rules = parse_allocation(
        "rules: [{match: {service: '*'}, split: [{team: a, share: 60}, {team: b, share: 40}]}]"
    )
    calls = {"a": 0, "b": 0}
    for part in allocate(rules, [row(service="x") for _ in range(10)]):
        calls[part.target.team] += part.row.calls
    assert calls == {"a": 6, "b": 4}


def test_the_first_rule_that_matches_wins_and_the_rest_is_unallocated() -> None:
    rows = [
        row(service="mail", feature="inbox-summary", cost="3"),
        row(service="mail", feature="search", cost="5"),
        row(service="mail", feature="other", cost="7"),
    ]
    parts = list(allocate(RULES, rows))
    assert [(part.target, part.rule) for part in parts] == [
        (Target(team="inbox", cost_centre="4711"), "1"),
        (Target(team="search"), "2"),
        (UNALLOCATED, ""),
    ]


def test_a_shared_cost_in_proportion_follows_what_each_pays_directly() -> None:
    rows = [
        row(calls=1, service="mail", feature="inbox", cost="30"),
        row(calls=9, feature="search", cost="10"),
        row(calls=5, tenant="search", cost="4"),
        row(calls=5, tenant="inbox", cost="10"),
    ]
    assert spent(allocate(RULES, rows)) == {"inbox": 30 + 3 + 1, "search": 10 + 1 + 9}


def test_a_shared_cost_with_nothing_to_follow_stays_unallocated() -> None:
    assert spent(allocate(RULES, [row(tenant="search", cost="4")])) == {"": 4}


def test_a_stream_is_split_by_the_weights_of_the_whole_period() -> None:
    rows = [row(feature="search", cost="1"), row(tenant="search", cost="2"), row(feature="search", cost="3")]
    weights = direct_weights(RULES, rows)
    assert list(allocate(RULES, iter(rows), weights)) == list(allocate(RULES, rows))


def test_unknown_cost_stays_unknown_when_it_is_split() -> None:
    assert [part.row.cost_usd for part in allocate(RULES, [row(service="inbox", cost=None)])] == [None] * 3


def test_rules_say_which_dimensions_of_the_ledger_they_read() -> None:
    assert RULES.dimensions == ("service", "feature", "tenant")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "a.yaml:1: "),
        ("rules:\n  - to: {team: a}\n", "a.yaml:2: rules.0.match: Field required"),
        (
            "rules:\n  - match: {srvice: a}\n    to: {team: a}",
            "a.yaml:2: rules.0.match.srvice: there is no such field; service is one",
        ),
        ("rules:\n  - match: {}\n    to: {team: a}", "a.yaml:2: rules.0: `match` is empty"),
        (
            "rules:\n  - match: {service: a}\n",
            "a.yaml:2: rules.0: a rule has one of `to`, `split`",
        ),
        (
            "rules:\n  - match: {service: a}\n    to: {team: a}\n    split_by: spend",
            "a.yaml:2: rules.0: a rule has one of",
        ),
        (
            "rules:\n  - match: {service: a}\n    split_by: money",
            "a.yaml:3: rules.0.split_by: Input should be",
        ),
        (
            "rules:\n  - match: {service: a}\n    split:\n    - {team: a, share: 0}\n    - {share: 1}",
            "a.yaml:4: rules.0.split.0.share: ",
        ),
        (
            "rules:\n  - match: {service: a}\n    split:\n    - {team: a, share: 1.5}\n    - {share: 1}",
            "a.yaml:4: rules.0.split.0.share: ",
        ),
        ("rules:\n  - match: {service: []}\n    to: {team: a}", "a.yaml:2: rules.0.match.service: "),
        ("rules:\n  - match: {service: a}\n    to: {}", "a.yaml:2: rules.0: `to` names"),
    ],
)
def test_a_wrong_rule_is_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(AllocationError) as caught:
        parse_allocation(text, "a.yaml")
    assert str(caught.value).startswith(message)


@given(st.integers(-(10**40), 10**40))
def test_money_keeps_every_digit_on_its_way_through_whole_numbers(units: int) -> None:
    assert nanos(dollars(units)) == units


def test_an_amount_with_ten_places_is_refused_and_not_rounded() -> None:
    with pytest.raises(ValueError, match="nine places"):
        nanos(Decimal("0.0000000001"))


def test_an_empty_allocation_leaves_everything_unallocated() -> None:
    empty: Allocation = parse_allocation("")
    assert [part.target for part in allocate(empty, [row(service="mail")])] == [UNALLOCATED]


def test_a_row_is_meant_when_one_of_its_tags_is() -> None:
    rules = parse_allocation("rules: [{match: {tags: [eu, 'team-*']}, to: {team: a}}]")
    for tags, team in (("blue,eu", "a"), ("team-x", "a"), ("europe", ""), ("", "")):
        (part,) = allocate(rules, [LedgerRow({"tags": tags})])
        assert part.target.team == team
