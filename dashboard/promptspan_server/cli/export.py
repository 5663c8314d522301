"""`promptspan export`: what the calls cost, for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.finance_files import AllocationOption, RatesOption
from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption

if TYPE_CHECKING:
    from promptspan_server.finance.focus_export import Exported

app = typer.Typer()


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """Write what the calls cost into files that other programs read."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def focus(
    *,
    month: Annotated[str, typer.Option("--month", help="Which month, as YYYY-MM.")],
    output: Annotated[Path, typer.Option("--output", help="FILE.csv, FILE.parquet or FILE.xlsx.")],
    spec: Annotated[str, typer.Option("--spec", help="Version of FOCUS.")] = "1.2",
    revision: Annotated[
        int | None,
        typer.Option("--revision", min=1, help="Of a closed month. Default: the latest.", show_default=False),
    ] = None,
    allocation: AllocationOption = None,
    rates: RatesOption = None,
    dsn: DsnOption = None,
) -> None:
    """Write a month's charges in the FinOps Open Cost and Usage Specification (FOCUS).

    One charge a day, meter and allocation key. A closed month is written as it was frozen, with the rules and
    rates of then. Calls without a known cost are no charges: they are listed in FILE.uncharged.csv.
    """
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.finance_failures import said
    from promptspan_server.cli.finance_files import read_basis, read_month
    from promptspan_server.finance.closed import revisions, up_to
    from promptspan_server.finance.focus_columns import SPEC
    from promptspan_server.finance.focus_export import export_closed, export_open
    from promptspan_server.queries.connection import Store

    if spec != SPEC:
        raise CommandError(f"--spec {spec}: FOCUS {SPEC} is the version that can be written and checked")
    time_range = read_month(month)
    basis = read_basis(allocation, rates)
    tame_driver()
    store = Store(chosen_dsn(dsn))
    with said():
        found = revisions(store, time_range.start)
        if revision is not None or found:
            written = export_closed(store, time_range, output, up_to(found, revision, month))
        else:
            written = export_open(store, time_range, output, basis)
    for line in _said(written, output):
        print(line)


def _said(written: "Exported", output: Path) -> list[str]:
    from promptspan_server.finance.table_files import number_text

    state = f"closed, revision {written.revision}" if written.revision else "not closed"
    amount = f"{number_text(written.billed_usd)} USD"
    lines = [f"{output}: {written.rows:,} charges, {amount}, {written.calls:,} calls ({state})"]
    if written.currency:
        lines.append(f"  {number_text(written.reporting_cost)} {written.currency} at the rates given")
    if written.uncharged_file is not None:
        share = 1 - written.uncharged_calls / written.calls if written.calls else 1
        lines.append(
            f"  {written.uncharged_calls:,} calls have no known cost and are no charges:"
            f" {written.uncharged_file} ({share:.1%} of calls have one)"
        )
    if written.open_hours:
        of = "an hour" if written.open_hours == 1 else f"{written.open_hours} hours"
        lines.append(f"  {of} of it may still change: calls came a moment ago")
    return lines


app.command(name="focus", help=help_text(focus))(focus)
