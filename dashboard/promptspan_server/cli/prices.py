"""`promptspan prices`: what calls are priced with."""

from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

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


for _name, _command in (("list", list_), ("show", show), ("sync", sync)):
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
