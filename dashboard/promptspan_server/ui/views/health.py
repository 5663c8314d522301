"""Health: is what the other pages show complete."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.queries.health import (
    CallsByMinute,
    LastMigration,
    Losses,
    LossRow,
    PriceBook,
    Quarantine,
    QuarantineRow,
    Unpriced,
    UnpricedRow,
)
from promptspan_server.queries.scope import TimeRange
from promptspan_server.ui import cache, charts, panels, wording
from promptspan_server.ui.component import mode
from promptspan_server.ui.frame import refreshing
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.tiles import Note, Tile, tiles

if TYPE_CHECKING:
    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.freshness import FreshnessRow
    from promptspan_server.queries.health import MigrationRow, MinuteRow, PriceBookRow

_RECENT = timedelta(minutes=30)
_DAY = timedelta(hours=24)


def show() -> None:
    """Draw the page."""
    refreshing(_content, live=True)


def _content() -> None:
    end = datetime.now(timezone.utc).replace(second=0, microsecond=0) + timedelta(minutes=1)
    recent, day = TimeRange(end - _RECENT, end), TimeRange(end - _DAY, end)
    fresh = cache.freshness()
    minutes, unpriced, losses, quarantine, book, migration = cache.ask_all(
        CallsByMinute(recent), Unpriced(day), Losses(day), Quarantine(day), PriceBook(), LastMigration()
    )
    by_minute, lost = panels.shown(minutes), panels.shown(losses)
    with st.container(key="verdict"):
        st.text(_in_words(fresh.rows[0], by_minute, lost))
    st.caption(f"{panels.as_of(fresh)} · refreshes every 15 s · last 24 hours unless a panel says otherwise")
    _numbers(fresh.rows[0], by_minute, lost, panels.shown(book), panels.shown(migration))
    if by_minute is not None:
        panels.heading("Model calls per minute", by_minute, "last 30 minutes, by their start")
        at = [recent.start + timedelta(minutes=i) for i in range(int(_RECENT.total_seconds() // 60))]
        calls = {row.at: row.calls for row in by_minute.rows}
        panels.chart(
            charts.calls_by_minute(at, [calls.get(t, 0) for t in at], recent, mode()),
            key="minutes",
            alt="Bars: model calls per minute over the last 30 minutes",
        )
    left, right = st.columns(2, gap="medium")
    with left:
        _unpriced(panels.shown(unpriced))
    with right:
        _losses(lost)
    _quarantine(panels.shown(quarantine))


def _in_words(fresh: FreshnessRow, minutes: Answer[MinuteRow] | None, losses: Answer[LossRow] | None) -> str:
    if fresh.last_call is None:
        return "The store answers and is empty."
    recent = sum(row.calls for row in minutes.rows) if minutes else 0
    sentences = [f"The store answers. {wording.counted(recent, 'model call')} started in the last 30 minutes"]
    sentences[0] += f", the newest {wording.age(fresh.age_s)} ago."
    lost = sum(row.lost for row in losses.rows) if losses else 0
    if lost:
        sentences.append(f"SDKs lost {wording.counted(lost, 'span')}.")
    return " ".join(sentences)


def _numbers(
    fresh: FreshnessRow,
    minutes: Answer[MinuteRow] | None,
    losses: Answer[LossRow] | None,
    book: Answer[PriceBookRow] | None,
    migration: Answer[MigrationRow] | None,
) -> None:
    counted = sum(row.calls for row in minutes.rows) if minutes else None
    reported = losses.rows if losses else ()
    lost = sum(row.lost for row in reported)
    processes = wording.counted(sum(row.processes for row in reported), "process", "processes")
    current = book.rows[0] if book is not None and book.rows else None
    schema = migration.rows[0] if migration is not None and migration.rows else None
    tiles(
        [
            Tile(
                "Newest call",
                f"{wording.age(fresh.age_s)} ago" if fresh.age_s is not None else wording.UNKNOWN,
                [Note(f"{wording.moment(fresh.last_call)} UTC")] if fresh.last_call else [],
                "Start of the newest call in the store. A call shows once it has ended and was sent.",
            ),
            Tile("Calls in 30 min", wording.exact(counted), [Note("by their start")]),
            Tile(
                "Spans lost by SDKs",
                wording.exact(lost) if reported else wording.UNKNOWN,
                [Note(f"{processes} reported" if reported else "no process reported", "bad" if lost else "")],
                "What the SDK processes of the last 24 hours report about themselves.",
            ),
            Tile(
                "Priced models",
                wording.exact(current.models) if current else wording.UNKNOWN,
                [Note(current.version) if current else Note("no price book loaded", "warn")],
                f"Price book {current.book[:12]}, loaded {wording.moment(current.applied_at)} UTC."
                if current
                else "promptspan prices sync loads one.",
            ),
            Tile(
                "Store", fresh.store_version, [Note(f"schema {schema.version:04}" if schema else "no schema")]
            ),
        ],
        key="numbers",
    )


def _unpriced(answer: Answer[UnpricedRow] | None) -> None:
    if answer is None:
        return
    panels.heading("Calls without a cost", answer)
    if not answer.rows:
        panels.quiet("Every model call of the last 24 hours has a cost.")
        return
    table(
        [
            Column("Provider", clip=True),
            Column("Model", clip=True),
            Column("Why"),
            Column("Calls", "", "right"),
            Column("Failed", "Of these calls; a failed call seldom reports usage", "right"),
        ],
        [
            [
                Cell(row.provider or wording.UNKNOWN, sort=row.provider),
                Cell(row.model or wording.UNKNOWN, sort=row.model, title=row.model),
                Cell(
                    "no price" if row.price_status == "unpriced" else row.price_status.replace("_", " "),
                    sort=row.price_status,
                    tone="warn" if row.price_status == "unpriced" else "muted",
                ),
                Cell(wording.exact(row.calls), sort=row.calls),
                Cell(wording.exact(row.failed), sort=row.failed),
            ]
            for row in answer.rows
        ],
        key="unpriced",
        caption="Models with calls whose cost is unknown",
    )


def _losses(answer: Answer[LossRow] | None) -> None:
    if answer is None:
        return
    panels.heading("What the SDKs say of themselves", answer)
    if not answer.rows:
        panels.quiet("No process reported in the last 24 hours.")
        return
    table(
        [
            Column("Service", clip=True),
            Column("Processes", "", "right"),
            Column("Spans", "Handed to the SDK", "right"),
            Column("Delivered", "Accepted by a backend", "right"),
            Column("Waiting", "On disk or in memory there when a process last reported", "right"),
            Column("Lost", "", "right"),
            Column("Why", clip=True),
        ],
        [
            [
                Cell(row.service, sort=row.service, title=row.service),
                Cell(wording.exact(row.processes), sort=row.processes),
                Cell(wording.exact(row.emitted), sort=row.emitted),
                Cell(wording.exact(row.delivered), sort=row.delivered),
                Cell(wording.exact(row.waiting), sort=row.waiting),
                Cell(wording.exact(row.lost), sort=row.lost, tone="bad" if row.lost else "muted"),
                Cell(", ".join(f"{reason} {number:,}" for reason, number in row.dropped.items() if number)),
            ]
            for row in answer.rows
        ],
        key="losses",
        caption="Spans handed over, delivered and lost, by service",
    )


def _quarantine(answer: Answer[QuarantineRow] | None) -> None:
    if answer is None or not answer.rows:
        return
    panels.heading("Values set aside", answer, "the calls are kept, without these values")
    table(
        [
            Column("Field"),
            Column("Why"),
            Column("Recorded by", clip=True),
            Column("Values", "", "right"),
            Column("For example", clip=True),
            Column("Last, UTC", "", "right"),
        ],
        [
            [
                Cell(row.field, sort=row.field),
                Cell(row.reason, sort=row.reason),
                Cell(row.instrumentation, sort=row.instrumentation),
                Cell(wording.exact(row.values), sort=row.values),
                Cell(row.example, mono=True, title=row.example),
                Cell(wording.moment(row.last_seen), sort=row.last_seen.timestamp(), tone="muted"),
            ]
            for row in answer.rows
        ],
        key="quarantine",
        caption="Values that could not be believed",
    )
