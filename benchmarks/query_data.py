"""Calls of thirty days for the query benchmark, made by the engine itself, and the ledger of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.store.migrate import migrate

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

DAYS = 30
END = datetime(2026, 11, 25, tzinfo=timezone.utc)
SINCE = END - timedelta(days=DAYS)
RARE_WORD = "zymurgical"
_TEXT_DAYS = 30
_SPAN_DAYS = 3


@dataclass(frozen=True)
class Size:
    """How much to make.

    Attributes:
        calls: Model calls over thirty days.
        texts: Calls with captured text, evenly spread.
    """

    calls: int
    texts: int


def _sql(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def build(executor: Executor, size: Size, *, merge: bool = True) -> None:
    """Migrate an empty store and fill it: calls in the order of time, texts, spans, prices, the ledger."""
    migrate(executor)
    sync_prices(executor)
    a_day = max(1, size.calls // DAYS)
    for first in range(0, size.calls, 5 * a_day):
        executor.command(
            _sql("query_calls.sql"),
            {
                "since": str(int(SINCE.timestamp())),
                "a_day": str(a_day),
                "first": str(first),
                "count": str(min(5 * a_day, a_day * DAYS - first)),
            },
        )
    if size.texts:
        for day in range(_TEXT_DAYS):
            executor.command(
                _sql("query_texts.sql").replace("{rare}", RARE_WORD),
                {
                    "every": str(max(1, size.calls // size.texts)),
                    "rare_every": str(max(1, size.texts // 30)),
                    "since": _text(SINCE + timedelta(days=day)),
                    "until": _text(SINCE + timedelta(days=day + 1)),
                },
            )
    executor.command(_sql("query_spans.sql"), {"since": _text(END - timedelta(days=_SPAN_DAYS))})
    while recompute(executor, settle_s=0, interval_s=0).more:
        pass
    # As the store is an hour later: nothing is written, the marks are old, the parts are merged.
    executor.command(
        "INSERT INTO hour_states (hour, computed_at)"
        " SELECT hour, now64(6, 'UTC') + INTERVAL 2 MINUTE FROM hour_states GROUP BY hour"
    )
    if merge:
        for table in (
            "llm_calls",
            "llm_texts",
            "spans",
            "hourly_rows",
            "prompt_hour_rows",
            "arm_hour_rows",
            "hour_states",
        ):
            executor.command(f"OPTIMIZE TABLE {table} FINAL")


def is_built(directory: Path, size: Size) -> bool:
    """Whether a data directory holds what `build` made for this size, by this schema."""
    note = directory / "built.json"
    return note.exists() and json.loads(note.read_text()) == asdict(size)


def note_built(directory: Path, size: Size) -> None:
    """Leave word that `build` came to its end."""
    (directory / "built.json").write_text(json.dumps(asdict(size)))


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
