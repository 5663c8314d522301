"""How long what is kept: the TTLs of tables, from the environment of whoever starts or migrates the store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptspan_server.store.cluster import LOCAL, alter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.store.executor import Executor


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing that can be kept for a time.

    Attributes:
        what: For people.
        table: Where it is.
        moment: SQL of the time from which it is kept.
        unit: DAY, MONTH or YEAR.
        variable: The environment variable with the number of units; 0 for without limit.
        also: What goes with it: other tables, each with its own `moment`.
    """

    what: str
    table: str
    moment: str
    unit: str
    variable: str
    also: tuple[tuple[str, str], ...] = ()


RULES = (
    Rule("texts of prompts and answers", "llm_texts", "toDateTime(ts)", "DAY", "PROMPTSPAN_KEEP_TEXTS_DAYS"),
    Rule("spans", "spans", "toDateTime(ts)", "DAY", "PROMPTSPAN_KEEP_SPANS_DAYS"),
    Rule(
        "calls",
        "llm_calls",
        "toDateTime(ts)",
        "MONTH",
        "PROMPTSPAN_KEEP_CALLS_MONTHS",
        # Never before the calls, which would count twice without them.
        (("llm_call_corrections", "hour + toIntervalDay(7)"),),
    ),
    Rule(
        "the ledger",
        "hourly_rows",
        "hour",
        "YEAR",
        "PROMPTSPAN_KEEP_LEDGER_YEARS",
        (("prompt_hour_rows", "hour"), ("arm_hour_rows", "hour")),
    ),
)
# The last interval is ours: before it may be one that belongs to the moment.
_TTL = re.compile(
    r"\bTTL\s+(?P<moment>.+?)\s*\+\s*toInterval(?P<unit>Day|Month|Year)\((?P<number>\d+)\)(?![\s)]*\+)"
)
_MOST = 10_000


class RetentionError(ValueError):
    """A variable that says no time. The message is one line for a person."""


def wanted(environment: Mapping[str, str]) -> dict[Rule, int]:
    """What the environment says; what it does not mention stays as it is in the store.

    Returns:
        Units by rule, 0 for without limit.

    Raises:
        RetentionError: A value that is no whole number from 0 to 10,000.
    """
    found: dict[Rule, int] = {}
    for rule in RULES:
        text = environment.get(rule.variable, "").strip()
        if text:
            if not text.isascii() or not text.isdigit() or int(text) > _MOST:
                raise RetentionError(
                    f"{rule.variable}={text} is no number of {rule.unit.lower()}s (0 keeps without limit)"
                )
            found[rule] = int(text)
    return found


def kept(executor: Executor) -> dict[Rule, int]:
    """How long the store keeps things: units by rule, 0 for without limit."""
    return {rule: _kept(executor, rule.table, rule.unit) for rule in RULES}


def _kept(executor: Executor, table: str, unit: str) -> int:
    rows = executor.rows(
        """SELECT engine_full FROM system.tables WHERE database = currentDatabase()
        AND name IN ({name:String}, {local:String}) AND engine != 'Distributed'""",
        {"name": table, "local": table + LOCAL},
    )
    ttl = _TTL.search(str(rows[0][0])) if rows else None
    return int(ttl["number"]) if ttl is not None and ttl["unit"].upper() == unit else 0


def apply(executor: Executor, rules: Mapping[Rule, int]) -> list[str]:
    """Make the store keep things for these times. Does nothing where it does already.

    What is too old goes at the next merges, a day or a month of it at once.

    Returns:
        What changed, one line for each rule.

    Raises:
        StoreError: The store refused.
    """
    changed: list[str] = []
    for rule, number in rules.items():
        for table, moment in ((rule.table, rule.moment), *rule.also):
            before = _kept(executor, table, rule.unit)
            if before == number:
                continue
            start = alter(executor, table)
            if number:
                executor.command(f"{start} MODIFY SETTING ttl_only_drop_parts = 1")
                executor.command(f"{start} MODIFY TTL {moment} + INTERVAL {number} {rule.unit}")
            else:
                executor.command(f"{start} REMOVE TTL")
            if table == rule.table:
                changed.append(f"{rule.what}: {said(rule, number)}, was {said(rule, before)}")
    return changed


def said(rule: Rule, number: int) -> str:
    """A time, for people."""
    return f"{number} {rule.unit.lower()}{'s' if number != 1 else ''}" if number else "without limit"
