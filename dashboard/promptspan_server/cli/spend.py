"""`promptspan spend`: what a month cost, by whom, and why it changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.finance_files import AllocationOption, RatesOption
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from promptspan_server.finance.spend import Spend
    from promptspan_server.queries.connection import Store


def spend(
    *,
    month: Annotated[
        str | None,
        typer.Option("--month", help="Which month, as YYYY-MM (UTC). Default: this one.", show_default=False),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="feature, team, cost_centre, product, tenant, prompt, version, model, service, environment"
            " or tags.",
        ),
    ] = "feature",
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", help="Only calls of this, as feature=inbox; may be repeated.", show_default=False
        ),
    ] = None,
    other: Annotated[
        str | None,
        typer.Option(
            "--what-if",
            help="What the same tokens would have cost on this model: provider/model, as in"
            " `promptspan prices list`.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write FILE.csv, FILE.parquet or FILE.xlsx.", show_default=False),
    ] = None,
    allocation: AllocationOption = None,
    rates: RatesOption = None,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Print what a month cost so far, against as much of the month before, and what changed it.

    The change is the sum of four: volume (more calls), mix (dearer models), tokens (longer calls) and price.
    Calls without a known cost are counted and never taken as zero. Sums are the ledger's, to the last digit.
    """
    from datetime import datetime, timezone

    from promptspan_server.cli.finance_files import read_month
    from promptspan_server.cli.finance_options import finance_store
    from promptspan_server.finance.files import load_allocation, load_rates
    from promptspan_server.finance.spend import read_spend
    from promptspan_server.finance.spend_table import spend_rows, spend_table
    from promptspan_server.finance.table_files import writing

    now = datetime.now(timezone.utc)
    with finance_store(dsn) as store:
        chosen = read_month(month or f"{now:%Y-%m}")
        conditions = [_condition(text) for text in where or ()]
        found = read_spend(
            store,
            chosen,
            now,
            by,
            load_allocation(allocation),
            where=conditions,
            exchange=load_rates(rates),
        )
        if output is not None:
            with writing(output, spend_table(found)) as writer:
                rows = writer.write(spend_rows(found))
            print(f"{output}: {rows} rows")
            return
        if form is Format.table:
            print(_sentence(found))
            if other is not None:
                print(_what_if(store, found, other))
            print()
        _print(found, form)


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--where {text!r}: say a dimension and its value, as feature=inbox")
    return name, value


def _print(found: "Spend", form: Format) -> None:
    from decimal import Decimal

    from promptspan_server.cli.rows import Column, number, print_rows
    from promptspan_server.finance.spend_table import spend_rows, spend_table

    kinds = spend_table(found).columns
    # Tokens by meter are for files and programs: a terminal has no room for eight columns more.
    shown = [
        index for index, name in enumerate(kinds) if form is not Format.table or not name.endswith("_tokens")
    ]
    columns = [Column(name, "String" if kind == "text" else "Decimal") for name, kind in kinds.items()]

    def cell(value: Any) -> Any:
        return number(value) if isinstance(value, Decimal) else value

    rows = ([cell(row[index]) for index in shown] for row in spend_rows(found))
    print_rows([columns[index] for index in shown], rows, form)


def _sentence(found: "Spend") -> str:
    from promptspan_server.cli.rows import number

    now, before = found.total.now, found.total.before
    when = f"from {found.range.start:%Y-%m-%d} to {found.range.end:%Y-%m-%d %H:%M} UTC"
    if not now.calls:
        return f"No calls {when}."
    priced = f"{100 * now.costed / now.calls:.1f} % of {now.calls:,} calls priced"
    other = found.reporting
    also = f" ({number(other.total)} {other.currency})" if other and other.total is not None else ""
    text = f"{number(now.cost_usd) or 'Unknown'} USD{also} {when}, {priced}"
    if before.cost_usd is None:
        return text + "; nothing to compare with in the month before."
    why = found.total.drivers
    parts = (("volume", why.volume), ("mix", why.mix), ("tokens", why.tokens), ("price", why.price))
    return (
        f"{text}; {number(before.cost_usd)} USD in as much of the month before."
        f" Change {number(why.change)}: {', '.join(f'{name} {number(value)}' for name, value in parts)}."
    )


def _what_if(store: "Store", found: "Spend", other: str) -> str:
    from promptspan_server.cli.rows import number
    from promptspan_server.finance.what_if import PricesOf, what_if

    prices = store.ask(PricesOf(other)).rows
    if not prices:
        raise ValueError(
            f"--what-if {other!r}: the price book has no such model; `promptspan prices list` shows them"
        )
    answer = what_if(found.rows, prices[0])
    if answer.other_usd is None:
        return f"On {prices[0].price_id}: unknown, it has no price for {', '.join(answer.missing)} tokens."
    costs = f"{number(answer.other_usd)} USD instead of {number(answer.usd)}"
    return f"On {prices[0].price_id} the same tokens: {costs}."
