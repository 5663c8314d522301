"""`promptspan reconcile`: the provider's bill beside the ledger."""

from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import Format, FormatOption, WriterDsnOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.finance.reconcile import Compared


class Provider(str, Enum):
    """Whose exports can be read."""

    openai = "openai"
    anthropic = "anthropic"
    openrouter = "openrouter"
    csv = "csv"


def reconcile(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(help="Usage and cost exports: pages of the API saved as JSON, or CSV of a console."),
    ],
    provider: Annotated[Provider, typer.Option("--provider", help="Whose exports these are.")],
    month: Annotated[
        str | None,
        typer.Option(
            "--month", help="Which month, as YYYY-MM. Default: that of the files.", show_default=False
        ),
    ] = None,
    calls_of: Annotated[
        str | None,
        typer.Option(
            "--calls-of",
            help="Provider in the ledger. Default: as --provider; needed for csv.",
            show_default=False,
        ),
    ] = None,
    key_is: Annotated[
        str | None,
        typer.Option(
            "--key-is",
            help="What the export's keys are in the ledger: service, tenant, feature or environment. Default:"
            " keys are added up.",
            show_default=False,
        ),
    ] = None,
    invoice: Annotated[str, typer.Option("--invoice", help="Number of the invoice.")] = "",
    invoice_total: Annotated[
        str | None, typer.Option("--invoice-total", help="Its total in USD.", show_default=False)
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Percent of the bill that may stay unexplained.")
    ] = 0.5,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep the result for the pack of the month.")
    ] = True,
    form: FormatOption = Format.table,
    dsn: WriterDsnOption = None,
) -> None:
    """Put a provider's bill beside the ledger: per day, model and key, what differs and why.

    The difference is split into missing calls, tokens, price, rounding, charges that are not for tokens, and
    what is unexplained; the parts add up to it exactly. Exit code 1 if more is unexplained than tolerated.
    """
    import json

    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.finance_failures import said
    from promptspan_server.cli.finance_files import read_month, read_text
    from promptspan_server.finance.bills import BillError, read_bill
    from promptspan_server.finance.charge_source import rates_used
    from promptspan_server.finance.closed import revisions
    from promptspan_server.finance.reconcile import KEYS, compare, read_ledger
    from promptspan_server.finance.reconciled import Invoice, report
    from promptspan_server.finance.reconciled import keep as keep_report
    from promptspan_server.queries.connection import Store
    from promptspan_server.store.executor import ClientExecutor

    if key_is is not None and key_is not in KEYS:
        raise CommandError(f"--key-is {key_is}: it can be {', '.join(KEYS)}")
    name = calls_of or provider.value
    if name == "csv":
        raise CommandError("--provider csv needs --calls-of: the provider whose calls the file is about")
    texts = {path.name: read_text(path) for path in files}
    if len(texts) < len(files):
        raise CommandError("two files have the same name, and the report could not tell them apart")
    try:
        lines = [line for file, text in texts.items() for line in read_bill(provider.value, text, file)]
    except BillError as error:
        raise CommandError(str(error)) from error
    months = sorted({f"{line.day:%Y-%m}" for line in lines})
    if month is None and len(months) != 1:
        raise CommandError(f"the files are about {', '.join(months) or 'no day'}: say --month YYYY-MM")
    time_range = read_month(month or months[0])
    chosen = f"{time_range.start:%Y-%m}"
    lines = [line for line in lines if f"{line.day:%Y-%m}" == chosen]
    if not any(line.usd is not None for line in lines):
        raise CommandError(f"the files have no costs of {chosen}: add the export of costs to that of usage")
    address = chosen_dsn(dsn)
    if keep:
        address = writer(address, given=dsn is not None)
    with connected(address) as client, said():
        store = Store(address)
        closes = tuple(one.close_id for one in revisions(store, time_range.start))
        ledger = read_ledger(store, time_range, name, key_is, closes)
        rows = compare(lines, ledger, rates_used(store, time_range, closes), key_is)
        made = report(name, chosen, rows, Invoice(invoice, _total(invoice_total)), texts)
        if keep:
            keep_report(ClientExecutor(client), made)
    if form is Format.json:
        print(json.dumps(made, indent=2, ensure_ascii=False))
    else:
        _print(rows, form)
    unexplained, billed = Decimal(made["unexplained_usd"]), Decimal(made["billed_usd"])
    if form is Format.table:
        parts = ", ".join(f"{part} {usd}" for part, usd in made["parts"].items() if Decimal(usd))
        print(
            f"\n{name}, {chosen}: bill {made['billed_usd']} USD, ledger {made['ledger_usd']},"
            f" difference {made['difference_usd']} ({parts or 'none'})"
        )
        if made["invoice"]["usd"] is not None:
            print(
                f"invoice {invoice or '(no number)'}: {made['invoice']['usd']} USD,"
                f" {made['invoice']['less_export_usd']} other than the export"
            )
    if unexplained * 100 > abs(billed) * Decimal(str(tolerance)):
        raise CommandError("", exit_code=1)


def _total(text: str | None) -> Decimal | None:
    from promptspan_server.cli.failure import CommandError

    if text is None:
        return None
    try:
        return Decimal(text).quantize(Decimal("1e-9"))
    except InvalidOperation as error:
        raise CommandError(f"--invoice-total {text}: an amount such as 1234.56 was expected") from error


def _print(rows: "Sequence[Compared]", form: Format) -> None:
    from promptspan_server.cli.rows import Column, number, print_rows
    from promptspan_server.finance.reconcile import PARTS

    amounts = ("billed_usd", "ledger_usd", "difference_usd", *(part.replace(" ", "_") for part in PARTS))
    print_rows(
        (
            Column("day", "Date"),
            Column("model", "String"),
            Column("key", "String"),
            Column("requests", "Nullable(UInt64)"),
            Column("calls", "UInt64"),
            *(Column(name, "Decimal") for name in amounts),
        ),
        (
            (
                row.day.isoformat(),
                row.model,
                row.key,
                row.requests,
                row.calls,
                number(row.billed_usd),
                number(row.ledger_usd),
                number(row.difference_usd),
                *(number(row.parts.get(part, Decimal(0))) for part in PARTS),
            )
            for row in rows
        ),
        form,
    )
