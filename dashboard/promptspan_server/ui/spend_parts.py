"""The further parts of the spend page, each drawn when it is looked at, and its files."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from promptspan_server.finance.other_book import read_other_book
from promptspan_server.finance.outcomes import Avoidable, Outcomes, Users
from promptspan_server.finance.spend_table import groups_part, unknown_part
from promptspan_server.finance.spend_table import unknown as unknown_costs
from promptspan_server.finance.unit_cost import unit_cost_part, unit_costs
from promptspan_server.finance.waste import of_the_calls, waste_part
from promptspan_server.finance.what_if import PricesOf, what_if, what_if_part
from promptspan_server.pricing.book import build_book
from promptspan_server.pricing.contracts import parse_contracts
from promptspan_server.pricing.genai import read_package
from promptspan_server.queries.price_book import PricesNow
from promptspan_server.ui import cache, panels, wording
from promptspan_server.ui.controls import choose
from promptspan_server.ui.spend_panels import signed
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.tiles import Note, Tile, tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from promptspan_server.finance.spend import Spend
    from promptspan_server.finance.table_files import Part
    from promptspan_server.finance.waste import Waste
    from promptspan_server.queries.scope import Scope

_MIMES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def downloads(found: Spend, part: Part | None = None) -> None:
    """Offer what is looked at as files: a part of the page, else every group."""
    part = part or groups_part(found)
    name = part.table.name
    what = "every group" if name == "Spend" else f"\u201c{name}\u201d"
    stem = f"by-{found.by}" if name == "Spend" else name.lower().replace(" ", "-")
    with st.container(horizontal=True, vertical_alignment="center", key="downloads"):
        st.markdown(f"**Download** {what}:", width="content")
        for ending, label in (("csv", "CSV"), ("xlsx", "Excel"), ("parquet", "Parquet")):
            st.download_button(
                label,
                data=_file(part, ending),
                file_name=f"spend-{found.range.start:%Y-%m}-{stem}.{ending}",
                mime=_MIMES[ending],
                key=f"download_{ending}",
                on_click="ignore",
            )


def _file(part: Part, ending: str) -> Callable[[], bytes]:
    # Made when it is asked for, not with every rerun.
    def made() -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / f"spend.{ending}"
            part.write(path)
            return path.read_bytes()

    return made


def unknown(found: Spend, asked_at_s: float) -> Part:
    """Draw the calls whose cost is not known, and what cannot be booked."""
    panels.heading("Calls without a known cost", asked_at_s, "in no sum above")
    sums = unknown_costs(found)
    if not sums:
        panels.quiet("Every call of the month has a known cost.")
    else:
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
                for model, status, row in sums[:50]
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
    return unknown_part(found)


def unit_cost(found: Spend, scope: Scope) -> Part | None:
    """Draw what a call, a thousand, a user and a success cost."""
    asked = cache.ask_all(Users(scope), Outcomes(scope))
    users, outcomes = panels.shown(asked[0]), panels.shown(asked[1])
    if users is None or outcomes is None:
        return None
    panels.heading("Unit cost, USD", users)
    units = unit_costs(found.total.now, users.rows[0], outcomes.rows)
    call, thousand, user, *successes = units
    calls = found.total.now.calls
    tiles(
        [
            Tile(
                "Per call", wording.usd(call.each_usd), [Note(f"{wording.exact(call.number)} priced calls")]
            ),
            Tile("Per thousand calls", wording.usd(thousand.each_usd)),
            Tile(
                "Per user",
                wording.usd(user.each_usd),
                [
                    Note(
                        f"{wording.counted(user.number, 'user')} of "
                        f"{wording.share(user.of / calls)} of the calls"
                        if user.number and calls
                        else "no call names its user"
                    )
                ],
                "What calls with a user cost, by the number of different users.",
            ),
        ],
        key="unit_numbers",
    )
    if not successes:
        panels.quiet(
            "No scores: record_score() says which calls were a success, and this what a success costs."
        )
        return unit_cost_part(units)
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
                Cell(row.evaluation, title=row.evaluation),
                Cell(wording.exact(row.of), sort=row.of),
                Cell(wording.share(row.number / row.of), sort=row.number / row.of),
                Cell(wording.usd(row.usd), title=wording.usd_exact(row.usd)),
                Cell(wording.usd(row.each_usd)),
            ]
            for row in successes
        ],
        key="outcomes_table",
        caption="Cost of a successful outcome by evaluation",
    )
    return unit_cost_part(units)


def waste(found: Spend, scope: Scope) -> Part:
    """Draw what calls cost that brought nothing, or need not have been made so."""
    panels.heading("Money for nothing", None, "the last three can be of the same call: they are no sum")
    answer = panels.shown(cache.ask_all(Avoidable(scope))[0])
    shown = [*found.waste, *(of_the_calls(answer.rows[0]) if answer is not None else ())]
    table(
        [
            Column("What"),
            Column("Calls", "", "right"),
            Column("USD", "Unknown where no such call has a known cost", "right"),
            Column("Share of spend", "", "right"),
        ],
        [_waste_row(found, each) for each in shown],
        key="waste_table",
        caption="Spend on calls that brought nothing or could have been avoided",
        sortable=False,
    )
    return waste_part(shown)


_Instead = tuple[str, int, "Decimal", "Decimal"]


def what_else(found: Spend, where: Sequence[tuple[str, str]]) -> Part | None:
    """Draw what the same tokens would have cost on another model, or by other prices; return a table."""
    shown = [each for each in (_other_model(found), _other_prices(found, where)) if each is not None]
    return what_if_part(shown) if shown else None


def _other_prices(found: Spend, where: Sequence[tuple[str, str]]) -> _Instead | None:
    file = st.file_uploader(
        "By another price file, as promptspan prices import takes it (YAML)",
        type=["yaml", "yml"],
        key="prices",
        help="Nothing is kept of it. Each call by the other book's price of its own day.",
    )
    if file is None:
        return None
    content = file.getvalue()
    try:
        contracts = parse_contracts(content.decode(), file.name)
    except UnicodeDecodeError:
        st.text(f"{file.name} is no text")
        return None
    except ValueError as error:
        st.text(str(error))
        return None
    key = f"other book {hashlib.sha256(content).hexdigest()} {found.range!r} {where!r}"
    same, _ = cache.computed(
        key,
        lambda: read_other_book(cache, found.range, build_book(read_package(), contracts), where),
    )
    _difference("By that file, USD", same.usd, same.other_usd, calls=same.calls, key="other_prices")
    said = [f"Left out, {reason}: {wording.exact(calls)} calls." for reason, calls in same.left_out.items()]
    if same.gained:
        said.append(
            f"{wording.exact(same.gained)} calls without a price would have one:"
            f" {wording.usd(same.gained_usd)} more."
        )
    if same.unknown:
        said.append(f"{wording.exact(same.unknown)} calls have no known cost by either.")
    if said:
        st.text("\n".join(said))
    return f"by {same.version}", same.calls, same.usd, same.other_usd


def _difference(title: str, usd: Decimal, other_usd: Decimal, *, calls: int, key: str) -> None:
    tiles(
        [
            Tile("As it was, USD", wording.usd(usd), [Note(f"{wording.exact(calls)} priced calls")]),
            Tile(title, wording.usd(other_usd), [Note("the same tokens")]),
            Tile(
                "Difference, USD",
                signed(other_usd - usd),
                [Note(wording.change(float(other_usd), float(usd)) or "")],
            ),
        ],
        key=key,
    )


def _other_model(found: Spend) -> _Instead | None:
    prices = panels.shown(cache.ask_all(PricesNow())[0])
    offered = [row.price_id for row in prices.rows] if prices is not None else []
    chosen = choose("other", offered, "Choose a model", label="The same tokens on", wide=True)
    if chosen is None:
        panels.quiet("At today's price of its standard tier.")
        return None
    answer = panels.shown(cache.ask_all(PricesOf(chosen))[0])
    if answer is None:
        return None
    if not answer.rows:
        panels.quiet("The price book has no such model.")
        return None
    same = what_if(found.rows, answer.rows[0])
    if same.other_usd is None:
        panels.quiet(
            f"Unknown: it has no price for {', '.join(same.missing)} tokens, which these calls used."
        )
        return None
    _difference("On that model, USD", same.usd, same.other_usd, calls=same.calls, key="other_numbers")
    panels.quiet(
        "Another model cuts text into other tokens and answers at another length: this compares prices, "
        "not models."
    )
    return f"on {answer.rows[0].price_id}", same.calls, same.usd, same.other_usd


def _waste_row(found: Spend, each: Waste) -> list[Cell]:
    whole = found.total.now.cost_usd
    part: Any = float(each.usd / whole) if each.usd is not None and whole else None
    return [
        Cell(each.kind, title=each.means),
        Cell(wording.exact(each.calls)),
        Cell(wording.usd(each.usd), title=wording.usd_exact(each.usd)),
        Cell(wording.share(part), bar=part),
    ]
