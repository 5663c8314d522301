"""`promptspan budget`: what may be spent, and how far it is."""

from typing import TYPE_CHECKING, Any

import typer

from promptspan_server.cli.finance_files import AllocationOption, RatesOption
from promptspan_server.cli.finance_options import BudgetsOption
from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from promptspan_server.finance.budgets import Burn


def list_(budgets: BudgetsOption = None, form: FormatOption = Format.table) -> None:
    """Print the budgets of the file, without asking the store."""
    from promptspan_server.cli.rows import Column, number, print_rows

    names = ("budget", "amount", "currency", "period", "owner", "warn_at", "matches")
    columns = [Column(name, "Decimal" if name == "amount" else "String") for name in names]
    print_rows(
        columns,
        [
            [
                each.name,
                number(each.amount),
                each.currency,
                each.period,
                each.owner or None,
                ", ".join(f"{level.normalize():f} %" for level in each.warn_at),
                "; ".join(
                    f"{name} {' or '.join(values)}" for name, values in _matches(each.match.model_dump())
                )
                or "everything",
            ]
            for each in _load(budgets).budgets
        ],
        form,
    )


def check(
    budgets: BudgetsOption = None,
    allocation: AllocationOption = None,
    rates: RatesOption = None,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Say how far each budget is, and where its period will end.

    Exit code 1 if a budget is broken: more is spent than it allows. A warning level or a likely overrun is
    shown and is no failure.
    """
    from datetime import datetime, timezone

    from promptspan_server.cli.finance_files import read_text
    from promptspan_server.cli.finance_options import finance_store
    from promptspan_server.cli.rows import Column, print_rows
    from promptspan_server.finance.budgets import read_burns
    from promptspan_server.finance.currency import parse_rates, usd_per
    from promptspan_server.finance.files import load_allocation

    chosen, now = _load(budgets), datetime.now(timezone.utc)
    with finance_store(dsn) as store:
        exchange = parse_rates(read_text(rates), rates.name) if rates is not None else None
        found = read_burns(store, chosen, load_allocation(allocation), now, usd_per(exchange, now.date()))
    names = ("budget", "state", "spent_usd", "budget_usd", "used_percent", "elapsed_percent", "end_low_usd")
    names += ("end_usd", "end_high_usd", "over_percent", "priced_percent", "owner", "note")
    columns = [
        Column(name, "String" if name in {"budget", "state", "owner", "note"} else "Decimal")
        for name in names
    ]
    print_rows(columns, [_burn(each) for each in found], form)
    if any(each.state == "over" for each in found):
        raise typer.Exit(1)


def _load(path: Any) -> Any:
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.finance.files import BUDGETS_VARIABLE, load_budgets

    try:
        found = load_budgets(path)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if not found.budgets:
        raise CommandError(f"there are no budgets: name a file with --budgets or {BUDGETS_VARIABLE}")
    return found


def _matches(match: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    return [(name, tuple(value or '""' for value in values)) for name, values in match.items() if values]


def _burn(burn: "Burn") -> list[object]:
    from promptspan_server.cli.rows import Number, number
    from promptspan_server.finance.forecast import TooLittle

    low, mean, high = burn.end or (None, None, None)
    notes = [] if burn.amount_usd is not None else [f"no exchange rate for {burn.budget.currency}"]
    if burn.level is not None:
        notes.append(f"reached {burn.level.normalize():f} %")
    if isinstance(burn.forecast, TooLittle):
        notes.append(f"no forecast: {burn.forecast.reason}")
    chance = burn.chance_over
    return [
        burn.budget.name,
        burn.state,
        number(burn.spent_usd),
        number(burn.amount_usd),
        number(burn.used),
        Number(f"{100 * burn.elapsed:.1f}"),
        number(low),
        number(mean),
        number(high),
        None if chance is None else Number(f"{100 * chance:.0f}"),
        Number(f"{100 * burn.costed / burn.calls:.1f}") if burn.calls else None,
        burn.budget.owner or None,
        "; ".join(notes) or None,
    ]


app = typer.Typer(help="Budgets: what may be spent, and how far it is.", no_args_is_help=True)
app.command("list", help=help_text(list_))(list_)
app.command("check", help=help_text(check))(check)
