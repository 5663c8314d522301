"""`promptspan close`: freezes a month, and shows what changed since."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from promptspan_server.cli.finance_files import AllocationOption, RatesOption
from promptspan_server.cli.help_text import help_text
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.finance.closed import Revision
    from promptspan_server.queries.connection import Store

_MONTH = re.compile(r"\d{4}-\d{1,2}")
_FREEZE = "month"


class _MonthOrCommand(TyperGroup):
    """`close 2026-10` is short for a command that `close list` stands beside."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name before a month."""
        if any(_MONTH.fullmatch(arg) for arg in args) and not (args and args[0] in self.commands):
            args = [_FREEZE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_MonthOrCommand)

MonthArgument = Annotated[str, typer.Argument(help="Which month, as YYYY-MM.")]
RevisionOption = Annotated[
    int | None,
    typer.Option("--revision", min=1, help="Which revision. Default: the latest.", show_default=False),
]


@app.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """Close a month: `promptspan close 2026-10` freezes it; list, show, diff, verify and export read it."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def month(
    *,
    month: MonthArgument,
    revise: Annotated[
        bool, typer.Option("--revise", help="It is closed: freeze what changed since as a new revision.")
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for who reads it later.")] = "",
    with_unpriced: Annotated[
        bool, typer.Option("--with-unpriced", help="Close although calls have usage and no price.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Where the pack goes: FILE.zip or a new directory.", show_default=False
        ),
    ] = None,
    allocation: AllocationOption = None,
    rates: RatesOption = None,
    dsn: DsnOption = None,
) -> None:
    """Freeze a month: its ledger, prices, allocation rules, exchange rates and the texts of all queries.

    A closed month never changes. What comes later is a revision of its own (--revise), with the reasons.
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.finance_files import read_basis, read_month
    from promptspan_server.finance.closing import Wishes, close_month
    from promptspan_server.queries.connection import Store
    from promptspan_server.store.executor import ClientExecutor

    time_range = read_month(month)
    texts = read_basis(allocation, rates).texts
    if output is not None and output.exists():
        raise CommandError(f"{output} is there already: choose another --output")
    address = writer(chosen_dsn(dsn), given=dsn is not None)
    wishes = Wishes(revise=revise, note=note, with_unpriced=with_unpriced, texts=texts)
    with connected(address) as client, _said():
        store = Store(address)
        chain = close_month(store, ClientExecutor(client), time_range, wishes)
        if chain is None:
            print(f"{month}: nothing has changed since it was frozen")
            return
        _print_revision(chain[-1])
        if output is not None:
            _deliver(store, time_range, chain, output)
            print(f"  the pack is in {output}")
        else:
            print(f"  promptspan close export {month} --output {month}.zip writes the pack")


def list_(form: FormatOption = Format.table, dsn: DsnOption = None) -> None:
    """List the closed months and their revisions."""
    from promptspan_server.cli.rows import Column, number, print_rows
    from promptspan_server.finance.closed import Revisions

    found = _asked(dsn).ask(Revisions()).rows
    print_rows(
        (
            Column("month", "String"),
            Column("revision", "UInt32"),
            Column("closed_at", "DateTime"),
            Column("cost_usd", "Decimal"),
            Column("adjusted_usd", "Decimal"),
            Column("calls", "UInt64"),
            Column("calls_without_a_cost", "UInt64"),
            Column("note", "String"),
        ),
        (
            (
                one.name,
                one.number,
                f"{one.closed_at:%Y-%m-%d %H:%M:%S}",
                number(one.cost_usd),
                number(one.adjusted_usd),
                one.calls,
                one.uncharged_calls,
                one.note,
            )
            for one in found
        ),
        form,
    )


def show(month: MonthArgument, revision: RevisionOption = None, dsn: DsnOption = None) -> None:
    """Show a closed month: its number, what it rests on, and its files with their SHA-256."""
    _, _, chain = _chain(dsn, month, revision)
    _print_revision(chain[-1])
    for name, file in chain[-1].files.items():
        print(f"  {file['sha256']}  {name} ({file['bytes']:,} bytes)")


def diff(
    *,
    month: MonthArgument,
    earlier: Annotated[
        int | None,
        typer.Option("--from", min=1, help="Default: the revision before.", show_default=False),
    ] = None,
    later: Annotated[
        int | None, typer.Option("--to", min=2, help="Default: the latest.", show_default=False)
    ] = None,
    by: Annotated[str, typer.Option("--by", help="feature, model, team, ...")] = "feature",
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Say why a revision differs from an earlier one: parts by cause that add up to the difference.

    Exit code 0 if they do not differ, 1 if they do.
    """
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.rows import Column, number, print_rows
    from promptspan_server.finance.adjustments import BY, by_cause, differences
    from promptspan_server.finance.closed import frozen_basis
    from promptspan_server.finance.table_files import number_text

    if by not in BY:
        raise CommandError(f"--by {by}: it can be {', '.join(BY)}")
    store, time_range, chain = _chain(dsn, month, later)
    last = chain[-1].number
    first = last - 1 if earlier is None else earlier
    if not 1 <= first < last:
        raise CommandError(
            f"{month} has one revision: there is nothing to compare it with"
            if last == 1
            else f"{month}: --from has to be before --to (there is 1 to {last})"
        )
    with _said():
        rules = frozen_basis(store, chain[first - 1]).allocation, frozen_basis(store, chain[-1]).allocation
        closes = [one.close_id for one in chain]
        parts = differences(
            store, time_range, before=closes[:first], after=closes[first:], by=(by,), rules=rules
        )[by]
    print_rows(
        (
            Column(by, "String"),
            Column("cause", "String"),
            Column("calls", "Int64"),
            Column("usd", "Decimal"),
        ),
        ((part.value, part.cause, part.calls, number(part.usd)) for part in parts),
        form,
    )
    if form is Format.table:
        causes = ", ".join(f"{cause} {number_text(usd)}" for cause, (_, usd) in by_cause(parts).items())
        amount = number_text(chain[-1].cost_usd - chain[first - 1].cost_usd)
        print(f"\nrevision {first} to {last}: {amount} USD ({causes or 'no difference'})")
    if parts:
        raise CommandError("", exit_code=1)


def verify(
    month: MonthArgument,
    revision: RevisionOption = None,
    pack: Annotated[
        Path | None,
        typer.Option("--pack", help="Check this pack, a .zip or a directory, too.", show_default=False),
    ] = None,
    dsn: DsnOption = None,
) -> None:
    """Write the pack of a closed month again and compare every byte with what was frozen.

    Exit code 0 if all is as it was, 1 if not.
    """
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.finance.close_pack import read_pack, scratch, unlike, write_files

    store, time_range, chain = _chain(dsn, month, revision)
    with _said(), scratch() as folder:
        write_files(store, time_range, chain, folder)
        lines = [f"written again, {line}" for line in unlike(chain[-1], read_pack(folder))]
        if pack is not None:
            lines += [f"{pack}, {line}" for line in unlike(chain[-1], read_pack(pack))]
    if lines:
        print("\n".join(lines))
        raise CommandError("", exit_code=1)
    files = len(chain[-1].files) + 1
    print(f"{month}, revision {chain[-1].number}: {files} files are what they were, byte for byte")


def export(
    month: MonthArgument,
    output: Annotated[Path, typer.Option("--output", help="FILE.zip or a new directory.")],
    revision: RevisionOption = None,
    dsn: DsnOption = None,
) -> None:
    """Write the pack of a closed month: the same bytes as when it was closed."""
    store, time_range, chain = _chain(dsn, month, revision)
    with _said():
        _deliver(store, time_range, chain, output)
    print(f"{output}: {len(chain[-1].files) + 1} files of {month}, revision {chain[-1].number}")


def _deliver(store: "Store", time_range: Any, chain: "Sequence[Revision]", output: Path) -> None:
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.finance.close_pack import deliver, read_pack, scratch, unlike, write_files

    with scratch() as folder:
        write_files(store, time_range, chain, folder)
        lines = unlike(chain[-1], read_pack(folder))
        if lines:
            raise CommandError(f"the pack is no longer what was frozen: {'; '.join(lines)}", exit_code=1)
        deliver(folder, output)


def _chain(dsn: str | None, month: str, revision: int | None) -> "tuple[Store, Any, tuple[Revision, ...]]":
    from promptspan_server.cli.finance_files import read_month
    from promptspan_server.finance.closed import revisions, up_to

    time_range = read_month(month)
    store = _asked(dsn)
    with _said():
        return store, time_range, up_to(revisions(store, time_range.start), revision, month)


def _asked(dsn: str | None) -> "Store":
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.queries.connection import Store

    tame_driver()
    return Store(chosen_dsn(dsn))


def _said() -> Any:
    """Make one line of what can go wrong."""
    from promptspan_server.cli.finance_failures import said

    return said()


def _print_revision(revision: "Revision") -> None:
    from promptspan_server.finance.table_files import number_text

    adjusted = ""
    if revision.number > 1:
        adjusted = f", {number_text(revision.adjusted_usd)} USD other than revision {revision.number - 1}"
    print(f"{revision.name}, revision {revision.number}: {number_text(revision.cost_usd)} USD{adjusted}")
    totals = revision.totals
    if totals["reporting_currency"]:
        print(f"  {totals['reporting_cost']} {totals['reporting_currency']} at the rates frozen with it")
    priced = revision.calls - revision.uncharged_calls
    share = f"{priced / revision.calls:.1%}" if revision.calls else "—"
    print(f"  {revision.calls:,} calls, {share} with a known cost; {revision.uncharged_calls:,} without")
    print(f"  closed {revision.closed_at:%Y-%m-%d %H:%M} UTC by {revision.price_book_version}", end="")
    print(f", book {revision.price_book[:12]}" + (f"; {revision.note}" if revision.note else ""))


for _name, _command in (
    (_FREEZE, month),
    ("list", list_),
    ("show", show),
    ("diff", diff),
    ("verify", verify),
    ("export", export),
):
    app.command(name=_name, help=help_text(_command), hidden=_name == _FREEZE)(_command)
