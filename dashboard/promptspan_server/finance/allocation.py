"""Who pays: rules that map the ledger to team, cost centre and product, and split what several share.

    version: 1
    rules:                                   # the first rule that matches a row of the ledger wins
      - match: {service: mail, feature: "inbox-*"}
        to: {team: inbox, cost_centre: "4711", product: mail}
      - match: {tags: [search, autocomplete]}
        to: {team: search}
      - name: gateway                        # a shared cost, split by fixed shares (of any total)
        match: {service: llm-gateway}
        split:
          - {team: inbox, cost_centre: "4711", product: mail, share: 60}
          - {team: search, share: 40}
      - name: evaluations                    # or in proportion to what each pays directly: spend or calls
        match: {environment: evaluation}
        split_by: spend

All keys of a `match` must hold; a value is a text with `*` for any characters, or a list of such, and an
empty text finds rows without one. What no rule matches is unallocated, and shown as that. Every sum over
allocated rows equals the same sum over the ledger, to the last digit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from promptspan_server.finance.ledger import COUNTS, DIMENSIONS, LedgerRow, dollars, nanos
from promptspan_server.pricing.yaml_file import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MATCHED: Final = (
    "service",
    "feature",
    "prompt",
    "version",
    "tenant",
    "environment",
    "provider",
    "model",
    "tags",
)
"""Dimensions that a rule can match on; of a row's tags one must match."""

TARGET_DIMENSIONS: Final = ("team", "cost_centre", "product")


class AllocationError(ValueError):
    """Allocation rules that cannot be taken; the message names file, line and field."""


def _patterns(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns), Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """What every entry of a finance file is: no unknown keys, and frozen."""

    # Cost centres are often written as numbers.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Target(Strict):
    """Where a cost is booked; what is not given is empty."""

    team: str = ""
    cost_centre: str = ""
    product: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is named."""
        return not (self.team or self.cost_centre or self.product)


UNALLOCATED: Final = Target()


class ShareOf(Target):
    """A target and its part of a shared cost."""

    share: Annotated[int, Field(gt=0, le=1_000_000)]

    @property
    def target(self) -> Target:
        """Where this part is booked."""
        return Target(team=self.team, cost_centre=self.cost_centre, product=self.product)


class Match(Strict):
    """Which rows a rule is about: every pattern that is given must match."""

    service: Patterns | None = None
    feature: Patterns | None = None
    prompt: Patterns | None = None
    version: Patterns | None = None
    tenant: Patterns | None = None
    environment: Patterns | None = None
    provider: Patterns | None = None
    model: Patterns | None = None
    tags: Patterns | None = None

    @cached_property
    def tests(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """Dimension and pattern of each condition."""
        given = [(name, getattr(self, name)) for name in MATCHED]
        return tuple((name, glob(*values)) for name, values in given if values is not None)

    def holds(self, keys: Mapping[str, str]) -> bool:
        """Whether a row with these values is meant."""
        return all(matches(name, pattern, keys[name]) for name, pattern in self.tests)


class Rule(Strict):
    """One rule: rows, and who pays for them."""

    name: str = ""
    match: Match
    to: Target | None = None
    split: Annotated[tuple[ShareOf, ...], Field(min_length=2)] | None = None
    split_by: Literal["spend", "calls"] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Rule:
        if sum(way is not None for way in (self.to, self.split, self.split_by)) != 1:
            raise ValueError("a rule has one of `to`, `split` and `split_by`")
        if self.to is not None and self.to.is_empty:
            raise ValueError("`to` names a team, a cost_centre or a product")
        for part in self.split or ():
            if part.target.is_empty:
                raise ValueError("each part of `split` names a team, a cost_centre or a product")
        if not self.match.tests:
            raise ValueError('`match` is empty: a rule for everything matches `service: "*"`')
        return self


class Allocation(Strict):
    """A parsed file of rules. Without rules everything is unallocated."""

    version: Literal[1] = 1
    rules: tuple[Rule, ...] = ()

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions of the ledger that the rules look at: what it must be grouped by, at least."""
        used = {name for rule in self.rules for name, _ in rule.match.tests}
        return tuple(name for name in DIMENSIONS if name in used)

    def rule(self, keys: Mapping[str, str]) -> Rule | None:
        """Return the first rule that matches, None if none does."""
        return next((rule for rule in self.rules if rule.match.holds(keys)), None)


@dataclass(frozen=True, slots=True)
class Allocated:
    """A row of the ledger, or the part of one, and who pays for it.

    Attributes:
        row: What it used and cost. Its counts and costs are parts where a row is split.
        target: Who pays; `UNALLOCATED` for nobody.
        rule: Name of the rule, or its number (from 1); empty where none matched.
        shared: It is part of a split cost.
    """

    row: LedgerRow
    target: Target
    rule: str
    shared: bool


def parse_allocation(text: str, name: str = "allocation.yaml") -> Allocation:
    """Read a file of rules.

    Raises:
        AllocationError: Not YAML, or a field is wrong: `FILE:LINE: FIELD: reason`.
    """
    return parse_yaml(Allocation, text, name, AllocationError)


def direct_weights(allocation: Allocation, rows: Iterable[LedgerRow]) -> dict[str, dict[Target, int]]:
    """Sum up what each target pays directly: the weights of `split_by`, over the period that is allocated.

    Args:
        allocation: The rules.
        rows: The ledger of the period, grouped at least by `Allocation.dimensions`.

    Returns:
        For `spend` (in billionths of a dollar) and `calls`: the weight by target.
    """
    weights: dict[str, dict[Target, int]] = {"spend": defaultdict(int), "calls": defaultdict(int)}
    for row in rows:
        rule = allocation.rule(row.keys)
        if rule is not None and rule.to is not None:
            weights["calls"][rule.to] += row.calls
            weights["spend"][rule.to] += nanos(row.cost_usd) if row.cost_usd is not None else 0
    return {by: dict(found) for by, found in weights.items()}


def allocate(
    allocation: Allocation,
    rows: Iterable[LedgerRow],
    weights: Mapping[str, Mapping[Target, int]] | None = None,
) -> Iterator[Allocated]:
    """Book every row on who pays for it. A row that is split becomes one row a target.

    Args:
        allocation: The rules.
        rows: The ledger, grouped at least by `Allocation.dimensions`, in a fixed order: the same rows in the
            same order give the same parts.
        weights: What `direct_weights` says of the whole period; needed to read `rows` as a stream.

    Yields:
        Rows whose sums are those of `rows`, exactly. A shared cost with nothing to be in proportion to stays
        unallocated.
    """
    if weights is None:
        rows = list(rows)
        weights = direct_weights(allocation, rows)
    names = {id(rule): rule.name or str(number) for number, rule in enumerate(allocation.rules, 1)}
    splits = {id(rule): _Split(_parts(rule, weights)) for rule in allocation.rules if rule.to is None}
    found: dict[tuple[str, ...], Rule | None] = {}
    for row in rows:
        # The same values come again in every hour.
        values = tuple(row.keys[name] for name in allocation.dimensions)
        if values not in found:
            found[values] = allocation.rule(row.keys)
        rule = found[values]
        if rule is None:
            yield Allocated(row, UNALLOCATED, "", shared=False)
        elif rule.to is not None:
            yield Allocated(row, rule.to, names[id(rule)], shared=False)
        else:
            for target, part in splits[id(rule)].parts(row):
                yield Allocated(part, target, names[id(rule)], shared=True)


def allocate_months(allocation: Allocation, rows: Iterable[LedgerRow]) -> Iterator[Allocated]:
    """As `allocate`, of hours or days of several months: shares in proportion are those of each month.

    Args:
        allocation: The rules.
        rows: The ledger by hours or days, in the order of time.
    """
    for _, group in groupby(rows, key=lambda row: row.at and (row.at.year, row.at.month)):
        yield from allocate(allocation, group)


def _parts(rule: Rule, weights: Mapping[str, Mapping[Target, int]]) -> dict[Target, int]:
    parts: dict[Target, int] = defaultdict(int)
    if rule.split is not None:
        for part in rule.split:
            parts[part.target] += part.share
    else:
        assert rule.split_by is not None
        parts.update({target: weight for target, weight in weights[rule.split_by].items() if weight > 0})
    return {t: parts[t] for t in sorted(parts, key=lambda t: (t.team, t.cost_centre, t.product))}


class _Split:
    """Divides rows among targets in whole units: calls, tokens, billionths of a dollar.

    Largest remainder, and what a target got too much or too little in one row counts in the next: many rows
    of one call each go round the targets instead of all to the largest.
    """

    def __init__(self, weights: Mapping[Target, int]) -> None:
        self._targets = tuple(weights)
        self._weights = tuple(weights.values())
        self._sum = sum(self._weights)
        self._owed: dict[str, list[int]] = {}

    def parts(self, row: LedgerRow) -> Iterator[tuple[Target, LedgerRow]]:
        if not self._targets:
            yield UNALLOCATED, row
            return
        counts = {name: self._divide(name, getattr(row, name)) for name in COUNTS}
        cost = None if row.cost_usd is None else self._divide("cost_usd", nanos(row.cost_usd))
        retries = self._divide("retries_cost_usd", nanos(row.retries_cost_usd))
        for index, target in enumerate(self._targets):
            yield (
                target,
                replace(
                    row,
                    **{name: divided[index] for name, divided in counts.items()},
                    cost_usd=None if cost is None else dollars(cost[index]),
                    retries_cost_usd=dollars(retries[index]),
                ),
            )

    def _divide(self, name: str, units: int) -> Sequence[int]:
        if not units:
            return (0,) * len(self._targets)
        exact = [units * weight for weight in self._weights]
        got = [part // self._sum for part in exact]
        owed = self._owed.setdefault(name, [0] * len(got))
        # What is owed after the floor, in parts of `_sum`; one more unit to those who are owed most.
        for index, part in enumerate(exact):
            owed[index] += part - got[index] * self._sum
        for index in sorted(range(len(got)), key=lambda i: (-owed[i], i))[: units - sum(got)]:
            got[index] += 1
            owed[index] -= self._sum
        return got


def matches(dimension: str, pattern: re.Pattern[str], value: str) -> bool:
    """Whether a value of the ledger is meant by a pattern; tags are meant when one of them is."""
    if dimension == "tags":
        return any(pattern.fullmatch(tag) for tag in value.split(","))
    return pattern.fullmatch(value) is not None


def glob(*patterns: str) -> re.Pattern[str]:
    """Compile texts in which only `*` is special: any characters, none included."""
    return re.compile(
        "|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns), re.DOTALL
    )
