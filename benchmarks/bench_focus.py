"""Ledger rows as FOCUS charges: memory that grows, time, and what duckdb and openpyxl read back.

    python benchmarks/bench_focus.py [--rows 1000000 --days 31]

No store: a day's answer is made as the driver gives it, and read by the ledger's own question. Memory is the
growth of the process's peak over what it was before; it goes with the rows of a day, so that the default, a
day of a month with a million rows, shows that of the month. CPU time is a ratio to `csv.writer` writing as
many rows of as many short texts.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptspan_server.finance.focus import GROUPING, Charges, RateRecord, Terms
from promptspan_server.finance.focus_export import FOCUS_TABLE
from promptspan_server.finance.ledger import COUNTS, Ledger, LedgerRow, nanos
from promptspan_server.finance.table_files import writing
from promptspan_server.queries.scope import TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 10, 1, tzinfo=timezone.utc)
END = datetime(2026, 11, 1, tzinfo=timezone.utc)
MOST_GROWTH_MB = 150
PRICES = (*map(Decimal, ("2.5", "1.25", "2.5", "2.5", "40", "10", "10", "80")),)
RATE = RateRecord("rate", "openai/gpt-4o", "", 0, 0, PRICES, PRICES, Decimal(0), "")


QUERY = Ledger(TimeRange(START, END), GROUPING)


def groups(count: int, days: int = 31) -> Iterator[LedgerRow]:
    """Day by day, as the ledger is read: all of a day's answer, then its rows."""
    for day in range(days):
        answer = [_values(number, day) for number in range(count * day // days, count * (day + 1) // days)]
        yield from tuple(QUERY.row(values) for values in answer)


def _values(number: int, day: int) -> list[Any]:
    keys = dict.fromkeys(GROUPING[1:], "") | {
        "provider": "openai",
        "model": "gpt-4o",
        "price_id": "openai/gpt-4o",
        "rate_id": "rate",
        "price_status": "priced",
        "service": f"service-{number % 17}",
        "feature": f"=feature-{number % 997}",
        "prompt": f"prompt-{number % 101}",
        "version": str(number % 13),
        "tenant": f"tenant-{number % 4999}",
    }
    tokens, cached, output = 1000 + number % 977, number % 3, 100 + number % 89
    # 2.5 and 10 USD a million, and a cached token for 1.25: nine places hold it exactly.
    cost = (Decimal(tokens * 250 + output * 1000 + cached * 125) / 10**8).quantize(Decimal("1e-9"))
    measures: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {
        "calls": 1,
        "priced": 1,
        "input": tokens,
        "cache_read": cached,
        "output": output,
    }
    at = int((START + timedelta(days=day)).timestamp()) * 1_000_000
    # Texts of their own in every row, as the driver makes them.
    return [at, *(text.encode().decode() for text in keys.values()), *measures.values(), cost, Decimal(0)]


def export(path: Path, rows: int, days: int) -> None:
    """In a process of its own: its peak is the export's."""
    charges = Charges({"rate": RATE}, Terms(START, END, "genai-prices 0.2.3"))
    # What loads once is no growth.
    with writing(path, FOCUS_TABLE) as file:
        file.write(Charges({"rate": RATE}, Terms(START, END, "")).of(groups(100)))
    # The kernel's own peak is that of this program alone; `ru_maxrss` begins with that of whoever started it.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_kib()
    began = time.process_time()
    with writing(path, FOCUS_TABLE) as file:
        written = file.write(charges.of(groups(rows, days)))
    took = time.process_time() - began
    growth = (_peak_kib() - before) / 1024
    assert charges.billed == charges.ledger
    print(written, f"{growth:.0f}", f"{took:.1f}", charges.billed)


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def reference(rows: int) -> float:
    began = time.process_time()
    with tempfile.TemporaryFile("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for _ in range(rows):
            writer.writerow(["2026-10-01T00:00:00Z"] * len(FOCUS_TABLE.columns))
    return time.process_time() - began


def read_back(path: Path, billed: str, rows: int) -> str:
    import duckdb

    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.load_workbook(path, read_only=True)
        found: Any = list(book["FOCUS"].iter_rows(min_row=2, values_only=True))
        at = {title: index for index, title in enumerate(FOCUS_TABLE.columns)}
        assert all(isinstance(row[at["BilledCost"]], float | int) for row in found)
        assert all(isinstance(row[at["ChargePeriodStart"]], datetime) for row in found)
        total = sum(nanos(Decimal(repr(row[at["BilledCost"]])).quantize(Decimal("1e-9"))) for row in found)
        book.close()
        assert len(found) == rows
        assert total == nanos(Decimal(billed).quantize(Decimal("1e-9")))
        return "openpyxl: numbers are numbers, times are times, the sum is the ledger's"
    table = f"read_{path.suffix[1:]}('{path}')"
    if path.suffix == ".csv":
        table = f"read_csv('{path}', types = {{'BilledCost': 'DECIMAL(38,24)'}})"
    found = duckdb.execute(f"SELECT count(), sum(BilledCost) FROM {table}").fetchone()
    assert found is not None
    assert (found[0], Decimal(found[1])) == (rows, Decimal(billed))
    types = dict(duckdb.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM {table})").fetchall())
    assert types["ChargePeriodStart"] in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP")
    return f"duckdb: {types['BilledCost']}, {types['ChargePeriodStart']}, the sum is the ledger's"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=32_258)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--export", type=Path)
    arguments = parser.parse_args()
    if arguments.export:
        export(arguments.export, arguments.rows, arguments.days)
        return
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        # A sheet of openpyxl is read whole into Python: a twentieth of the rows.
        for name, rows in (
            ("a.csv", arguments.rows),
            ("a.parquet", arguments.rows),
            ("a.xlsx", arguments.rows // 20),
        ):
            path = Path(folder) / name
            command = [sys.executable, __file__, "--rows", str(rows), "--days", str(arguments.days)]
            command += ["--export", str(path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            written, growth, took, billed = int(said[0]), float(said[1]), float(said[2]), said[3]
            ratio = took / reference(written)
            print(
                f"{path.suffix[1:]:8} {rows:>9,} ledger rows, {written:>9,} charges, "
                f"{path.stat().st_size / 2**20:7.0f} MiB: grows by {growth:.0f} MB, {took:.0f} s of CPU "
                f"({ratio:.1f} x csv.writer); {read_back(path, billed, written)}"
            )
            failed |= growth > MOST_GROWTH_MB
            path.unlink()
    if failed:
        sys.exit(f"more than {MOST_GROWTH_MB} MB")


if __name__ == "__main__":
    main()
