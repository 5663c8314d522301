"""The main panels of the spend page: the sentence, why it changed, budgets, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from promptspan_server.finance.currency import exact_sum
from promptspan_server.finance.forecast import TooLittle
from promptspan_server.finance.ledger import dollars, nanos, total
from promptspan_server.finance.month_end import MonthEnd
from promptspan_server.finance.spend_table import per_call, per_thousand
from promptspan_server.ui import links, panels, wording
from promptspan_server.ui.table import Cell, Column, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from promptspan_server.finance.budgets import Burn
    from promptspan_server.finance.drivers import Drivers
    from promptspan_server.finance.ledger import LedgerRow
    from promptspan_server.finance.spend import Group, Spend

MAX_GROUPS: Final = 45
# What a click narrows the page down by.
_LINKED: Final = ("feature", "environment", "service")
# Part of the change, what it is called when it is more, when it is less, and in full.
_REASONS: Final = (
    ("volume", "more calls", "fewer calls", "The same calls at the same mean cost, more or fewer of them"),
    (
        "mix",
        "dearer kinds of calls",
        "cheaper kinds of calls",
        "Models and groups that cost more or less a call",
    ),
    ("tokens", "longer calls", "shorter calls", "More or fewer tokens a call, at the price of before"),
    ("price", "dearer prices", "lower prices", "The same tokens at another price, and what rounding leaves"),
)
# What is less than this part of the spend is rounding, or might as well be.
_NOTHING: Final = 100_000

__all__ = [
    "budgets",
    "converted",
    "coverage",
    "groups",
    "in_words",
    "per_call",
    "per_thousand",
    "reasons",
    "signed",
]


def in_words(found: Spend, end: MonthEnd | TooLittle | None) -> str:
    """Say what the month is like in two or three sentences."""
    now, before, why = found.total.now, found.total.before, found.total.drivers
    if now.cost_usd is None:
        text = f"{wording.counted(now.calls, 'model call')}, none with a known cost."
    else:
        text = f"{wording.usd(now.cost_usd)} for {wording.counted(now.calls, 'model call')}"
        if now.costed < now.calls:
            text += f", of which {wording.share(now.costed / now.calls)} have a known cost"
        text += "."
    if before.cost_usd is not None and why.comparable and why.change:
        name, more, less, _ = max(_REASONS, key=lambda reason: _towards(why, reason[0]))
        label = more if why.change > 0 else less
        word = "more" if why.change > 0 else "less"
        text += (
            f" {wording.usd(abs(why.change))} {word} than in as much of the month before; most of it: "
            f"{label} ({signed(getattr(why, name))})."
        )
    mover = max(found.groups, key=lambda group: abs(group.drivers.change), default=None)
    if mover is not None and why.comparable and mover.drivers.change and len(found.groups) > 1:
        text += f" {_quoted(found, mover)} changed most: {signed(mover.drivers.change)}."
    if isinstance(end, MonthEnd):
        text += f" The month will end between {wording.usd(end.low)} and {wording.usd(end.high)} (90\u202f%)."
    elif isinstance(end, TooLittle):
        text += " There is too little history for a forecast."
    return text


def coverage(row: LedgerRow) -> str:
    """Say how much of a cost is known."""
    return f"{wording.share(row.costed / row.calls)} of calls priced" if row.calls else "no calls"


def converted(found: Spend) -> str:
    """Write the whole cost in the reporting currency; empty without one."""
    if found.reporting is None:
        return ""
    return f"{wording.usd(found.reporting.total).replace('$', '', 1)} {found.reporting.currency}"


def signed(usd: Decimal) -> str:
    """Write a change in US dollars with its sign."""
    return f"+{wording.usd(usd)}" if usd > 0 else wording.usd(usd)


def reasons(found: Spend) -> None:
    """Draw the four parts of the change."""
    why, spend = found.total.drivers, found.total.now.cost_usd
    if not why.comparable:
        panels.quiet("There were no calls with a known cost in that part of the month before.")
        return
    largest = max(abs(nanos(getattr(why, name))) for name, *_ in _REASONS) or 1
    rows = [
        [
            Cell((more if getattr(why, name) >= 0 else less).capitalize(), title=title),
            Cell(
                _part(getattr(why, name), spend),
                bar=abs(nanos(getattr(why, name))) / largest,
                title=wording.usd_exact(abs(getattr(why, name))),
            ),
        ]
        for name, more, less, title in _REASONS
    ]
    rows.append([Cell("Change", strong=True), Cell(signed(why.change), strong=True)])
    table(
        [Column("Reason"), Column("USD", "The four sum to the change, exactly", "right")],
        rows,
        key="reasons_table",
        caption="What changed the spend",
        sortable=False,
    )


def budgets(burns: Sequence[Burn]) -> None:
    """Draw how far each budget is."""
    panels.heading("Budgets")
    table(
        [
            Column("Budget", clip=True),
            Column("State"),
            Column(
                "Spent, USD", "In its own period, of everything it matches, whatever the filters", "right"
            ),
            Column("Of USD", "", "right"),
            Column("Used", "", "right"),
            Column("Passed", "Share of the period that has passed", "right"),
            Column("End, USD (90 %)", "Where its period will end", "right"),
            Column("Owner", clip=True),
        ],
        [_burn(burn) for burn in burns[:50]],
        key="budgets_table",
        caption="Budgets with spend, state and forecast",
    )


def _burn(burn: Burn) -> list[Cell]:
    end = burn.end
    used = burn.used
    return [
        Cell(burn.budget.name, sort=burn.budget.name),
        Cell(burn.state, tone="bad" if burn.state == "over" else "" if burn.state == "ok" else "warn"),
        Cell(
            wording.usd(burn.spent_usd), sort=float(burn.spent_usd), title=wording.usd_exact(burn.spent_usd)
        ),
        Cell(wording.usd(burn.amount_usd), title=f"{burn.budget.amount:f} {burn.budget.currency}"),
        Cell(
            wording.UNKNOWN if used is None else f"{used:.1f}\u202f%",
            sort=None if used is None else float(used),
            bar=None if used is None else min(1.0, float(used) / 100),
        ),
        Cell(wording.share(burn.elapsed), sort=burn.elapsed),
        Cell(
            wording.UNKNOWN if end is None else f"{wording.usd(end[0])} to {wording.usd(end[2])}",
            title=burn.forecast.reason if isinstance(burn.forecast, TooLittle) else "",
        ),
        Cell(burn.budget.owner or wording.UNKNOWN, tone="" if burn.budget.owner else "muted"),
    ]


def groups(found: Spend, asked_at_s: float) -> None:
    """Draw the table by group: the dearest, what the rest is together, and the total they sum to."""
    shown, rest = found.groups[:MAX_GROUPS], found.groups[MAX_GROUPS:]
    words = found.by.replace("_", " ")
    panels.heading(f"By {words}", asked_at_s, f"the dearest {MAX_GROUPS}" if rest else "")
    if found.by in ("team", "cost_centre", "product") and all(not group.name for group in found.groups):
        panels.quiet(
            "Nothing is allocated: PROMPTSPAN_ALLOCATION names a file of rules that book calls on teams, "
            "cost centres and products."
        )
    rows = [_row(found, group) for group in shown]
    if rest:
        rows.append(_rest(found, rest))
    rows.append(_sum(found))
    table(
        [
            Column(words.capitalize(), clip=True),
            Column("Cost, USD", "Over the priced calls", "right"),
            *_reporting_column(found),
            Column("Share", "", "right"),
            Column("Change", "Against as much of the month before", "right"),
            Column("Volume", _REASONS[0][3], "right"),
            Column("Mix", _REASONS[1][3], "right"),
            Column("Tokens", _REASONS[2][3], "right"),
            Column("Price", _REASONS[3][3], "right"),
            Column("Calls", "", "right"),
            Column("Per call", "Mean cost of a priced call, USD", "right"),
            Column("Priced", "Share of calls with a known cost", "right"),
        ],
        rows,
        key="groups_table",
        caption="Spend by group with its change and the reasons",
        sortable=False,
    )


def _row(found: Spend, group: Group) -> list[Cell]:
    missing = "unallocated" if found.by in ("team", "cost_centre", "product") else f"(no {found.by})"
    href = ""
    if found.by in _LINKED and group.name:
        href = links.link(
            links.SPEND,
            dict(st.query_params.to_dict()),
            {"month": f"{found.range.start:%Y-%m}", found.by: group.name},
        )
    name = Cell(
        wording.name(group.name, missing), href=href, tone="" if group.name else "warn", title=group.name
    )
    return [name, *_numbers(found, group, group.name)]


def _reporting_column(found: Spend) -> list[Column]:
    if found.reporting is None:
        return []
    return [Column(f"Cost, {found.reporting.currency}", "By the rate of each day", "right")]


def _reporting_cell(found: Spend, names: Sequence[str]) -> list[Cell]:
    if found.reporting is None:
        return []
    amounts = [found.reporting.by_group[name] for name in names]
    known = [amount for amount in amounts if amount is not None]
    amount = exact_sum(known) if known else None
    currency = found.reporting.currency
    text = wording.usd(amount).replace("$", "", 1)
    return [Cell(text, title=f"{amount:f} {currency}" if amount is not None else "")]


def _numbers(found: Spend, group: Group, name: str | None = None) -> list[Cell]:
    names = [each.name for each in found.groups] if name is None else [name]
    now, why = group.now, group.drivers
    whole = found.total.now.cost_usd
    part = None
    if whole and now.cost_usd is not None:
        part = nanos(now.cost_usd) / nanos(whole)
    parts = (why.change, why.volume, why.mix, why.tokens, why.price)
    return [
        Cell(wording.usd(now.cost_usd), title=wording.usd_exact(now.cost_usd), strong=group is found.total),
        *_reporting_cell(found, names),
        Cell(wording.share(part), bar=part),
        *(
            Cell(
                _part(each, group.now.cost_usd),
                tone="" if each else "muted",
                title=f"was {wording.usd(group.before.cost_usd)}" if each is why.change else "",
            )
            for each in parts
        ),
        Cell(wording.exact(now.calls)),
        Cell(wording.usd(per_call(group))),
        Cell(
            wording.share(now.costed / now.calls if now.calls else None),
            tone="warn" if now.unpriced else "",
            title=f"{wording.exact(now.unpriced)} unpriced, {wording.exact(now.no_usage)} without usage",
        ),
    ]


def _part(usd: Decimal, spend: Decimal | None) -> str:
    return signed(usd) if abs(nanos(usd)) * _NOTHING > (nanos(spend) if spend else 0) and usd else "0"


def _towards(why: Drivers, name: str) -> int:
    """How much a part of the change is in its direction."""
    return nanos(getattr(why, name)) * (1 if why.change > 0 else -1)


def _rest(found: Spend, rest: Sequence[Group]) -> list[Cell]:
    now = total(group.now for group in rest)
    change = sum(nanos(group.drivers.change) for group in rest)
    whole = found.total.now.cost_usd
    part = nanos(now.cost_usd) / nanos(whole) if whole and now.cost_usd is not None else None
    return [
        Cell(f"{len(rest):,} others", tone="muted"),
        Cell(wording.usd(now.cost_usd), title=wording.usd_exact(now.cost_usd)),
        *_reporting_cell(found, [group.name for group in rest]),
        Cell(wording.share(part)),
        Cell(signed(dollars(change))),
        *(Cell(wording.UNKNOWN, tone="muted") for _ in range(4)),
        Cell(wording.exact(now.calls)),
        Cell(wording.UNKNOWN, tone="muted"),
        Cell(wording.share(now.costed / now.calls if now.calls else None)),
    ]


def _sum(found: Spend) -> list[Cell]:
    return [Cell("Total", strong=True), *_numbers(found, found.total)]


def _quoted(found: Spend, group: Group) -> str:
    if group.name:
        return f"\u201c{wording.clipped(group.name, 60)}\u201d"
    return (
        "What is unallocated" if found.by in ("team", "cost_centre", "product") else f"What has no {found.by}"
    )
