"""`promptspan prices`: what calls are priced with."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from promptspan_server.pricing.trial import MonthChange, Trial
    from promptspan_server.queries.price_book import PriceRow
    from promptspan_server.queries.query import Query

app = typer.Typer()


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """List, look up and load the prices that calls are priced with."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def list_(
    text: Annotated[str, typer.Argument(help="Only models whose provider/model contains this.")] = "",
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """List today's prices in USD per million tokens, in the standard tier."""
    from promptspan_server.queries.price_book import PricesNow

    _print(_asked(dsn, PricesNow(text)), form)


def show(
    model: Annotated[str, typer.Argument(help="A model's name, or provider/model.")],
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Show every price of a model with its dates, tiers and thresholds, in USD per million tokens."""
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.price_book import PriceHistory

    rows = _asked(dsn, PriceHistory(model))
    if not rows:
        raise CommandError(f"the price book has no model {model}; promptspan prices list TEXT looks for one")
    _print(rows, form)


def sync(dsn: DsnOption = None) -> None:
    """Load the prices of the installed genai-prices package, with the imported price file above them.

    `promptspan up` and `promptspan migrate` do it too. Costs follow at once, for past calls too.
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.pricing.contracts import PriceFileError
    from promptspan_server.pricing.sync import sync_prices
    from promptspan_server.store.executor import ClientExecutor

    with connected(writer(chosen_dsn(dsn), given=dsn is not None)) as client:
        try:
            book = sync_prices(ClientExecutor(client))
        except PriceFileError as error:
            raise CommandError(str(error)) from error
    state = "is in force now" if book.changed else "was in force already"
    print(f"{book.version} {state}: {book.models} models, {book.rows} prices, book {book.hash[:12]}")


def import_(
    file: Annotated[Path, typer.Argument(help="Your price file; - reads standard input.")],
    dsn: DsnOption = None,
) -> None:
    """Take your own price file (contracted rates, discounts, own models and names) above the public prices.

    Costs follow at once, for past calls too; `promptspan prices diff FILE` shows how much before. An empty
    file takes an imported one away.
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.pricing.contracts import PriceFileError
    from promptspan_server.pricing.sync import import_prices
    from promptspan_server.store.executor import ClientExecutor

    content = _read(file)
    with connected(writer(chosen_dsn(dsn), given=dsn is not None)) as client:
        try:
            book = import_prices(ClientExecutor(client), content, file.name)
        except PriceFileError as error:
            raise CommandError(str(error)) from error
    state = "is in force now" if book.changed else "prices every call as before"
    print(f"{book.version} {state}: {book.models} models, {book.rows} prices, book {book.hash[:12]}")


def diff(
    file: Annotated[
        Path | None,
        typer.Argument(help="A price file; without one, what `prices sync` would do.", show_default=False),
    ] = None,
    months: Annotated[int, typer.Option("--months", min=1, max=36, help="How many months back.")] = 3,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Show what another price book would do to the last months, before it is taken. Nothing changes.

    Exit code 0 if it prices every call alike, 1 if a month's cost would be another.
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.pricing.contracts import PriceFileError
    from promptspan_server.pricing.trial import try_prices
    from promptspan_server.store.executor import ClientExecutor

    content = None if file is None else _read(file)
    with connected(writer(chosen_dsn(dsn), given=dsn is not None)) as client:
        try:
            trial = try_prices(
                ClientExecutor(client), content, file.name if file else "prices.yaml", months=months
            )
        except PriceFileError as error:
            raise CommandError(str(error)) from error
    if form is Format.table:
        _say_trial(trial, months)
    if trial.changes or form is not Format.table:
        _print_changes(trial.changes, form)
    if trial.changes:
        raise typer.Exit(1)


def _say_trial(trial: "Trial", months: int) -> None:
    from promptspan_server.cli.rows import number

    print(f"in force: {trial.before or 'no book'}")
    print(f"other:    {trial.after}")
    if trial.same or not trial.changes:
        print(f"No cost of the last {months} months would change.")
        return
    before, after = (number(usd) or "unknown" for usd in trial.totals)
    print(f"All calls of the last {months} months: {before} USD now, {after} USD then\n")


def _print_changes(changes: "Sequence[MonthChange]", form: Format) -> None:
    from promptspan_server.cli.rows import Column, number, print_rows

    money = "Decimal"
    columns = [
        Column("month", "String"),
        Column("provider", "String"),
        Column("model", "String"),
        Column("calls", "UInt64"),
        Column("before_usd", money),
        Column("after_usd", money),
        Column("change_usd", money),
        Column("unpriced_before", "UInt64"),
        Column("unpriced_after", "UInt64"),
    ]
    rows = [
        [
            f"{change.month:%Y-%m}",
            change.provider,
            change.model,
            change.calls,
            number(change.before_usd),
            number(change.after_usd),
            # Unknown on one side is no difference of so many dollars.
            None
            if change.before_usd is None or change.after_usd is None
            else number(change.after_usd - change.before_usd),
            change.unpriced_before,
            change.unpriced_after,
        ]
        for change in changes
    ]
    print_rows(columns, rows, form)


def _read(file: Path) -> str:
    from promptspan_server.cli.failure import CommandError

    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8") from error


for _name, _command in (
    ("list", list_),
    ("show", show),
    ("sync", sync),
    ("import", import_),
    ("diff", diff),
):
    app.command(_name, help=help_text(_command))(_command)


def _asked(dsn: str | None, query: "Query[PriceRow]") -> "Sequence[PriceRow]":
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.connection import QueryFailed, Store, StoreUnreachable

    tame_driver()
    store = Store(chosen_dsn(dsn))
    try:
        return store.ask(query).rows
    except (StoreUnreachable, QueryFailed) as error:
        raise CommandError(str(error)) from error
    finally:
        store.close()


def _print(rows: "Sequence[PriceRow]", form: Format) -> None:
    from promptspan_server.cli.rows import Column, print_rows

    price = "Decimal"
    columns = [
        Column("model", "String"),
        Column("tier", "String"),
        Column("tenant", "String"),
        Column("from", "DateTime"),
        Column("to", "DateTime"),
        Column("input_from_tokens", "UInt64"),
        Column("input_usd", price),
        Column("cache_read_usd", price),
        Column("cache_write_usd", price),
        Column("output_usd", price),
        Column("source", "String"),
    ]
    print_rows(columns, [_cells(row) for row in rows], form)


def _cells(row: "PriceRow") -> list[object]:
    from promptspan_server.cli.rows import number

    open_start, open_end = row.valid_from.year <= 1970, row.valid_to.year >= 2100
    return [
        row.price_id,
        row.tier or None,
        row.tenant or None,
        None if open_start else _moment(row.valid_from),
        None if open_end else _moment(row.valid_to),
        row.input_from,
        number(row.input_usd),
        number(row.cache_read_usd),
        number(row.cache_write_usd),
        number(row.output_usd),
        row.source,
    ]


def _moment(time: "datetime") -> str:
    """A date where it is midnight, which prices mostly are, else date and time; UTC."""
    return time.strftime("%Y-%m-%d" if time.hour == time.minute == time.second == 0 else "%Y-%m-%d %H:%M:%S")
