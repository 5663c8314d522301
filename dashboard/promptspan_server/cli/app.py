"""The command line's commands. Each loads what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

from promptspan_server.cli.alerts import app as alerts
from promptspan_server.cli.backup import backup, restore
from promptspan_server.cli.budget import app as budget
from promptspan_server.cli.check import check
from promptspan_server.cli.close import app as close
from promptspan_server.cli.compare import compare
from promptspan_server.cli.dashboard import dashboard
from promptspan_server.cli.demo import demo
from promptspan_server.cli.doctor import doctor
from promptspan_server.cli.drift import drift
from promptspan_server.cli.export import app as export
from promptspan_server.cli.forget import forget
from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.ledger import ledger
from promptspan_server.cli.mark import mark
from promptspan_server.cli.migrate import migrate
from promptspan_server.cli.prices import app as prices
from promptspan_server.cli.query import query
from promptspan_server.cli.reconcile import reconcile
from promptspan_server.cli.spend import spend
from promptspan_server.cli.template import template
from promptspan_server.cli.up import up

app = typer.Typer(
    name="promptspan",
    help="Prompt observability: traced model calls in ClickHouse, with versions, cost and drift.",
    epilog="Exit codes: 0 success, 1 a finding, 2 a usage or connection error.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    up,
    demo,
    migrate,
    dashboard,
    ledger,
    query,
    mark,
    template,
    compare,
    spend,
    check,
    drift,
    doctor,
    backup,
    restore,
    forget,
    reconcile,
):
    app.command(help=help_text(command))(command)
app.add_typer(alerts, name="alerts")
app.add_typer(prices, name="prices")
app.add_typer(export, name="export")
app.add_typer(budget, name="budget")
app.add_typer(close, name="close")


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from promptspan_server.cli.version import version_text

        print(f"promptspan {version_text()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit code.

    Raises:
        CommandError: It cannot be done; for a wrong command line too.
    """
    try:
        result = typer.main.get_command(app).main(
            list(arguments), prog_name="promptspan", standalone_mode=False
        )
    except typer.Abort:
        return 130
    except Exception as error:
        # Typer's own errors: their class has moved between releases, their shape has not.
        explain = getattr(error, "format_message", None)
        if explain is None:
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "promptspan"
        raise CommandError(f"{str(explain()).rstrip('.')} ({command} --help tells more)") from error
    return result if isinstance(result, int) else 0
