"""`promptspan alerts`: rules, alerts and what people say to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.alert_lists import history, list_
from promptspan_server.cli.backtesting import backtest
from promptspan_server.cli.connecting import opened
from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption, Format, FormatOption, RulesOption

if TYPE_CHECKING:
    from collections.abc import Sequence


app = typer.Typer()

AuthorOption = Annotated[str | None, typer.Option("--author", help="Who says so. Default: you.")]
CommentOption = Annotated[str, typer.Option("--comment", help="Why.")]


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
