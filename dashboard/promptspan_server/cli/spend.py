"""`promptspan spend`: what a month cost, by whom, and why it changed."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.finance_files import AllocationOption, RatesOption
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from datetime import datetime

    from promptspan_server.finance.spend import Spend
    from promptspan_server.finance.table_files import Part
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.scope import Scope


class Shown(str, Enum):
    """Parts of a month's spend, as the page has them."""

    groups = "groups"
    unknown = "unknown"
    unit_cost = "unit-cost"
    waste = "waste"


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
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            help="What the same tokens would have cost by this price file (YAML).",
            show_default=False,
        ),
    ] = None,
    shown: Annotated[
        Shown,
        typer.Option(
            "--show",
            help="groups; calls of unknown cost; what a call, 1,000 calls, a user and a success cost; waste.",
        ),
    ] = Shown.groups,
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

    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.finance_files import read_month
    from promptspan_server.cli.finance_options import finance_store
    from promptspan_server.finance.files import load_allocation, load_rates
    from promptspan_server.finance.spend import read_spend

    now = datetime.now(timezone.utc)
    if prices is not None and (form is not Format.table or output is not None):
        raise CommandError("--prices is a sentence above the table: leave out --format and --output")
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
        part = _part(store, found, shown, conditions)
        if output is not None:
            print(f"{output}: {part.write(output)} rows")
            return
        if form is Format.table:
            print(_sentence(found, now))
            if shown is Shown.groups and found.waste:
                print(_waste(found))
            if other is not None:
                print(_what_if(store, found, other))
            if prices is not None:
                print(_other_book(store, found, prices, conditions))
            print()
        _print(part, form)


def _part(store: "Store", found: "Spend", shown: Shown, conditions: list[tuple[str, str]]) -> "Part":
    from promptspan_server.finance.outcomes import Avoidable, Outcomes, Users
    from promptspan_server.finance.spend_table import groups_part, unknown_part
    from promptspan_server.finance.unit_cost import unit_cost_part, unit_costs
    from promptspan_server.finance.waste import of_the_calls, waste_part

    if shown is Shown.unknown:
        return unknown_part(found)
    if shown is Shown.unit_cost:
        scope = _scope(found, conditions)
        users, outcomes = store.ask(Users(scope)).rows, store.ask(Outcomes(scope)).rows
        return unit_cost_part(unit_costs(found.total.now, users[0], outcomes))
    if shown is Shown.waste:
        (avoidable,) = store.ask(Avoidable(_scope(found, conditions))).rows
        return waste_part([*found.waste, *of_the_calls(avoidable)])
    return groups_part(found)


def _scope(found: "Spend", conditions: list[tuple[str, str]]) -> "Scope":
    """The calls themselves, which know users, scores and texts."""
    from promptspan_server.queries.scope import Filter, Scope

    names = ("feature", "prompt", "version", "environment", "service")
    for name, _ in conditions:
        if name not in names:
            raise ValueError(f"--show unit-cost and waste are narrowed by {', '.join(names)}, not by {name}")
    return Scope(found.range, Filter(**dict(conditions)))


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--where {text!r}: say a dimension and its value, as feature=inbox")
    return name, value


def _print(part: "Part", form: Format) -> None:
    from decimal import Decimal

    from promptspan_server.cli.rows import Column, number, print_rows

    kinds = part.table.columns
    # Tokens by meter are for files and programs: a terminal has no room for eight columns more.
    shown = [
        index for index, name in enumerate(kinds) if form is not Format.table or not name.endswith("_tokens")
    ]
    columns = [Column(name, "String" if kind == "text" else "Decimal") for name, kind in kinds.items()]

    def cell(value: Any) -> Any:
        return number(value) if isinstance(value, Decimal) else value

    rows = ([cell(row[index]) for index in shown] for row in part.rows)
    print_rows([columns[index] for index in shown], rows, form)


def _sentence(found: "Spend", asked_at: "datetime") -> str:
    from promptspan_server.cli.rows import number

    now, before = found.total.now, found.total.before
    end = f"to {found.range.end:%Y-%m-%d %H:%M} UTC"
    if asked_at < found.range.end:
        end = f"so far ({asked_at:%Y-%m-%d %H:%M} UTC)"
    when = f"from {found.range.start:%Y-%m-%d} {end}"
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


def _waste(found: "Spend") -> str:
    from promptspan_server.cli.rows import number

    parts = (
        f"{each.kind.lower()} {number(each.usd) or 'unknown'} ({each.calls:,} calls)" for each in found.waste
    )
    return f"Of it for nothing, USD: {', '.join(parts)}. More: --show waste, --show unit-cost."


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


def _other_book(store: "Store", found: "Spend", file: Path, conditions: list[tuple[str, str]]) -> str:
    from promptspan_server.cli.finance_files import read_text
    from promptspan_server.cli.rows import number
    from promptspan_server.finance.other_book import read_other_book
    from promptspan_server.pricing.book import build_book
    from promptspan_server.pricing.contracts import parse_contracts
    from promptspan_server.pricing.genai import read_package

    book = build_book(read_package(), parse_contracts(read_text(file), file.name))
    same = read_other_book(store, found.range, book, conditions)
    costs = f"{number(same.other_usd)} USD instead of {number(same.usd)} ({same.calls:,} calls)."
    said = [f"By {same.version} the same tokens: {costs}"]
    said += [f"Left out, {reason}: {calls:,} calls." for reason, calls in sorted(same.left_out.items())]
    if same.gained:
        said.append(
            f"{same.gained:,} calls without a price would have one: {number(same.gained_usd)} USD more."
        )
    if same.unknown:
        said.append(f"{same.unknown:,} calls have no known cost by either.")
    return "\n".join(said)
