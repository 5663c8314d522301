"""The further parts of the spend page, each drawn when it is looked at, and its files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.finance.ledger import total
from promptspan_server.finance.outcomes import Avoidable, Outcomes, Users
from promptspan_server.finance.spend_table import per_call, spend_rows, spend_table
from promptspan_server.finance.table_files import writing
from promptspan_server.finance.what_if import PricesOf, what_if
from promptspan_server.queries.price_book import PricesNow
from promptspan_server.ui import cache, panels, wording
from promptspan_server.ui.controls import choose
from promptspan_server.ui.spend_panels import per_thousand, signed
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.tiles import Note, Tile, tiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from promptspan_server.finance.ledger import LedgerRow
    from promptspan_server.finance.spend import Spend
    from promptspan_server.queries.scope import Scope

_MIMES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def downloads(found: Spend) -> None:
    """Offer the table of groups, whole, as files."""
    with st.container(horizontal=True, vertical_alignment="center", key="downloads"):
        st.markdown("**Download** every group:", width="content")
        for ending, label in (("csv", "CSV"), ("xlsx", "Excel"), ("parquet", "Parquet")):
            st.download_button(
                label,
                data=_file(found, ending),
                file_name=f"spend-{found.range.start:%Y-%m}-by-{found.by}.{ending}",
                mime=_MIMES[ending],
                key=f"download_{ending}",
                on_click="ignore",
            )


def _file(found: Spend, ending: str) -> Callable[[], bytes]:
    # Made when it is asked for, not with every rerun.
    def made() -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / f"spend.{ending}"
            with writing(path, spend_table(found)) as writer:
                writer.write(spend_rows(found))
            return path.read_bytes()

    return made


def unknown(found: Spend, asked_at_s: float) -> None:
    """Draw the calls whose cost is not known, and what cannot be booked."""
    panels.heading("Calls without a known cost", asked_at_s, "in no sum above")
    by_model: dict[tuple[str, str], list[LedgerRow]] = {}
    for row in found.rows:
        if row.unpriced or row.no_usage:
            by_model.setdefault((row.keys["model"], row.keys["price_status"]), []).append(row)
    if not by_model:
        panels.quiet("Every call of the month has a known cost.")
    else:
        sums = sorted(
            ((key, total(rows)) for key, rows in by_model.items()), key=lambda each: (-each[1].calls, each[0])
        )
        table(
            [
                Column("Model", clip=True),
                Column("Why"),
                Column("Calls", "", "right"),
                Column("Share of calls", "", "right"),
                Column("Tokens", "Known ones", "right"),
                Column("What to do"),
            ],
            [
                [
                    Cell(wording.name(model, "(no model)"), title=model, tone="" if model else "muted"),
                    Cell("no price" if status == "unpriced" else "no usage"),
                    Cell(wording.exact(row.calls), sort=row.calls),
                    Cell(wording.share(row.calls / found.total.now.calls)),
                    Cell(wording.exact(row.tokens) if row.tokens else wording.UNKNOWN, sort=row.tokens),
                    Cell(
                        "give it a price: promptspan prices import FILE"
                        if status == "unpriced"
                        else "streams: ask the provider for usage; failed calls have none",
                        tone="muted",
                    ),
                ]
                for (model, status), row in sums[:50]
            ],
            key="unknown_table",
            caption="Calls without a known cost by model",
        )
    nobody = next((group for group in found.groups if not group.name), None)
    words = found.by.replace("_", " ")
    if nobody is None:
        panels.quiet(f"Every call has a {words}.")
    else:
        part = nobody.now.calls / found.total.now.calls if found.total.now.calls else None
        panels.quiet(
            f"{wording.usd(nobody.now.cost_usd)} of calls without a {words}: "
            f"{wording.counted(nobody.now.calls, 'call')}, {wording.share(part)} of all."
        )


def unit_cost(found: Spend, scope: Scope) -> None:
    """Draw what a call, a thousand, a user and a success cost."""
    asked = cache.ask_all(Users(scope), Outcomes(scope))
    users, outcomes = panels.shown(asked[0]), panels.shown(asked[1])
    panels.heading("Unit cost, USD", users)
    shown = [
        Tile(
            "Per call",
            wording.usd(per_call(found.total)),
            [Note(f"{wording.exact(found.total.now.costed)} priced calls")],
        ),
        Tile("Per thousand calls", wording.usd(per_thousand(found.total))),
    ]
    if users is not None:
        row = users.rows[0]
        shown.append(
            Tile(
                "Per user",
                wording.usd(_each(row.usd, row.users)),
                [
                    Note(
                        f"{wording.counted(row.users, 'user')} of "
                        f"{wording.share(row.calls / found.total.now.calls)} of the calls"
                        if row.users and found.total.now.calls
                        else "no call names its user"
                    )
                ],
                "What calls with a user cost, by the number of different users.",
            )
        )
    tiles(shown, key="unit_numbers")
    if outcomes is None:
        return
    if not outcomes.rows:
        panels.quiet(
            "No scores: record_score() says which calls were a success, and this what a success costs."
        )
        return
    table(
        [
            Column("Evaluation", clip=True),
            Column("Judged", "Traces with a score", "right"),
            Column("Success", "A mean score of 0.5 or more, or a label such as pass", "right"),
            Column("Cost, USD", "Of the judged traces", "right"),
            Column("Per success", "Failures included: what it took to get one", "right"),
        ],
        [
            [
                Cell(row.name, title=row.name),
                Cell(wording.exact(row.judged), sort=row.judged),
                Cell(wording.share(row.good / row.judged), sort=row.good / row.judged),
                Cell(wording.usd(row.usd), title=wording.usd_exact(row.usd)),
                Cell(wording.usd(_each(row.usd, row.good))),
            ]
            for row in outcomes.rows
        ],
        key="outcomes_table",
        caption="Cost of a successful outcome by evaluation",
    )


def waste(found: Spend, scope: Scope) -> None:
    """Draw what calls cost that brought nothing, or need not have been made so."""
    panels.heading("Money for nothing", None, "each call in the first row that it fits")
    rows = [_waste_row(found, each.kind, each.calls, each.usd, "") for each in found.waste]
    answer = panels.shown(cache.ask_all(Avoidable(scope))[0])
    if answer is not None:
        row = answer.rows[0]
        rows += [
            _waste_row(found, "Ended at their limit of tokens", row.truncated, row.truncated_usd, ""),
            _waste_row(
                found,
                "Could have read the provider's cache",
                row.misses,
                row.misses_usd,
                "What reading it would have saved: as many tokens as half of the calls of the same prompt "
                "version and model read at least, within five minutes of another call",
            ),
            _waste_row(
                found,
                "Asked again what had been asked",
                row.repeated if row.with_text else None,
                row.repeated_usd if row.with_text else None,
                f"Same prompt version, model and text; {wording.exact(row.with_text)} calls have their text",
            ),
        ]
    table(
        [
            Column("What"),
            Column("Calls", "", "right"),
            Column("USD", "Unknown where no such call has a known cost", "right"),
            Column("Share of spend", "", "right"),
        ],
        rows,
        key="waste_table",
        caption="Spend on calls that brought nothing or could have been avoided",
        sortable=False,
    )


def other_model(found: Spend) -> None:
    """Draw what the same tokens would have cost on a model that the reader chooses."""
    prices = panels.shown(cache.ask_all(PricesNow())[0])
    offered = [row.price_id for row in prices.rows] if prices is not None else []
    chosen = choose("other", offered, "Choose a model", label="The same tokens on", wide=True)
    if chosen is None:
        panels.quiet(
            "At today's price of its standard tier. For another price book: promptspan prices diff FILE."
        )
        return
    answer = panels.shown(cache.ask_all(PricesOf(chosen))[0])
    if answer is None:
        return
    if not answer.rows:
        panels.quiet("The price book has no such model.")
        return
    same = what_if(found.rows, answer.rows[0])
    if same.other_usd is None:
        panels.quiet(
            f"Unknown: it has no price for {', '.join(same.missing)} tokens, which these calls used."
        )
        return
    change = same.other_usd - same.usd
    tiles(
        [
            Tile(
                "As it was, USD", wording.usd(same.usd), [Note(f"{wording.exact(same.calls)} priced calls")]
            ),
            Tile("On that model, USD", wording.usd(same.other_usd), [Note("the same tokens")]),
            Tile(
                "Difference, USD",
                signed(change),
                [Note(wording.change(float(same.other_usd), float(same.usd)) or "")],
            ),
        ],
        key="other_numbers",
    )
    panels.quiet(
        "Another model cuts text into other tokens and answers at another length: this compares prices, "
        "not models."
    )


def _waste_row(found: Spend, kind: str, calls: int | None, usd: Decimal | None, title: str) -> list[Cell]:
    whole = found.total.now.cost_usd
    part: Any = float(usd / whole) if usd is not None and whole else None
    return [
        Cell(kind, title=title),
        Cell(wording.exact(calls)),
        Cell(wording.usd(usd), title=wording.usd_exact(usd)),
        Cell(wording.share(part), bar=part),
    ]


def _each(usd: Decimal | None, number: int) -> Decimal | None:
    return usd / number if usd is not None and number else None
