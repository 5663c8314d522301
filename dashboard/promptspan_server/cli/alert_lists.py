"""`promptspan alerts list` and `history`: what is wrong, and what began and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.connecting import opened
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from promptspan_server.alerts.memory import Evaluated
    from promptspan_server.alerts.states import State

_STALE_S = 120.0
_ID_SHOWN = 12  # characters: enough to name one, and to copy by hand


def list_(
    every: Annotated[bool, typer.Option("--all", help="Inactive ones that once were, too.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="The rules and when each was evaluated.")] = False,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """List alerts that are pending, firing, recovering or resolved lately, and rules that are blind.

    A rule that cannot see (no data, an error, no evaluator at work) is listed as such.
    """
    from promptspan_server.alerts.memory import Acks, Evaluations, Silences, States
    from promptspan_server.alerts.silences import muted_by
    from promptspan_server.cli.rows import Column, print_rows
    from promptspan_server.cli.voice import Voice
    from promptspan_server.queries.freshness import Freshness

    with opened(dsn) as store:
        evaluated = store.ask(Evaluations()).rows
        now = store.ask(Freshness()).rows[0].store_time
        if not evaluated:
            Voice().say("", "No evaluator has run on this store yet: promptspan up or alerts run starts one.")
        if rules:
            _print_rules(evaluated, now, form)
            return
        states = store.ask(States(active=not every)).rows
        muted = muted_by(states, store.ask(Silences()).rows, (), now)
        acked = {(ack.fingerprint, ack.starts_at): ack.author for ack in store.ask(Acks()).rows}
    notes = {
        state.fingerprint: f"acknowledged by {acked[state.fingerprint, state.starts_at]}"
        if state.starts_at and state.fires and (state.fingerprint, state.starts_at) in acked
        else muted.get(state.fingerprint, "")
        for state in states
    }
    blind = list(_blind(evaluated, now))
    if form is Format.table:
        _print_for_people(states, notes, blind)
        return
    names = ("rule", "state", "severity", "labels", "value", "threshold", "unit", "since", "summary", "note")
    types = {"value": "Float64", "threshold": "Float64"}
    columns = [Column(name, types.get(name, "String")) for name in (*names, "id")]
    rows: list[list[Any]] = [
        [
            *(state.rule, state.name, state.severity, _labels(state, form)),
            *(state.value, state.threshold, state.unit, _since(state), state.summary),
            *(notes[state.fingerprint], state.fingerprint),
        ]
        for state in states
    ]
    rows += [
        [each.rule, outcome, "", _no_labels(form), None, None, "", each.at.isoformat(), detail, "", ""]
        for each, outcome, detail in blind
    ]
    print_rows(columns, rows, form)


def _print_for_people(
    states: Sequence[State], notes: Mapping[str, str], blind: Sequence[tuple[Evaluated, str, str]]
) -> None:
    """What is wrong in a sentence each, which says value, threshold and who is hit."""
    from promptspan_server.alerts.texts import measure
    from promptspan_server.cli.rows import Column, print_rows

    titles = ("state", "severity", "since (UTC)", "rule", "value", "threshold", "what", "note", "id")
    rows = [
        [
            *(state.name, state.severity, _short(_since(state)), state.rule),
            *(measure(state.value, state.unit), measure(state.threshold, state.unit)),
            *(state.summary, notes[state.fingerprint], state.fingerprint[:_ID_SHOWN]),
        ]
        for state in sorted(states, key=lambda each: (not each.fires, each.severity != "page"))
    ]
    rows += [
        [outcome, "", _short(each.at.isoformat()), each.rule, "", "", detail, "", ""]
        for each, outcome, detail in blind
    ]
    if rows:
        types = {"value": "Float64", "threshold": "Float64"}
        columns = [Column(title, types.get(title, "String")) for title in titles]
        print_rows(columns, rows, Format.table)
    else:
        print("Nothing is wrong: no alert is pending or fires, and no rule is blind.")


def _short(moment: str | None) -> str:
    return "" if moment is None else moment[:19].replace("T", " ")


def history(
    begin: Annotated[str, typer.Option("--from", help="Since when: 24h, 7d or a time (UTC).")] = "24h",
    rule: Annotated[str, typer.Option("--rule", help="Only of this rule.")] = "",
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """List what began and ended, the newest first."""
    from promptspan_server.alerts.memory import History
    from promptspan_server.cli.comparing import time_range
    from promptspan_server.cli.rows import Column, print_rows
    from promptspan_server.queries.scope import to_millis

    since = time_range(begin, None).start
    with opened(dsn) as store:
        changes = store.ask(History(to_millis(since), rule)).rows
    if form is Format.table:
        titles = ("at (UTC)", "rule", "severity", "from", "to", "what")
        print_rows(
            [Column(title, "String") for title in titles],
            [
                [
                    *(_short(each.at.isoformat()), each.rule, each.severity),
                    *(each.before, each.after, each.summary),
                ]
                for each in changes
            ],
            form,
        )
        return
    names = ("at", "rule", "severity", "labels", "before", "after", "value", "threshold", "unit", "summary")
    columns = [Column(name, "Float64" if name in ("value", "threshold") else "String") for name in names]
    rows = [
        [
            *(each.at.isoformat(), each.rule, each.severity),
            dict(each.labels) if form is Format.json else _written(dict(each.labels)),
            *(each.before, each.after, each.value, each.threshold, each.unit, each.summary),
        ]
        for each in changes
    ]
    print_rows(columns, rows, form)


def _blind(evaluated: Sequence[Evaluated], now: datetime) -> Iterator[tuple[Evaluated, str, str]]:
    """Rules that cannot be judged, with why."""
    newest = max((each.at for each in evaluated), default=now)
    for each in evaluated:
        if (now - newest).total_seconds() > _STALE_S:
            yield each, "error", f"no evaluator is at work since {newest:%Y-%m-%d %H:%M:%S} UTC"
        elif each.outcome != "ok":
            yield each, each.outcome, each.detail


def _print_rules(evaluated: Sequence[Evaluated], now: datetime, form: Format) -> None:
    from promptspan_server.cli.rows import Column, print_rows

    blind = {each.rule: (outcome, detail) for each, outcome, detail in _blind(evaluated, now)}
    columns = [
        Column(name, "UInt32" if name in ("series", "firing") else "String")
        for name in ("rule", "kind", "outcome", "series", "firing", "evaluated_at", "version", "detail")
    ]
    rows = [
        [
            *(each.rule, each.kind, blind.get(each.rule, ("ok", ""))[0], each.series, each.active),
            *(each.at.isoformat(), each.rule_version, blind.get(each.rule, ("", ""))[1]),
        ]
        for each in evaluated
    ]
    print_rows(columns, rows, form)


def _labels(state: State, form: Format) -> Any:
    return dict(state.labels) if form is Format.json else _written(dict(state.labels))


def _no_labels(form: Format) -> Any:
    return {} if form is Format.json else ""


def _written(labels: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in labels.items() if value)


def _since(state: State) -> str | None:
    moment = {
        "pending": state.active_since,
        "firing": state.starts_at,
        "recovering": state.starts_at,
        "resolved": state.ends_at,
    }.get(state.phase)
    moment = state.blind_since if state.blind else moment
    return None if moment is None else moment.isoformat()
