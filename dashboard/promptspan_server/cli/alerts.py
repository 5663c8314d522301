"""`promptspan alerts`: rules, alerts and what people say to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.backtesting import backtest
from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption, Format, FormatOption, RulesOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from promptspan_server.alerts.memory import Evaluated
    from promptspan_server.alerts.states import State
    from promptspan_server.queries.connection import Store

app = typer.Typer()

AuthorOption = Annotated[str | None, typer.Option("--author", help="Who says so. Default: you.")]
CommentOption = Annotated[str, typer.Option("--comment", help="Why.")]
_STALE_S = 120.0


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """Evaluate alert rules, and look at, silence and acknowledge what fires."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(
    rules: RulesOption = None,
    once: Annotated[bool, typer.Option("--once", help="One evaluation instead of staying.")] = False,
    dashboard_url: Annotated[
        str | None,
        typer.Option(
            "--dashboard-url",
            envvar="PROMPTSPAN_DASHBOARD_URL",
            help="Where people see the dashboard: alerts link to their pages there.",
            show_default=False,
        ),
    ] = None,
    dsn: DsnOption = None,
) -> None:
    """Evaluate the rules and tell the destinations, until it is stopped.

    `promptspan up` does this by itself. Any number of these may run on one store: one of them evaluates at a
    time, and another goes on when it ends.
    """
    from promptspan_server.cli import alerting
    from promptspan_server.cli.connecting import chosen_dsn, writer

    store = writer(chosen_dsn(dsn), given=dsn is not None)
    alerting.run(store, rules=rules, dashboard_url=dashboard_url, once=once)


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
    names = (
        "rule",
        "state",
        "severity",
        "labels",
        "value",
        "threshold",
        "unit",
        "since",
        "summary",
        "note",
        "id",
    )
    types = {"value": "Float64", "threshold": "Float64"}
    columns = [Column(name, types.get(name, "String")) for name in names]
    rows: list[list[Any]] = []
    for state in states:
        note = muted.get(state.fingerprint, "")
        if state.starts_at and state.fires and (state.fingerprint, state.starts_at) in acked:
            note = f"acknowledged by {acked[state.fingerprint, state.starts_at]}"
        rows.append(
            [
                *(state.rule, state.name, state.severity, _labels(state, form)),
                *(state.value, state.threshold, state.unit, _since(state), state.summary, note),
                state.fingerprint,
            ]
        )
    rows += [
        [each.rule, outcome, "", _no_labels(form), None, None, "", each.at.isoformat(), detail, "", ""]
        for each, outcome, detail in _blind(evaluated, now)
    ]
    print_rows(columns, rows, form)


def silence(
    matchers: Annotated[
        list[str] | None,
        typer.Argument(help="label=value, rule=NAME or severity=page; * stands for any characters."),
    ] = None,
    *,
    length: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 7d.")] = "2h",
    author: AuthorOption = None,
    comment: CommentOption = "",
    end: Annotated[str | None, typer.Option("--end", help="End the silence with this id now.")] = None,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Silence alerts that match for a time; without arguments, list the silences that hold."""
    from dataclasses import replace

    from promptspan_server.alerts import memory
    from promptspan_server.alerts.silences import Silence, new_id
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.rows import Column, print_rows
    from promptspan_server.queries.freshness import Freshness

    with opened(dsn, write=bool(matchers or end)) as store:
        now = store.ask(Freshness()).rows[0].store_time
        held = store.ask(memory.Silences()).rows
        if end is not None:
            found = next((each for each in held if each.id == end), None)
            if found is None:
                raise CommandError(f"no silence {end} holds; promptspan alerts silence lists them")
            memory.silence(store, replace(found, ends_at=now), now)
            print(f"ended {end}")
        elif matchers:
            until = now + _duration(length)
            new = Silence(new_id(), _matchers(matchers), now, until, author or _user(), comment)
            memory.silence(store, new, now)
            print(f"{new.id} silences {' '.join(matchers)} until {until:%Y-%m-%d %H:%M} UTC")
        else:
            columns = [
                Column(name, "String") for name in ("id", "matchers", "from", "until", "author", "comment")
            ]
            print_rows(
                columns,
                [
                    [
                        *(each.id, " ".join(f"{name}={value}" for name, value in each.matchers.items())),
                        *(each.starts_at.isoformat(), each.ends_at.isoformat(), each.author, each.comment),
                    ]
                    for each in held
                ],
                form,
            )


def ack(
    alert: Annotated[str, typer.Argument(help="Id of the alert, or its first characters (alerts list).")],
    author: AuthorOption = None,
    comment: CommentOption = "",
    dsn: DsnOption = None,
) -> None:
    """Say that you are on it: this firing is not repeated to anybody; its end is told."""
    from promptspan_server.alerts import memory
    from promptspan_server.alerts.silences import Ack
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.freshness import Freshness

    with opened(dsn, write=True) as store:
        firing = [
            state
            for state in store.ask(memory.States(active=True)).rows
            if state.fires and alert and state.fingerprint.startswith(alert)
        ]
        if len(firing) != 1:
            what = "fires" if not firing else f"is meant alone ({len(firing)} begin so)"
            raise CommandError(f"no alert {alert} {what}; promptspan alerts list names them")
        [state] = firing
        assert state.starts_at is not None
        now = store.ask(Freshness()).rows[0].store_time
        memory.acknowledge(store, Ack(state.fingerprint, state.starts_at, author or _user(), comment, now))
        print(f"acknowledged {state.rule}: {state.summary}")


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


def send_test(
    destination: Annotated[str | None, typer.Argument(help="Its name; all of them without one.")] = None,
    rules: RulesOption = None,
) -> None:
    """Send a test notice, and say what each destination answered.

    Exit code 1 if one of them did not take it.
    """
    from promptspan_server.alerts.delivery import attempted
    from promptspan_server.alerts.destinations.config import FILE, sender
    from promptspan_server.cli.alerting import read_files
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.voice import printable

    _, found = read_files(rules)
    chosen = [each for each in found.destinations if destination in (None, each.name)]
    if not chosen:
        there = ", ".join(each.name for each in found.destinations) or f"none; {FILE} names them"
        raise CommandError(f"no destination {destination or 'is configured'} (there are: {there})")
    failed = False
    for config in chosen:
        outcome = attempted(sender(config, found.guard, found.allow_internal), _test_notice(config.name))
        failed = failed or outcome.kind != "delivered"
        print(f"{config.name}: {outcome.kind} {printable(outcome.detail)}".rstrip())
    if failed:
        raise typer.Exit(1)


for _command, _name in (
    (run, "run"),
    (list_, "list"),
    (send_test, "test"),
    (silence, "silence"),
    (ack, "ack"),
    (history, "history"),
    (backtest, "backtest"),
):
    app.command(_name, help=help_text(_command))(_command)


def _test_notice(destination: str) -> Any:
    from datetime import datetime, timezone

    from promptspan_server.alerts.notice import Alert, Notice
    from promptspan_server.alerts.silences import new_id

    now, id_ = datetime.now(timezone.utc), new_id()
    alert = Alert(
        fingerprint=f"test-{id_}",
        rule="test",
        severity="ticket",
        labels={"prompt_name": "test"},
        state="firing",
        value=1.0,
        threshold=0.5,
        unit="%",
        starts_at=now,
        ends_at=None,
        summary="A test of promptspan's alerts: nothing is wrong",
        description="Somebody ran `promptspan alerts test`.",
    )
    return Notice(f"test-{id_}", f"test-{id_}", destination, "firing", {"rule": "test"}, (alert,), now)


class opened:  # noqa: N801  (used as a function)
    """The store for a block; what it says becomes one line and exit code 2."""

    def __init__(self, dsn: str | None, *, write: bool = False) -> None:
        from promptspan_server.cli.connecting import chosen_dsn, tame_driver, writer
        from promptspan_server.queries.connection import Store

        tame_driver()
        chosen = chosen_dsn(dsn)
        self._store = Store(writer(chosen, given=dsn is not None) if write else chosen)

    def __enter__(self) -> Store:
        return self._store

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from promptspan_server.cli.failure import CommandError
        from promptspan_server.queries.connection import QueryFailed, StoreUnreachable

        self._store.close()
        if isinstance(error, StoreUnreachable | QueryFailed):
            raise CommandError(str(error)) from error


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


def _matchers(texts: Sequence[str]) -> dict[str, str]:
    from promptspan_server.cli.failure import CommandError

    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"{text!r} is no matcher: write label=value, such as prompt_name=inbox-*")
        found[name.strip()] = value
    return found


def _duration(text: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    from promptspan_server.alerts.rules import Duration
    from promptspan_server.cli.failure import CommandError

    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise CommandError(
            f"--for {text}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from error


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
