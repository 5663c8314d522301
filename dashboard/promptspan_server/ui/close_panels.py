"""The panels of a closed month: its number, what was adjusted, bills, prices, files."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.finance.adjustments import PRICE, by_cause
from promptspan_server.finance.focus_export import export_closed
from promptspan_server.finance.reconcile import PARTS, UNEXPLAINED
from promptspan_server.ui import cache, links, panels, wording
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.tiles import Note, Tile, tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from promptspan_server.finance.adjustments import Difference
    from promptspan_server.finance.closed import Revision
    from promptspan_server.finance.reconciled import Reconciled
    from promptspan_server.queries.scope import TimeRange

_MOST_ROWS = 50
# Above this a browser should not be made to hold the file.
_MOST_CALLS = 5_000_000
_MIMES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def in_words(chain: Sequence[Revision], latest: int, moved: Decimal | None) -> str:
    """Say in two or three sentences what a closed month came to.

    Args:
        chain: Its revisions to the one that is shown.
        latest: Number of the latest.
        moved: What the ledger says now less what is frozen in the latest, None if that is not known.
    """
    shown = chain[-1]
    text = f"{shown.name} is closed with {wording.usd_exact(shown.cost_usd)}"
    text += f", revision {shown.number} of {latest}."
    if shown.number > 1:
        text += f" That is {signed(shown.adjusted_usd)} against revision {shown.number - 1}."
    if shown.uncharged_calls:
        verb = "is" if shown.uncharged_calls == 1 else "are"
        text += f" {wording.counted(shown.uncharged_calls, 'call')} without a known cost {verb} not in it."
    if moved:
        text += f" The ledger has moved by {signed(moved)} since: promptspan close {shown.name} --revise."
    return text


def signed(amount: Decimal) -> str:
    """Write a difference in US dollars with its sign and every digit."""
    return ("+" if amount > 0 else "\u2212" if amount < 0 else "±") + wording.usd_exact(abs(amount))


def numbers(chain: Sequence[Revision], bills: Sequence[Reconciled]) -> None:
    """Draw the month's numbers."""
    shown = chain[-1]
    totals = shown.totals
    priced = shown.calls - shown.uncharged_calls
    share = wording.share(priced / shown.calls if shown.calls else None)
    since = shown.cost_usd - chain[0].cost_usd
    found = [
        Tile(
            "Frozen cost, USD",
            wording.usd(shown.cost_usd),
            [Note(f"{share} of calls have a known cost", "warn" if shown.uncharged_calls else "")],
            f"{wording.usd_exact(shown.cost_usd)} exactly, for {wording.exact(shown.calls)} calls. Calls"
            " without a known cost are left out, never counted as zero.",
        ),
        Tile(
            "Adjusted since the close",
            signed(since) if shown.number > 1 else wording.UNKNOWN,
            [Note(f"{wording.usd_exact(chain[0].cost_usd)} in revision 1")],
        ),
    ]
    if totals["reporting_currency"]:
        amount = Decimal(totals["reporting_cost"])
        found.append(
            Tile(
                f"In {totals['reporting_currency']}",
                f"{amount:,.2f}",
                [Note("at the rates frozen with it")],
                f"{totals['reporting_cost']} {totals['reporting_currency']}",
            )
        )
    if bills:
        unexplained = sum((Decimal(bill.report["unexplained_usd"]) for bill in bills), Decimal(0))
        billed = sum((Decimal(bill.report["billed_usd"]) for bill in bills), Decimal(0))
        found.append(
            Tile(
                "Unexplained in bills, USD",
                wording.usd(unexplained),
                [Note(f"of {wording.usd(billed)} billed", "bad" if unexplained else "good")],
            )
        )
    found.append(
        Tile(
            "Closed",
            f"{shown.closed_at:%Y-%m-%d}",
            [Note(f"{shown.closed_at:%H:%M} UTC"), Note(wording.clipped(shown.price_book_version, 40))],
            f"Price book {shown.price_book}",
        )
    )
    tiles(found, key="numbers")


def revisions(found: Sequence[Revision], shown: int) -> None:
    """Draw the revisions of a month."""
    panels.heading("Revisions", note="none is ever changed")
    table(
        [
            Column("Revision"),
            Column("Closed (UTC)"),
            Column("Cost, USD", align="right"),
            Column("Adjusted, USD", align="right"),
            Column("Calls", align="right"),
            Column("Without a cost", align="right"),
            Column("Note", clip=True),
        ],
        [
            [
                Cell(
                    str(one.number),
                    href=links.link(links.CLOSE, {"month": one.name, "rev": str(one.number)}),
                    sort=one.number,
                    strong=one.number == shown,
                ),
                Cell(wording.moment(one.closed_at, seconds=False)),
                Cell(wording.usd_exact(one.cost_usd), sort=float(one.cost_usd)),
                Cell(
                    signed(one.adjusted_usd) if one.number > 1 else wording.UNKNOWN,
                    sort=float(one.adjusted_usd) if one.number > 1 else None,
                ),
                Cell(wording.exact(one.calls), sort=one.calls),
                Cell(
                    wording.exact(one.uncharged_calls),
                    sort=one.uncharged_calls,
                    tone="warn" if one.uncharged_calls else "",
                ),
                Cell(one.note or wording.UNKNOWN, title=one.note),
            ]
            for one in found[-_MOST_ROWS:]
        ],
        key="revisions",
        caption="Revisions of the closed month",
    )


def adjustments(found: Mapping[str, Sequence[Difference]], number: int, asked_at_s: float) -> None:
    """Draw why a revision differs from the one before, and where prices changed."""
    parts = found["feature"]
    panels.heading(f"Why revision {number} differs", asked_at_s, f"from revision {number - 1}, by feature")
    if not parts:
        panels.quiet("No amount differs: the rules, the rates or the bills beside it do.")
        return
    causes = [f"{cause} {signed(usd)}" for cause, (_, usd) in by_cause(parts).items()]
    st.text("; ".join(causes))
    _differences(parts, "Feature", "Adjustments by feature and cause", "adjustments")
    prices = [part for part in found["model"] if part.cause == PRICE]
    if prices:
        panels.heading("Price changes", asked_at_s, "by model")
        _differences(prices, "Model", "Price changes by model", "prices")


def _differences(parts: Sequence[Difference], label: str, caption: str, key: str) -> None:
    largest = sorted(parts, key=lambda part: -abs(part.usd))[:_MOST_ROWS]
    table(
        [
            Column(label, clip=True),
            Column("Cause"),
            Column("Calls", align="right"),
            Column("USD", align="right"),
        ],
        [
            [
                Cell(part.value or "(none)", tone="" if part.value else "muted"),
                Cell(part.cause),
                Cell(f"{part.calls:+,}" if part.calls else wording.UNKNOWN, sort=part.calls),
                Cell(signed(part.usd), sort=float(part.usd)),
            ]
            for part in largest
        ],
        key=key,
        caption=caption,
    )
    if len(parts) > len(largest):
        st.caption(f"The largest {len(largest)} of {len(parts)}; the pack has all of them.")


def reconciliation(bills: Sequence[Reconciled], asked_at_s: float, name: str) -> None:
    """Draw the providers' bills beside the ledger."""
    panels.heading("Bills beside the ledger", asked_at_s, "the parts are the difference")
    if not bills:
        panels.quiet("No bill was put beside this month's ledger yet.")
        st.code(
            f"promptspan reconcile --provider openai --month {name} usage.json costs.json", language="bash"
        )
        return
    table(
        [
            Column("Provider"),
            Column("Invoice", clip=True),
            Column("Bill, USD", align="right"),
            Column("Ledger, USD", align="right"),
            Column("Difference", align="right"),
            *(Column(part.capitalize(), align="right") for part in PARTS),
        ],
        [_bill(bill.report, bill.provider) for bill in bills[:_MOST_ROWS]],
        key="bills",
        caption="Bills of providers beside the ledger, with the causes of each difference",
    )


def _bill(made: Mapping[str, Any], provider: str) -> list[Cell]:
    def amount(text: str, *, difference: bool = True, tone: Any = "") -> Cell:
        usd = Decimal(text)
        return Cell(
            signed(usd) if difference else wording.usd_exact(usd),
            sort=float(usd),
            tone=tone if usd else "muted" if difference else "",
        )

    return [
        Cell(provider),
        Cell(made["invoice"]["number"] or wording.UNKNOWN),
        amount(made["billed_usd"], difference=False),
        amount(made["ledger_usd"], difference=False),
        amount(made["difference_usd"]),
        *(amount(made["parts"].get(part, "0"), tone="bad" if part == UNEXPLAINED else "") for part in PARTS),
    ]


def files(shown: Revision) -> None:
    """Draw what the pack holds, and how it is had and verified."""
    panels.heading("The pack", note="SHA-256 of every file, frozen with the revision")
    table(
        [Column("File"), Column("Bytes", align="right"), Column("SHA-256")],
        [
            [
                Cell(name, mono=True),
                Cell(wording.exact(int(file["bytes"])), sort=int(file["bytes"])),
                Cell(str(file["sha256"]), mono=True),
            ]
            for name, file in list(shown.files.items())[:_MOST_ROWS]
        ],
        key="files",
        caption="Files of the pack with their SHA-256",
    )
    st.code(
        f"promptspan close export {shown.name} --revision {shown.number} --output {shown.name}.zip\n"
        f"promptspan close verify {shown.name} --revision {shown.number}",
        language="bash",
    )


def downloads(time_range: TimeRange, chain: Sequence[Revision]) -> None:
    """Offer the charges of a revision as files: the same bytes each time."""
    shown = chain[-1]
    with st.container(horizontal=True, vertical_alignment="center", key="downloads"):
        st.markdown("**Download** its charges (FOCUS):", width="content")
        if shown.calls > _MOST_CALLS:
            st.code(
                f"promptspan export focus --month {shown.name} --output {shown.name}.parquet", language="bash"
            )
            return
        for ending, label in (("csv", "CSV"), ("xlsx", "Excel"), ("parquet", "Parquet")):
            st.download_button(
                label,
                data=_file(time_range, chain, ending),
                file_name=f"focus-{shown.name}-r{shown.number}.{ending}",
                mime=_MIMES[ending],
                key=f"download_{ending}",
                on_click="ignore",
            )


def _file(time_range: TimeRange, chain: Sequence[Revision], ending: str) -> Callable[[], bytes]:
    # Made when it is asked for, not with every rerun.
    def made() -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / f"focus.{ending}"
            export_closed(cache.store(), time_range, path, chain)
            return path.read_bytes()

    return made
