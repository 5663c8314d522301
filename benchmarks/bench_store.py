"""What the store costs, as ratios to the engine's own floor in the same run.

Usage: bench_store.py [--short] [--strict]

Each module gives rows of one table: `store_ingest` (spans on their way in), `store_collector` (the same by
way of the Collector).
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import store_collector
import store_ingest
from store_under_test import Row, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_PARTS: Sequence[Callable[..., Iterator[Row]]] = (store_ingest.rows, store_collector.rows)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--short", action="store_true", help="a fifth of the spans, about a minute")
    options.add_argument("--strict", action="store_true", help="exit with 1 if a bar does not hold")
    arguments = options.parse_args()
    failed = 0
    print("| what | bar | measured | holds |\n| --- | --- | --- | --- |", flush=True)
    for part in _PARTS:
        with store() as on:
            for row in part(on, short=arguments.short):
                failed += not row.holds
                print(
                    f"| {row.what} | {row.bar} | {row.figure} | {'yes' if row.holds else 'NO'} |", flush=True
                )
    return int(bool(failed and arguments.strict))


if __name__ == "__main__":
    sys.exit(main())
