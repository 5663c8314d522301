"""The evaluator: it takes its turn, evaluates what is due, writes what changed and what is to be told."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from promptspan_server.alerts.evaluation import evaluate
from promptspan_server.alerts.lease import SLOT_S, take
from promptspan_server.alerts.memory import (
    Acks,
    Evaluated,
    Evaluations,
    Silences,
    States,
    last_told,
    post,
    remember,
)
from promptspan_server.alerts.notifying import due
from promptspan_server.alerts.reading import Asking, Evaluation, Reading
from promptspan_server.alerts.rules import BlindRule
from promptspan_server.alerts.shares import BAD, GOOD
from promptspan_server.alerts.silences import muted_by
from promptspan_server.alerts.states import advance, fingerprint, first_state, look_away, without_rule
from promptspan_server.queries.alert_facts import OWNERS
from promptspan_server.queries.connection import QueryFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from promptspan_server.alerts.reading import BudgetsAt, Watched
    from promptspan_server.alerts.rule_files import RuleBook
    from promptspan_server.alerts.rules import Rule
    from promptspan_server.alerts.states import State
    from promptspan_server.queries.connection import Store

SETTLE = timedelta(seconds=5)
FILES = "rule files"
"""The name, which no rule can have, under which wrong rule files are remembered; its kind is `files`."""
_WATCHED = ("pending", "firing", "recovering")


@dataclass(frozen=True, slots=True)
class Tick:
    """What one turn did.

    Attributes:
        at: The moment that was judged, UTC.
        evaluated: The rules that were due.
        changed: States before and after, where they differ in name.
        posted: How many notices were put into the outbox.
    """

    at: datetime
    evaluated: tuple[Evaluated, ...]
    changed: tuple[tuple[State, State], ...]
    posted: int


class Evaluator:
    """One of any number of evaluators of a store.

    Attributes:
        book: The rules; may be replaced between two turns.
        wrong_files: What is wrong with the rule files that came after `book`, for people to see.

    Args:
        store: The store, as a user who may write the tables of alerts.
        book: The rules.
        destinations: Names of whom to tell.
        settle: How long after a call's end it is expected to be in the store.
        url_of: The address of an alert's page.
        budgets: What is known of budgets at a moment.
        name: Who this is, unique among the store's evaluators.
    """

    def __init__(
        self,
        store: Store,
        book: RuleBook,
        *,
        destinations: Sequence[str] = (),
        settle: timedelta = SETTLE,
        url_of: Callable[[State], str | None] = lambda _state: None,
        budgets: BudgetsAt = lambda _at: (),
        name: str | None = None,
    ) -> None:
        self.store = store
        self.book = book
        self.wrong_files = ""
        self.destinations = tuple(destinations)
        self.settle = settle
        self.url_of = url_of
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._asking = Asking(store, budgets)

    def tick(self, *, wait: bool = False) -> Tick | None:
        """Evaluate what is due, if it is this one's turn.

        Args:
            wait: Ask for the turn again until a slot has passed, if nobody else has it.

        Returns:
            What was done; None if another evaluator has the turn.

        Raises:
            StoreUnreachable: No answer from the store.
            QueryFailed: The store refused what is needed for every rule.
        """
        holders = take(self.store, self.name)
        deadline = time.monotonic() + (SLOT_S if wait else 0)
        while holders is None and time.monotonic() < deadline:
            time.sleep(1.0)
            holders = take(self.store, self.name)
        if holders is None:
            return None
        until = time.monotonic() + holders.left_s
        return self.evaluate_at(
            (holders.now - self.settle).replace(microsecond=0),
            # A slot that ended meanwhile does not matter if the next one is ours, too.
            still_mine=lambda: time.monotonic() < until or take(self.store, self.name) is not None,
        )

    def evaluate_at(self, at: datetime, still_mine: Callable[[], bool] = lambda: True) -> Tick | None:
        """Evaluate what is due at a moment, write what changed, and post what is to be told.

        Args:
            at: The moment, UTC, in whole seconds.
            still_mine: Whether to go on, asked before anything is written.
        """
        states = {state.fingerprint: state for state in self.store.ask(States()).rows}
        before = {each.rule: each for each in self.store.ask(Evaluations()).rows}
        of_rule: dict[str, list[State]] = defaultdict(list)
        for state in states.values():
            of_rule[state.rule].append(state)
        evaluated: list[Evaluated] = []
        after: dict[str, State] = {}
        for rule in self._due(before, at):
            done, next_states = self._evaluate(rule, at, of_rule[rule.name], before.get(rule.name))
            evaluated.append(done)
            after |= {state.fingerprint: state for state in next_states}
        known = {**before, **{each.rule: each for each in evaluated}}
        for rule in self.book.rules.values():
            if isinstance(rule, BlindRule):
                done, next_states = self._judge_blindness(rule, at, of_rule[rule.name], known)
                evaluated.append(done)
                after |= {state.fingerprint: state for state in next_states}
        evaluated += self._besides(before, at)
        for state in states.values():
            if state.rule not in self.book.rules and state.phase != "inactive":
                after[state.fingerprint] = without_rule(state, at)
        if not still_mine():
            return None
        pairs = [
            (previous, replace(state, revision=_revision(at, previous.revision)))
            for state in after.values()
            for previous in [
                states.get(state.fingerprint) or first_state(state.rule, state.severity, state.labels)
            ]
            if not (state.settled and previous.settled)
            and replace(state, evaluated_at=previous.evaluated_at) != previous
        ]
        remember(self.store, pairs, evaluated, at)
        states |= {state.fingerprint: state for _, state in pairs}
        changed = tuple(pair for pair in pairs if pair[0].name != pair[1].name)
        return Tick(at, tuple(evaluated), changed, self._tell(tuple(states.values()), at))

    def _due(self, before: dict[str, Evaluated], at: datetime) -> Iterable[Rule]:
        for rule in self.book.rules.values():
            last = before.get(rule.name)
            if isinstance(rule, BlindRule):
                continue
            # A moment before the last one means that a clock was set back: the rule is due.
            since = None if last is None or last.rule_version != rule.version else at - last.at
            if since is None or since >= rule.every or since < timedelta(0):
                yield rule

    def _evaluate(
        self, rule: Rule, at: datetime, states: Sequence[State], last: Evaluated | None
    ) -> tuple[Evaluated, list[State]]:
        began = time.perf_counter()
        watched: Watched = frozenset(
            (state.severity, state.labels)
            for state in states
            if state.phase in _WATCHED or state.blind or state.transitions or state.phase == "resolved"
        )
        outcome, detail, series = "ok", "", 0
        try:
            found = evaluate(rule, at, self._asking, watched)
        except (QueryFailed, ValueError, ArithmeticError, LookupError) as error:
            outcome, detail = "error", " ".join(str(error).split())[:500] or type(error).__name__
            after = [
                look_away(state, "error", at) for state in states if state.phase in _WATCHED or state.blind
            ]
        else:
            outcome, detail, series = found.outcome, found.detail, found.series
            after = list(_advanced(rule, at, states, found, self._owners(found, states)))
        elapsed_ms = (time.perf_counter() - began) * 1000
        return self._report(
            rule, at, last, (outcome, detail, series), after=after, elapsed_ms=elapsed_ms
        ), after

    def _owners(self, found: Evaluation, states: Sequence[State]) -> Mapping[str, str]:
        """Who answers for the prompts of what begins to be wrong."""
        fires = {(state.severity, state.labels) for state in states if state.fires}
        labels = [
            dict(each.labels)
            for each in found.readings
            if each.level == BAD and (each.severity, each.labels) not in fires
        ]
        prompts = sorted({each["prompt_name"] for each in labels if each.get("prompt_name")})
        if not prompts:
            return {}
        try:
            named = self._asking.table(OWNERS, {"prompts": prompts})
        except QueryFailed:
            return {}  # an alert without a name is better than none
        return {str(row["prompt_name"]): str(row["named"]) for row in named.to_pylist()}

    def _judge_blindness(
        self, rule: BlindRule, at: datetime, states: Sequence[State], known: dict[str, Evaluated]
    ) -> tuple[Evaluated, list[State]]:
        wrong = {
            name: each
            for name, each in known.items()
            if each.outcome == "error" and name in self.book.rules and name != rule.name
        }
        readings = [
            Reading(
                rule.severity,
                (("watched", name),),
                BAD,
                summary=f"The rule {name} cannot be evaluated: {each.detail}",
                description=rule.description,
            )
            for name, each in sorted(wrong.items())
        ]
        readings += [
            Reading(
                rule.severity,
                state.labels,
                GOOD,
                summary=f"The rule {dict(state.labels)['watched']} is evaluated",
            )
            for state in states
            if dict(state.labels).get("watched") not in wrong
        ]
        after = list(_advanced(rule, at, states, Evaluation(tuple(readings), len(known)), {}))
        return self._report(
            rule, at, known.get(rule.name), ("ok", "", len(known)), after=after, elapsed_ms=0.0
        ), after

    def _besides(self, before: dict[str, Evaluated], at: datetime) -> Iterable[Evaluated]:
        """What is remembered that is no rule: wrong files, and that what is gone is not blind any more."""
        last = before.get(FILES)
        if self.wrong_files:
            yield Evaluated(
                rule=FILES,
                kind="files",
                definition="{}",
                rule_version="",
                at=at,
                outcome="error",
                detail=self.wrong_files,
                series=0,
                active=0,
                elapsed_ms=0.0,
                evaluator=self.name,
                revision=_revision(at, 0 if last is None else last.revision),
            )
        for each in before.values():
            gone = each.rule not in self.book.rules and not (each.rule == FILES and self.wrong_files)
            if gone and each.outcome != "ok":
                yield replace(each, at=at, outcome="ok", detail="", revision=_revision(at, each.revision))

    def _report(
        self,
        rule: Rule,
        at: datetime,
        last: Evaluated | None,
        found: tuple[str, str, int],
        *,
        after: Sequence[State],
        elapsed_ms: float,
    ) -> Evaluated:
        outcome, detail, series = found
        return Evaluated(
            rule=rule.name,
            kind=rule.kind,
            definition=rule.definition,
            rule_version=rule.version,
            at=at,
            outcome=outcome,
            detail=detail,
            series=series,
            active=sum(state.fires for state in after),
            elapsed_ms=round(elapsed_ms, 1),
            evaluator=self.name,
            revision=_revision(at, 0 if last is None else last.revision),
        )

    def _tell(self, states: Sequence[State], at: datetime) -> int:
        told = last_told(self.store)
        if not self.destinations or not (told or any(state.starts_at for state in states)):
            return 0
        acked = frozenset(
            f"{ack.fingerprint}@{ack.starts_at.isoformat()}" for ack in self.store.ask(Acks()).rows
        )
        outgoing = due(
            states,
            told,
            muted=muted_by(states, self.store.ask(Silences()).rows, self.book.inhibitions, at),
            acked=acked,
            policy=self.book.policy,
            destinations=self.destinations,
            at=at,
            url_of=self.url_of,
            runbooks={name: rule.runbook for name, rule in self.book.rules.items() if rule.runbook},
        )
        for each in outgoing:
            post(self.store, each)
        return len(outgoing)


def _advanced(
    rule: Rule, at: datetime, states: Sequence[State], found: Evaluation, owners: Mapping[str, str]
) -> Iterable[State]:
    by_print = {state.fingerprint: state for state in states}
    for reading in found.readings:
        name = fingerprint(rule.name, reading.severity, reading.labels)
        state = by_print.get(name)
        if state is None and reading.level != BAD:
            continue
        before = state or first_state(rule.name, reading.severity, reading.labels)
        after = advance(before, reading, rule, at)
        # As it begins: what receivers know an alert by does not change while it fires, nor when it ends.
        owner = before.context.get("owner", "")
        if reading.level == BAD and not before.fires:
            owner = owners.get(dict(reading.labels).get("prompt_name", ""), owner)
        yield replace(after, context={**after.context, "owner": owner}) if owner else after


def _revision(at: datetime, before: int) -> int:
    """Grows, even if the clock is set back."""
    return max(int(at.timestamp() * 1000), before + 1)
