"""`promptspan alerts backtest`: what a rule would have done."""

import sys
from typing import Annotated

import typer

from promptspan_server.cli.options import DsnOption, Format, FormatOption, RulesOption


def backtest(
    rule: Annotated[
        str | None, typer.Argument(help="Its name; every rule that can be replayed without one.")
    ] = None,
    *,
    begin: Annotated[str, typer.Option("--from", help="Since when: 30d, 12h or a time (UTC).")] = "30d",
    end: Annotated[str | None, typer.Option("--to", help="Until when. Default: now.")] = None,
    rules: RulesOption = None,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Say how often a rule would have fired on the calls that the store holds, and when.

    Nothing is written and nobody is told. Try a rule so before it is switched on.
    """
    from promptspan_server.alerts.backtest import NotReplayable
    from promptspan_server.alerts.backtest import backtest as replayed
    from promptspan_server.alerts.reading import Asking
    from promptspan_server.alerts.rules import said
    from promptspan_server.cli.alerting import read_files
    from promptspan_server.cli.comparing import time_range
    from promptspan_server.cli.connecting import opened
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.rows import Column, print_rows
    from promptspan_server.cli.voice import Voice

    book, _ = read_files(rules)
    if rule is not None and rule not in book.rules:
        raise CommandError(f"no rule {rule}; there are: {', '.join(sorted(book.rules))}")
    when = time_range(begin, end)
    start = when.start.replace(second=0, microsecond=0)
    stop = when.end.replace(second=0, microsecond=0)
    rows: list[list[str | None]] = []
    voice = Voice()
    with opened(dsn) as store:
        asking = Asking(store)
        for name in [rule] if rule is not None else sorted(book.rules):
            try:
                with voice.steps(f"Replaying {name}") as step:
                    found = replayed(
                        book.rules[name], asking, start, stop, told=lambda day: step(f"{day:%Y-%m-%d}")
                    )
            except NotReplayable as error:
                if rule is not None:
                    raise CommandError(str(error)) from error
                print(error, file=sys.stderr, flush=True)
                continue
            pages = sum(each.severity == "page" for each in found.firings)
            if form is Format.table:
                left = f"; the {found.left_out} quietest series were left out" if found.left_out else ""
                print(
                    f"{name}: {_how_often(len(found.firings), pages)} from {start:%Y-%m-%d %H:%M} to"
                    f" {stop:%Y-%m-%d %H:%M} UTC, evaluated every {said(found.step)}{left}",
                    flush=True,
                )
            rows += [
                [
                    *(name, each.severity, each.starts_at.isoformat()),
                    *(None if each.ends_at is None else each.ends_at.isoformat(), each.summary),
                ]
                for each in found.firings
            ]
    if rows or form is not Format.table:
        names = ("rule", "severity", "from", "until", "summary")
        print_rows([Column(name, "String") for name in names], rows, form)


def _how_often(fired: int, pages: int) -> str:
    if not fired:
        return "would not have fired"
    times = "once" if fired == 1 else f"{fired} times"
    return f"would have fired {times} ({pages} page{'' if pages == 1 else 's'})"
